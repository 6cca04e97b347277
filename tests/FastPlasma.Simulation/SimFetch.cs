using FastPlasma.Transfer.Scheduling;

namespace FastPlasma.Simulation;

/// <summary>One object on its way to a node.</summary>
internal sealed class SimFetch(Cluster cluster, SimNode node, int id, int priority)
{
    private const int TickMs = 100;

    private sealed class Source(SimNode peer, int index)
    {
        internal readonly SimNode Peer = peer;
        internal readonly int Index = index;
        internal readonly Dictionary<Flow, List<int>> Links = [];
        internal int LinksWanted;
    }

    private readonly List<Source> _sources = [];
    private readonly List<SimNode> _subscribers = [], _named = [];
    private readonly Dictionary<SimNode, (SimAnswer Answer, bool IsCrowded)> _answers = [];
    private readonly HashSet<SimNode> _asked = [];
    private Patience? _patience;
    private bool _creating;
    private uint _firstChunk;

    internal SimNode Node { get; } = node;

    internal int Id { get; } = id;

    internal int Priority { get; } = priority;

    internal FetchPlan? Plan { get; private set; }

    internal bool IsOver { get; private set; }

    internal long BeganAt { get; private set; }

    /// <summary>When it was sealed; -1 before.</summary>
    internal long EndedAt { get; private set; } = -1;

    /// <summary>Chunks that came although they were here.</summary>
    internal int DuplicateCount { get; private set; }

    internal void Begin()
    {
        BeganAt = cluster.Simulator.Now;
        Locate();
    }

    internal void OnAnswer(SimNode peer, SimAnswer answer, uint firstChunk, bool isCrowded)
    {
        _asked.Remove(peer);
        if (IsOver || !peer.IsAlive)
            return;
        _answers[peer] = (answer, isCrowded);
        if (answer == SimAnswer.Absent)
            return;
        if (Plan is not null)
        {
            AddSource(peer, answer, isCrowded);
        }
        else if (!_creating)
        {
            _creating = true;
            _firstChunk = firstChunk;
            Node.Admit(this);
        }
    }

    /// <summary>There is memory.</summary>
    internal void Create()
    {
        if (IsOver)
            return;
        Plan = new FetchPlan(cluster.ChunkCount, (int)(_firstChunk % (uint)cluster.ChunkCount));
        _patience = new Patience(_firstChunk);
        foreach ((SimNode peer, (SimAnswer answer, bool isCrowded)) in _answers)
            if (answer != SimAnswer.Absent && peer.IsAlive)
                AddSource(peer, answer, isCrowded);
        cluster.Directory.Announce(Id, Node);
        foreach (SimNode named in _named)
            Consider(named);
        if (cluster.Options.IsLocated)
            Locate();
        Tick();
    }

    /// <summary>A node is said to have it.</summary>
    internal void Consider(SimNode peer)
    {
        if (IsOver || peer == Node)
            return;
        if (Plan is null)
            _named.Add(peer);
        else if (SourceLimits.WantsMore(Plan) && !IsSource(peer) && !(_answers.TryGetValue(peer, out (SimAnswer Answer, bool) known) && known.Answer != SimAnswer.Absent) && _asked.Add(peer))
            Ask(peer);
    }

    /// <summary>Tells a node what there is, and what comes.</summary>
    internal void Subscribe(SimNode to)
    {
        if (!_subscribers.Contains(to))
            _subscribers.Add(to);
        List<int> has = [.. Enumerable.Range(0, cluster.ChunkCount).Where(Plan!.Verified.Contains)], expects = Plan.Expected();
        Node.Tell(to, () => to.Fetches.GetValueOrDefault(Id)?.OnHave(Node, has, expects));
    }

    private void OnHave(SimNode peer, List<int> has, List<int> expects)
    {
        if (IsOver || FindSource(peer) is not { } source)
            return;
        foreach (int chunk in has)
            Plan!.SourceHas(source.Index, chunk, 1);
        foreach (int chunk in expects)
            Plan!.SourceExpects(source.Index, chunk, 1);
        Pump(source);
    }

    private void OnHaveAll(SimNode peer)
    {
        if (IsOver || FindSource(peer) is not { } source)
            return;
        Plan!.SourceHas(source.Index, 0, cluster.ChunkCount);
        Pump(source);
    }

    internal void OnChunk(Flow flow, int chunk)
    {
        if (IsOver || _sources.Find(source => source.Links.ContainsKey(flow)) is not { } source)
            return;
        source.Links[flow].Remove(chunk);
        if (!Plan!.TryBeginReceive(source.Index, chunk))
        {
            DuplicateCount++;
            return;
        }
        if (!Plan.IsCrowdedSource(source.Index))
            _patience!.Renew();
        Plan.Arrived(chunk);
        if (Plan.IsComplete)
        {
            End();
            return;
        }
        foreach (SimNode to in _subscribers)
            Node.Tell(to, () => to.Fetches.GetValueOrDefault(Id)?.OnHave(Node, [chunk], []));
        Pump(source);
    }

