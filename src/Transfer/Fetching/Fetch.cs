using System.Diagnostics;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>One object that somebody wants and the store does not have: finds out which node has it, and gets it. However many want it, there is one fetch.</summary>
/// <remarks>
/// Peers are asked without bytes until one says that it has the object, or with bytes at once if there is only one to ask. Small objects come inside the answer; for large ones a <see cref="LargeTransfer"/> begins.
/// If nobody has it, the fetch goes on until its last waiter's deadline: the peers tell when it appears, and are asked again now and then.
/// Threads: everything that is not constant is guarded by the fetch's lock. Nobody takes it who holds another lock of the node; under it those of its transfer, of peers' queues and of the tables may be taken.
/// </remarks>
internal sealed unsafe partial class Fetch : IAskTarget
{
    private const int AskAgainMs = 2000, DamagedMax = 3, NamedMax = 32;

    /// <summary>How long a transfer keeps what it has when no node has the rest.</summary>
    private const int AbandonMs = 30_000;

    private const string DeletedMeanwhile = "it was deleted while it was being received";

    private enum Standing : byte { Asked, Absent, Failed, Has }

    private struct Candidate
    {
        internal Peer Peer;
        internal Standing Standing;
        internal ObjectRecord Record;
        internal bool Bytes; // The question asks for the bytes.
    }

    private readonly record struct Waiter(IFetchWaiter Who, long DeadlineTicks);

    private readonly FetchTable _table;
    private readonly Lock _lock = new();
    private readonly List<Candidate> _candidates = new(1); // Room for one, as most fetches need: there may be a hundred thousand of them.
    private List<Waiter> _waiters = new(1);
    private List<(Peer Peer, ulong Incarnation)>? _named;
    private Peer? _chosen;
    private LargeTransfer? _large;
    private ObjectWriter _writer;
    private ObjectImage _writerImage;
    private ulong _creatingIncarnation;
    private bool _hasWriter, _receivingInline, _creating, _done, _locating;
    private int _damaged;
    private long _askAgainAtMs = long.MaxValue, _sourcelessSinceMs;
    private readonly long _begunAtMs = Environment.TickCount64;
    private string? _problem;
    private NodeAnswer _state = NodeAnswer.None;
    private Action? _cancelCreate;

    internal Fetch(FetchTable table, in ObjectId id, TransferPriority priority)
    {
        _table = table;
        Id = id;
        Priority = priority;
    }

    public ObjectId Id { get; }

    public TransferPriority Priority { get; private set; }

    /// <summary>The transfer of a large object, once it has begun.</summary>
    internal LargeTransfer? Large => Volatile.Read(ref _large);

    /// <summary>Adds somebody who wants it.</summary>
    /// <returns>False if the fetch has ended: begin another.</returns>
    internal bool TryJoin(IFetchWaiter who, TransferPriority priority, long deadlineTicks)
    {
        lock (_lock)
        {
            if (_done)
                return false;
            _waiters.Add(new Waiter(who, deadlineTicks));
            if (priority < Priority)
                Priority = priority;
            return true;
        }
    }

    /// <summary>Somebody does not want it any more.</summary>
    internal void Leave(IFetchWaiter who)
    {
        bool over;
        lock (_lock)
        {
            _waiters.RemoveAll(waiter => waiter.Who == who);
            over = !_done && _waiters.Count == 0;
        }
        if (over)
            End(NodeAnswer.TimedOut, "nobody waits for it any more");
    }

    /// <summary>Takes note of peers that may have it, or of whom a directory says that they do.</summary>
    /// <param name="peers">Those.</param>
    /// <param name="located">Whether a directory says so.</param>
    /// <param name="ask">Becomes those that are to be asked now; the caller asks them, together with other objects.</param>
    internal void AddCandidates(ReadOnlySpan<Peer> peers, bool located, List<Peer> ask)
    {
        ask.Clear();
        lock (_lock)
        {
            _locating = false;
            if (_done)
                return;
            foreach (Peer peer in peers)
            {
                ref Candidate candidate = ref CandidateOf(peer);
                if (candidate.Standing == Standing.Asked || (candidate.Standing == Standing.Has && (IsUnderWay || IsAskedForBytes)))
                    continue;
                if (located && IsUnderWay && ask.Count == SourceLimits.PartialMax)
                    break; // As many sources as one object is taken from; a directory may know thousands.
                // One that has it, as far as is known, is asked for the bytes at once; of many that may have it, first who does.
                bool bytes = (located || peers.Length == 1) && !IsUnderWay && !IsAskedForBytes;
                candidate.Standing = Standing.Asked;
                candidate.Bytes = bytes;
                ask.Add(peer);
                if (!bytes)
                    continue;
                _chosen = peer;
                if (located)
                    break; // The others are asked if this one fails, or when the object turns out to be large.
            }
            if (ask.Count == 0 && !HasOpenQuestion())
                NobodyHasIt();
        }
    }

