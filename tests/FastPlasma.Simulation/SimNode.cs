using FastPlasma.Transfer.Scheduling;

namespace FastPlasma.Simulation;

/// <summary>What a node answers about an object.</summary>
internal enum SimAnswer
{
    Absent,
    Partial,
    Complete,
}

/// <summary>A node: what it has, what it fetches, whom it serves. Names, places, admission and the choice of chunks are the product's own code; what stands around it here is the shortest form of what the node does with sockets and threads.</summary>
internal sealed class SimNode
{
    private readonly Cluster _cluster;
    private readonly HashSet<int> _complete = [];
    private readonly Dictionary<int, TakerList<SimNode>> _takers = [];
    private readonly Dictionary<int, List<SimNode>> _interested = [];
    private readonly AdmissionQueue<SimFetch> _admission;
    private long _freeAt;

    internal SimNode(Cluster cluster, int index)
    {
        _cluster = cluster;
        Index = index;
        Up = new Uplink(cluster.Simulator, cluster.Options);
        Down = new Downlink(cluster.Simulator, cluster.Options);
        _admission = new AdmissionQueue<SimFetch>(cluster.Options.TransfersMax, cluster.Simulator.Random);
    }

    internal int Index { get; }

    internal Uplink Up { get; }

    internal Downlink Down { get; }

    internal bool IsAlive { get; private set; } = true;

    internal Dictionary<int, SimFetch> Fetches { get; } = [];

    internal bool Has(int id) => _complete.Contains(id);

    internal void Put(int id)
    {
        _complete.Add(id);
        _cluster.Directory.Announce(id, this);
    }

    /// <summary>Wants objects, in this order.</summary>
    internal void Pull(IEnumerable<int> ids, int priority = 0)
    {
        foreach (int id in ids)
        {
            var fetch = new SimFetch(_cluster, this, id, priority);
            Fetches.Add(id, fetch);
            fetch.Begin();
        }
    }

    /// <summary>Dies: connections break, and everybody who had one learns of it.</summary>
    internal void Kill()
    {
        IsAlive = false;
        _cluster.Directory.Withdraw(this);
        foreach (SimNode other in _cluster.Nodes)
            foreach (SimFetch fetch in other.Fetches.Values)
                fetch.OnPeerDown(this);
        foreach (SimFetch fetch in Fetches.Values)
            fetch.Abandon();
    }

    /// <summary>Sends a message: latency, then its turn at the receiver.</summary>
    internal void Tell(SimNode to, Action message) => _cluster.Simulator.After(_cluster.Options.LatencyNs, () => to.Do(message));

    private void Do(Action message)
    {
        long now = _cluster.Simulator.Now;
        _freeAt = Math.Max(_freeAt, now) + _cluster.Options.MessageNs;
        _cluster.MessageCount++;
        _cluster.Simulator.After(_freeAt - now, () =>
        {
            if (IsAlive)
                message();
        });
    }

    internal void Admit(SimFetch fetch)
    {
        _admission.Add(fetch, fetch.Priority);
        PumpAdmission();
    }

    internal void OnEnded(SimFetch fetch, bool isFetched)
    {
        _admission.Remove(fetch);
        if (isFetched)
        {
            Put(fetch.Id);
            foreach (SimNode other in _interested.Remove(fetch.Id, out List<SimNode>? waiting) ? waiting : [])
                Tell(other, () => other.Fetches.GetValueOrDefault(fetch.Id)?.OnAnswer(this, SimAnswer.Complete, 0, false));
        }
        PumpAdmission();
    }

    /// <summary>Is asked for an object.</summary>
    internal void OnAsk(SimNode from, int id)
    {
        SimFetch? fetch = Fetches.GetValueOrDefault(id);
        SimAnswer answer = Has(id) ? SimAnswer.Complete : fetch is { Plan: not null, IsOver: false } ? SimAnswer.Partial : SimAnswer.Absent;
        if (answer == SimAnswer.Absent)
        {
            (_interested.TryGetValue(id, out List<SimNode>? waiting) ? waiting : _interested[id] = []).Add(from);
            Tell(from, () => from.Fetches.GetValueOrDefault(id)?.OnAnswer(this, answer, 0, false));
            return;
        }
        if (!_takers.TryGetValue(id, out TakerList<SimNode>? takers))
            _takers.Add(id, takers = new TakerList<SimNode>());
        TakerPlace<SimNode> place = takers.Join(from, _cluster.ChunkCount, _cluster.Simulator.NowMs, static node => !node.IsAlive, _cluster.Simulator.Random);
        Tell(from, () => from.Fetches.GetValueOrDefault(id)?.OnAnswer(this, answer, place.FirstChunk, place.IsCrowded));
        if (answer == SimAnswer.Partial)
        {
            if (!place.IsCrowded)
                fetch!.Subscribe(from);
            fetch!.Consider(from);
        }
        foreach (SimNode other in place.Named)
        {
            Tell(from, () => from.Fetches.GetValueOrDefault(id)?.Consider(other));
            Tell(other, () => other.Fetches.GetValueOrDefault(id)?.Consider(from));
        }
    }

    /// <summary>Is asked for a chunk.</summary>
    internal void OnPost(Flow flow, int chunk)
    {
        if (flow.IsDown)
            return;
        int id = flow.Fetch.Id;
        if (Has(id) || Fetches.GetValueOrDefault(id)?.Plan?.Verified.Contains(chunk) == true)
            Up.Send(flow, chunk, _cluster.BytesOf(chunk));
        else
            Tell(flow.Fetch.Node, () => flow.Fetch.OnRefused(flow, chunk));
    }

    private void PumpAdmission()
    {
        while (_admission.TryAdmit(out SimFetch? next)) // Ends with the queue or the places.
            _cluster.Simulator.After(_cluster.Options.CreateNs, next.Create);
    }
}