    internal void OnRefused(Flow flow, int chunk)
    {
        if (IsOver || _sources.Find(source => source.Links.ContainsKey(flow)) is not { } source)
            return;
        source.Links[flow].Remove(chunk);
        Plan!.SourceLacks(source.Index, chunk);
        PumpAll();
    }

    internal void OnPeerDown(SimNode peer)
    {
        _answers.Remove(peer);
        _asked.Remove(peer);
        _subscribers.Remove(peer);
        if (IsOver || FindSource(peer) is not { } source)
            return;
        foreach ((Flow flow, List<int> asked) in source.Links)
        {
            peer.Up.Drop(flow);
            foreach (int chunk in asked)
                Plan!.Failed(source.Index, chunk);
        }
        source.Links.Clear();
        Plan!.RemoveSource(source.Index);
        PumpAll();
    }

    /// <summary>Its node is dead.</summary>
    internal void Abandon()
    {
        IsOver = true;
        foreach (Source source in _sources)
            foreach (Flow flow in source.Links.Keys)
                source.Peer.Up.Drop(flow);
    }

    private void End()
    {
        IsOver = true;
        EndedAt = cluster.Simulator.Now;
        foreach (SimNode to in _subscribers)
            Node.Tell(to, () => to.Fetches.GetValueOrDefault(Id)?.OnHaveAll(Node));
        Node.OnEnded(this, isFetched: true);
    }

    private void Tick()
    {
        if (IsOver)
            return;
        bool starved = _patience!.Tick(cluster.Simulator.NowMs, Plan!.UnderWayCount == 0);
        if (_patience.IsSpent)
            PumpAll();
        if (!Plan.IsCovered)
        {
            Locate();
        }
        else if (starved)
        {
            foreach (SimNode peer in _answers.Keys.Where(peer => !IsSource(peer)).ToArray())
                _answers.Remove(peer); // Those that had enough to do may be considered again.
            foreach (Source source in _sources.FindAll(source => Plan.IsCompleteSource(source.Index)))
                if (_asked.Add(source.Peer))
                    Ask(source.Peer);
            if (cluster.Options.IsLocated)
                Locate();
        }
        cluster.Simulator.After(TickMs * Simulator.Ms, Tick);
    }

    private void Locate()
    {
        if (!cluster.Options.IsLocated)
        {
            foreach (SimNode peer in cluster.Nodes)
                if (peer != Node && peer.IsAlive && !IsSource(peer) && _asked.Add(peer))
                    Ask(peer);
            return;
        }
        cluster.Directory.Locate(Id, Node, found =>
        {
            if (IsOver)
                return;
            bool isFirst = Plan is null && !_creating;
            int left = isFirst ? 1 : SourceLimits.PartialMax;
            foreach (SimNode peer in found)
                if (left > 0 && peer != Node && !IsSource(peer) && _asked.Add(peer))
                {
                    Ask(peer);
                    left--;
                }
        });
    }

    private void Ask(SimNode peer) => Node.Tell(peer, () => peer.OnAsk(Node, Id));

    private void AddSource(SimNode peer, SimAnswer answer, bool isCrowded)
    {
        bool isPartial = answer == SimAnswer.Partial;
        Source? source = FindSource(peer);
        if (source is null)
        {
            if (!SourceLimits.Takes(Plan!, isPartial, isCrowded))
                return;
            source = new Source(peer, Plan!.AddSource());
            _sources.Add(source);
        }
        if (!isPartial)
            Plan!.SourceIsComplete(source.Index, isCrowded);
        int wanted = SourceLimits.LinksTo(isPartial, cluster.Options.Streams);
        for (; source.LinksWanted < wanted; source.LinksWanted++)
            cluster.Simulator.After(cluster.Options.ConnectNs, () =>
            {
                if (IsOver || !Plan!.IsSource(source.Index))
                    return;
                source.Links.Add(new Flow(peer, this), []);
                Pump(source);
            });
        PumpAll();
    }

    private bool IsSource(SimNode peer) => FindSource(peer) is not null;

    private Source? FindSource(SimNode peer) => _sources.FindLast(source => source.Peer == peer) is { } source && Plan!.IsSource(source.Index) ? source : null;

    private void PumpAll()
    {
        foreach (Source source in _sources)
            Pump(source);
    }

    private void Pump(Source source)
    {
        if (!SourceLimits.IsDue(source.Links, Plan!))
            return;
        while (SourceLimits.LinkFor(source.Links, Plan!, static _ => false) is { } flow && Plan!.TryAsk(source.Index, _patience!.IsSpent, out int chunk)) // Ends with the credits.
        {
            source.Links[flow].Add(chunk);
            Node.Tell(source.Peer, () => source.Peer.OnPost(flow, chunk));
            if (!Plan.IsCompleteSource(source.Index))
                continue;
            foreach (SimNode to in _subscribers)
                Node.Tell(to, () => to.Fetches.GetValueOrDefault(Id)?.OnHave(Node, [], [chunk]));
        }
    }
}
