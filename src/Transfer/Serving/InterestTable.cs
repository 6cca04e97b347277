using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Serving;

/// <summary>Who asked for what: requesters that are to be told when an object appears, and those that take the same large object, who are told of each other.</summary>
internal sealed class InterestTable
{
    private const int CountMax = 1 << 20, TakersMax = 64, TakerMs = 30_000, NamedMax = 8;

    private sealed class Takers
    {
        internal readonly List<(ServerConnection Who, long UntilMs)> List = [];
        internal uint Count;
    }

    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, List<(ServerConnection Who, long UntilMs)>> _waiting = [];
    private readonly Dictionary<(ObjectId, ulong), Takers> _takers = [];
    private int _waitingCount;

    internal int WaitingCount
    {
        get
        {
            lock (_lock)
                return _waitingCount;
        }
    }

    /// <summary>The requester is to be told. Look for the object after this.</summary>
    internal bool TryAdd(in ObjectId id, ServerConnection who, uint forMs)
    {
        long until = Environment.TickCount64 + Math.Min(forMs, Fetching.FetchTable.TellMsMax);
        lock (_lock)
        {
            if (_waitingCount >= CountMax)
                return false;
            if (!_waiting.TryGetValue(id, out List<(ServerConnection Who, long UntilMs)>? list))
                _waiting.Add(id, list = []);
            int at = list.FindIndex(entry => entry.Who == who);
            if (at >= 0)
            {
                list[at] = (who, until);
                return true;
            }
            list.Add((who, until));
            _waitingCount++;
            return true;
        }
    }

    /// <summary>Takes out those who wait for an object that has appeared.</summary>
    internal List<ServerConnection> Take(in ObjectId id)
    {
        lock (_lock)
        {
            if (!_waiting.Remove(id, out List<(ServerConnection Who, long UntilMs)>? list))
                return [];
            _waitingCount -= list.Count;
            long now = Environment.TickCount64;
            return [.. list.Where(entry => entry.UntilMs > now).Select(static entry => entry.Who)];
        }
    }

    /// <summary>A snapshot of what is waited for.</summary>
    internal List<ObjectId> WaitedFor()
    {
        lock (_lock)
            return [.. _waiting.Keys];
    }

    /// <summary>A requester takes a large object. Gives some of those who take it too, and how many have taken it before, which says where this one is to begin.</summary>
    internal uint Take(in ObjectId id, ulong incarnation, ServerConnection who, out List<ServerConnection> others)
    {
        long now = Environment.TickCount64;
        lock (_lock)
        {
            if (!_takers.TryGetValue((id, incarnation), out Takers? takers))
                _takers.Add((id, incarnation), takers = new Takers());
            takers.List.RemoveAll(taker => taker.UntilMs < now || taker.Who == who || taker.Who.IsOver);
            ServerConnection[] all = [.. takers.List.Select(static taker => taker.Who)];
            Random.Shared.Shuffle(all);
            others = [.. all.Take(NamedMax)];
            if (takers.List.Count < TakersMax)
                takers.List.Add((who, now + TakerMs));
            return takers.Count++;
        }
    }

    /// <summary>Forgets whose time is over, and connections that are.</summary>
    internal void Tick()
    {
        long now = Environment.TickCount64;
        lock (_lock)
        {
            foreach ((ObjectId id, List<(ServerConnection Who, long UntilMs)> list) in _waiting)
            {
                _waitingCount -= list.RemoveAll(entry => entry.UntilMs < now || entry.Who.IsOver);
                if (list.Count == 0)
                    _waiting.Remove(id); // Allowed while a dictionary is walked.
            }
            foreach (((ObjectId, ulong) key, Takers takers) in _takers)
            {
                takers.List.RemoveAll(taker => taker.UntilMs < now || taker.Who.IsOver);
                if (takers.List.Count == 0)
                    _takers.Remove(key);
            }
        }
    }
}
