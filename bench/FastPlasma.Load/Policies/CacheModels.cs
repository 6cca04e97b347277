namespace FastPlasma.Load.Policies;

/// <summary>A cache that only counts: which objects would be there.</summary>
internal interface ICacheModel
{
    string Name { get; }

    /// <summary>Asks for an object; one that is not there comes in, and others go.</summary>
    bool Get(int number, int bytes);
}

/// <summary>Least recently used, or first in first out: exact, by a list.</summary>
internal sealed class ListModel(string name, long capacityBytes, bool touch) : ICacheModel
{
    private readonly LinkedList<(int Number, int Bytes)> _queue = new();
    private readonly Dictionary<int, LinkedListNode<(int Number, int Bytes)>> _nodes = [];
    private long _used;

    public string Name => name;

    public bool Get(int number, int bytes)
    {
        if (_nodes.TryGetValue(number, out LinkedListNode<(int, int)>? node))
        {
            if (touch)
            {
                _queue.Remove(node);
                _queue.AddFirst(node);
            }
            return true;
        }
        for (_used += bytes; _used > capacityBytes && _queue.Last is { } last; _used -= last.Value.Bytes)
        {
            _queue.RemoveLast();
            _nodes.Remove(last.Value.Number);
        }
        _nodes[number] = _queue.AddFirst((number, bytes));
        return false;
    }
}

/// <summary>SIEVE as its paper gives it (Zhang et al., NSDI 2024): a queue in which nothing moves, a bit for each object, a hand.</summary>
internal sealed class SieveModel(long capacityBytes) : ICacheModel
{
    private sealed class Entry(int number, int bytes)
    {
        internal readonly int Number = number, Bytes = bytes;
        internal bool Visited;
    }

    private readonly LinkedList<Entry> _queue = new();
    private readonly Dictionary<int, LinkedListNode<Entry>> _nodes = [];
    private LinkedListNode<Entry>? _hand;
    private long _used;

    public string Name => "SIEVE";

    public bool Get(int number, int bytes)
    {
        if (_nodes.TryGetValue(number, out LinkedListNode<Entry>? found))
            return found.Value.Visited = true;
        for (_used += bytes; _used > capacityBytes && _queue.Count > 0;)
        {
            LinkedListNode<Entry> at = _hand ?? _queue.Last!;
            for (; at.Value.Visited; at = at.Previous ?? _queue.Last!) // Ends: each step clears a bit.
                at.Value.Visited = false;
            _hand = at.Previous;
            _queue.Remove(at);
            _nodes.Remove(at.Value.Number);
            _used -= at.Value.Bytes;
        }
        _nodes[number] = _queue.AddFirst(new Entry(number, bytes));
        return false;
    }
}