    /// <summary>The directory cannot say.</summary>
    internal void LocateFailed(string reason)
    {
        lock (_lock)
        {
            _locating = false;
            if (_done || HasOpenQuestion())
                return;
            _problem = reason;
            SetState(NodeAnswer.DirectoryUnreachable);
            _askAgainAtMs = Environment.TickCount64 + AskAgainMs / 4;
        }
    }

    /// <summary>A large object is taken from all that have it: those of which only a directory or another node has told are asked.</summary>
    private void AskTheOthers()
    {
        if (_table.KnowsLocations)
            _table.Locate([this]);
    }

    /// <summary>Another node is said to have it, all or part.</summary>
    internal void ConsiderSource(Peer peer, ulong incarnation)
    {
        lock (_lock)
        {
            if (_done)
                return;
            if (_large is not { } large)
            {
                _named ??= [];
                if (_named.Count < NamedMax && !_named.Contains((peer, incarnation)))
                    _named.Add((peer, incarnation)); // Nodes that take the same object are named at once with the answer, before there is memory for it.
                return;
            }
            if (large.Image.Incarnation != incarnation || !large.WantsSources)
                return;
            int at = _candidates.FindIndex(candidate => candidate.Peer == peer);
            if (at >= 0 && _candidates[at].Standing is Standing.Asked or Standing.Has)
                return;
            var asked = new Candidate { Peer = peer, Standing = Standing.Asked };
            if (at >= 0)
                _candidates[at] = asked;
            else
                _candidates.Add(asked);
        }
        peer.Ask(this);
    }

