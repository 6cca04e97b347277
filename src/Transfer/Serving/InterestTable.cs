using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Serving;

/// <summary>Who asked for what: requesters that are to be told when an object appears, and those that take the same large object, who are told of each other.</summary>
internal sealed class InterestTable
{
    private const int CountMax = 1 << 20;

    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, List<(ServerConnection Who, long UntilMs)>> _waiting = [];
    private readonly Dictionary<(ObjectId, ulong), TakerList<ServerConnection>> _takers = [];
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

    /// <summary>A requester takes a large object.</summary>
    internal TakerPlace<ServerConnection> Take(in ObjectId id, ulong incarnation, int chunkCount, ServerConnection who)
    {
        lock (_lock)
        {
            if (!_takers.TryGetValue((id, incarnation), out TakerList<ServerConnection>? takers))
                _takers.Add((id, incarnation), takers = new TakerList<ServerConnection>());
            return takers.Join(who, chunkCount, Environment.TickCount64, static taker => taker.IsOver, Random.Shared);
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
            foreach (((ObjectId, ulong) key, TakerList<ServerConnection> takers) in _takers)
            {
                takers.Expire(now, static taker => taker.IsOver);
                if (takers.IsEmpty)
                    _takers.Remove(key);
            }
        }
    }
}