    /// <summary>The transfer gets nothing: the nodes that have the whole object are asked once more, and name others that take it.</summary>
    internal void AskWhoElse()
    {
        List<Peer> ask = [];
        lock (_lock)
        {
            if (_done || _large is not { } large)
                return;
            foreach (ref Candidate candidate in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_candidates))
            {
                if (candidate.Standing == Standing.Has && large.IsSource(candidate.Peer) is null)
                    candidate.Standing = Standing.Failed; // It had enough to do; it may be considered again.
                if (candidate.Standing != Standing.Has || candidate.Record.Answer != ObjectAnswer.Complete || large.IsSource(candidate.Peer) is not true)
                    continue;
                candidate.Standing = Standing.Asked;
                ask.Add(candidate.Peer);
            }
        }
        foreach (Peer peer in ask)
            peer.Ask(this);
        AskTheOthers();
    }

    /// <summary>A node says that it has it.</summary>
    internal void Offered(Peer peer)
    {
        var ask = new List<Peer>(1);
        AddCandidates([peer], located: true, ask);
        if (ask.Count > 0)
            peer.Ask(this);
    }

    /// <summary>A node has come that can be asked.</summary>
    internal void AskSoon()
    {
        lock (_lock)
            if (!IsUnderWay || _sourcelessSinceMs != 0)
                _askAgainAtMs = Math.Min(_askAgainAtMs, Environment.TickCount64);
    }

    /// <summary>It appeared at a peer that had been asked, or begins to arrive there.</summary>
    internal void OnAppeared(Peer peer, in ObjectRecord record)
    {
        if (record.Answer != ObjectAnswer.Partial)
        {
            ((IAskTarget)this).OnAnswer(peer, record);
            return;
        }
        // What it has and gets of it is told to those who ask for it now.
        lock (_lock)
        {
            ref Candidate candidate = ref CandidateOf(peer);
            if (_done || candidate.Standing is Standing.Asked or Standing.Has)
                return;
            candidate.Standing = Standing.Asked;
            candidate.Bytes = false;
        }
        peer.Ask(this);
    }

    /// <summary>The transfer has no source left that has what is missing.</summary>
    internal void OnSourceless(LargeTransfer large, string reason)
    {
        lock (_lock)
        {
            if (_done || _large != large)
                return;
            for (int i = 0; i < _candidates.Count; i++)
                if (_candidates[i].Standing == Standing.Has && large.IsSource(_candidates[i].Peer) is not true)
                    _candidates[i] = _candidates[i] with { Standing = Standing.Failed };
            if (_sourcelessSinceMs != 0)
                return; // The questions for others are under way, or due.
            _sourcelessSinceMs = Environment.TickCount64;
            _problem = reason;
            SetState(NodeAnswer.SourceLost);
            _askAgainAtMs = _sourcelessSinceMs;
        }
    }

    /// <summary>Gives back what was made for an incarnation that will not come, and looks for the object anew: who waits wants the id, whatever its incarnation, and a process of this machine may want to make it meanwhile.</summary>
    private void StartOver(string reason)
    {
        LargeTransfer? large;
        lock (_lock)
        {
            if (_done)
                return;
            large = _large;
            Volatile.Write(ref _large, null);
            _sourcelessSinceMs = 0;
            if (!_receivingInline)
                DropWriter();
            ForgetCandidates();
            _problem = reason;
            SetState(NodeAnswer.NotFound);
            _askAgainAtMs = Environment.TickCount64;
        }
        large?.Close(isFetched: false);
        _table.OnStartedOver(this, large);
    }

    /// <summary>The id was sealed here, by this fetch or by anybody.</summary>
    internal void OnSealedHere()
    {
        if (Volatile.Read(ref _large) is null && !_receivingInline)
            End(NodeAnswer.Fetched, null);
    }

    /// <summary>The incarnation was deleted somewhere. Its tombstone is known already.</summary>
    internal void OnDeleted(ulong incarnation)
    {
        bool hit;
        lock (_lock)
        {
            hit = !_done && (_large?.Image.Incarnation == incarnation || (_hasWriter && !_receivingInline && _writerImage.Incarnation == incarnation));
            if (_creatingIncarnation == incarnation)
                _cancelCreate?.Invoke();
        }
        if (hit)
            StartOver(DeletedMeanwhile);
    }

    /// <summary>Deadlines, and questions that are due again.</summary>
    internal void Tick(long nowMs, long nowTicks)
    {
        List<Waiter>? late = null;
        NodeAnswer answer = NodeAnswer.TimedOut;
        string? problem = null;
        bool over = false, again = false, abandon = false;
        lock (_lock)
        {
            if (_done)
                return;
            for (int i = _waiters.Count - 1; i >= 0; i--)
                if (_waiters[i].DeadlineTicks <= nowTicks)
                {
                    (late ??= []).Add(_waiters[i]);
                    _waiters.RemoveAt(i);
                }
            if (late is not null)
            {
                answer = _state == NodeAnswer.None ? NodeAnswer.TimedOut : _state;
                problem = Describe();
            }
            over = _waiters.Count == 0;
            abandon = !over && _large is not null && _sourcelessSinceMs != 0 && nowMs - _sourcelessSinceMs > AbandonMs;
            if (_askAgainAtMs == long.MaxValue && !IsUnderWay && (!HasOpenQuestion() || nowMs - _begunAtMs > AskAgainMs))
                _askAgainAtMs = nowMs + AskAgainMs; // A node that does not answer must not keep the others from being asked again.
            again = !over && !_locating && !_creating && nowMs >= _askAgainAtMs;
            if (again)
            {
                _askAgainAtMs = nowMs + AskAgainMs;
                _locating = true;
            }
        }
        if (late is not null && _table.Store.Contains(Id))
            (answer, problem) = (NodeAnswer.Fetched, null); // Its event was lost, or is on its way.
        foreach (Waiter waiter in late ?? [])
            waiter.Who.OnFetched(Id, answer, problem);
        if (over)
            End(answer, problem);
        else if (abandon)
            StartOver($"its source was away for {AbandonMs / 1000} s");
        else if (again)
            _table.Locate([this]);
    }

    /// <summary>Ends the fetch, successfully or not.</summary>
    internal void End(NodeAnswer answer, string? reason)
    {
        List<Waiter> waiters;
        lock (_lock)
        {
            if (_done)
                return;
            _done = true;
            waiters = _waiters; // No other joins.
            _waiters = [];
            if (!_receivingInline)
                DropWriter();
            _cancelCreate?.Invoke();
        }
        _large?.Close(answer == NodeAnswer.Fetched);
        _table.OnEnded(this, answer);
        foreach (Waiter waiter in waiters)
            waiter.Who.OnFetched(Id, answer, reason);
    }

    private void Seal(ulong incarnation)
    {
        ObjectWriter writer;
        lock (_lock)
        {
            if (_done)
                return;
            writer = _writer;
            _hasWriter = false;
        }
        PlasmaStatus status = writer.TrySeal();
        AfterSeal(null, status, incarnation);
    }

    /// <summary>Of a small object, or of a transfer's. Between the tombstone's entry and the delete that follows it stands the seal, or the seal comes before both: either the deleter finds the object, or this look finds the tombstone.</summary>
    internal void AfterSeal(LargeTransfer? large, PlasmaStatus status, ulong incarnation)
    {
        if (status != PlasmaStatus.Ok)
        {
            if (Volatile.Read(ref _large) == large) // Else the fetch has begun anew, and this is over.
                End(NodeAnswer.SourceLost, $"it could not be sealed: {status}");
            return;
        }
        if (_table.Tombstones.Contains(Id, incarnation))
        {
            _table.Store.DeleteIncarnation(Id, incarnation);
            StartOver(DeletedMeanwhile);
            return;
        }
        _table.Counters.CountObjectReceived();
        End(NodeAnswer.Fetched, null);
    }

    /// <summary>Possible in size, and not deleted. Only large objects are partly anywhere.</summary>
    private bool IsUsable(in ObjectRecord record)
    {
        ObjectImage image = ReplicaImage.Of(record);
        return image.Validate() is null && image.ImageBytes <= (record.Answer == ObjectAnswer.Inline ? Limits.InlineBytesMax : Limits.ImageBytesMax)
            && (record.Answer != ObjectAnswer.Partial || image.ImageBytes > Limits.InlineBytesMax)
            && !_table.Tombstones.Contains(Id, record.Incarnation);
    }

    /// <summary>Under the lock, by who knows that nobody writes.</summary>
    private void DropWriter()
    {
        if (!_hasWriter)
            return;
        _hasWriter = false;
        _writer.Dispose();
    }

    /// <summary>All are asked again next time, but those whose answer is still to come.</summary>
    private void ForgetCandidates()
    {
        _chosen = null;
        foreach (ref Candidate candidate in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_candidates))
            if (candidate.Standing == Standing.Has)
                candidate.Standing = Standing.Absent;
    }

    private bool IsAskedForBytes
    {
        get
        {
            foreach (Candidate candidate in _candidates)
                if (candidate.Standing == Standing.Asked && candidate.Bytes)
                    return true;
            return false;
        }
    }

    private ref Candidate CandidateOf(Peer peer)
    {
        Span<Candidate> all = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_candidates);
        for (int i = 0; i < all.Length; i++)
            if (all[i].Peer == peer)
                return ref all[i];
        _candidates.Add(new Candidate { Peer = peer, Standing = Standing.Failed });
        return ref System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_candidates)[^1];
    }

    private Peer AskAgain(ref Candidate candidate)
    {
        candidate.Standing = Standing.Asked;
        candidate.Bytes = true;
        _chosen = candidate.Peer;
        return candidate.Peer;
    }

    /// <summary>After a peer that cannot help: another that has it, if the object is not on its way already.</summary>
    private Peer? NextAfterFailure()
    {
        if (IsUnderWay || IsAskedForBytes)
            return null;
        foreach (ref Candidate candidate in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_candidates))
            if (candidate.Standing == Standing.Has)
                return AskAgain(ref candidate);
        if (!HasOpenQuestion())
            NobodyHasIt();
        return null;
    }

    private bool IsUnderWay => _large is not null || _creating || _receivingInline;

    private bool HasOpenQuestion() => IsUnderWay || _candidates.Exists(static candidate => candidate.Standing == Standing.Asked);

    private void NobodyHasIt()
    {
        SetState(_problem is not null && _candidates.TrueForAll(static candidate => candidate.Standing == Standing.Failed) && _candidates.Count > 0 ? NodeAnswer.SourceLost : NodeAnswer.NotFound);
        if (_askAgainAtMs == long.MaxValue || _askAgainAtMs < Environment.TickCount64)
            _askAgainAtMs = Environment.TickCount64 + AskAgainMs;
    }

    private void SetState(NodeAnswer state)
    {
        if (_state == state)
            return;
        _state = state;
        foreach (Waiter waiter in _waiters)
            waiter.Who.OnProgress(Id, state);
    }

    private string Describe() => _state switch
    {
        NodeAnswer.NotFound => _candidates.Count == 0 ? "no node has it, and there is none to ask" : $"none of {_candidates.Count} nodes has it{(_problem is null ? "" : $" ({_problem})")}",
        NodeAnswer.NoSpace => $"store '{_table.Store.Name}' had no room for it",
        NodeAnswer.DirectoryUnreachable => $"the directory cannot be reached: {_problem}",
        NodeAnswer.SourceLost => _problem ?? "its source was lost",
        _ => _large is { } large ? $"{large.VerifiedCount} of {large.ChunkCount} chunks had come{(_problem is null ? "" : $" ({_problem})")}" : _problem ?? "no answer yet",
    };

    private long LatestDeadline()
    {
        long latest = 0;
        foreach (Waiter waiter in _waiters)
            latest = Math.Max(latest, waiter.DeadlineTicks);
        return latest;
    }

    private long LeftMs(long nowTicks)
    {
        long latest = LatestDeadline();
        return latest <= nowTicks ? 0 : latest == long.MaxValue ? int.MaxValue : (latest - nowTicks) * 1000 / Stopwatch.Frequency;
    }
}
