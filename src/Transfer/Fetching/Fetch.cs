using System.Diagnostics;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>One object that somebody wants and the store does not have: finds out which node has it, and gets it. However many want it, there is one fetch.</summary>
/// <remarks>
/// Peers are asked without bytes until one says that it has the object, or with bytes at once if there is only one to ask. Small objects come inside the answer; for large ones a <see cref="LargeTransfer"/> begins.
/// If nobody has it, the fetch goes on until its last waiter's deadline: the peers tell when it appears, and are asked again now and then.
/// Threads: everything that is not constant is guarded by the fetch's lock. It is taken after no other lock but that of its transfer, which never calls back while it holds its own.
/// </remarks>
internal sealed unsafe class Fetch : IAskTarget
{
    private const int AskAgainMs = 2000, DamagedMax = 3, NamedMax = 32;

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
    private readonly List<Waiter> _waiters = [];
    private readonly List<Candidate> _candidates = [];
    private readonly List<(Peer Peer, ulong Incarnation)> _named = [];
    private Peer? _chosen;
    private LargeTransfer? _large;
    private ObjectWriter _writer;
    private ulong _writerIncarnation;
    private bool _hasWriter, _receivingInline, _creating, _done, _locating;
    private int _damaged;
    private long _askAgainAtMs = long.MaxValue;
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
    /// <returns>Those that are to be asked now; the caller asks them, together with other objects.</returns>
    internal List<Peer> AddCandidates(ReadOnlySpan<Peer> peers, bool located)
    {
        List<Peer> ask = [];
        lock (_lock)
        {
            _locating = false;
            if (_done)
                return ask;
            foreach (Peer peer in peers)
            {
                ref Candidate candidate = ref CandidateOf(peer);
                if (candidate.Standing is Standing.Asked or Standing.Has)
                    continue;
                if (located && IsUnderWay && ask.Count == SourceLimits.PartialMax)
                    break; // As many sources as one object is taken from; a directory may know thousands.
                // One that has it, as far as is known, is asked for the bytes at once; of many that may have it, first who does.
                bool bytes = (located || peers.Length == 1) && _chosen is null && !IsUnderWay;
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
        return ask;
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

    AskRecord IAskTarget.ToRecord(Peer peer)
    {
        lock (_lock)
        {
            long leftMs = LeftMs(Stopwatch.GetTimestamp());
            bool bytes = false;
            foreach (Candidate candidate in _candidates)
                bytes |= candidate.Peer == peer && candidate.Bytes;
            return new AskRecord
            {
                Id = Id,
                Flags = (bytes ? 0 : AskRecord.NoBytes) | (leftMs > 0 ? AskRecord.TellMe : 0),
                TellMs = (uint)Math.Clamp(leftMs, 0, FetchTable.TellMsMax),
            };
        }
    }

    void IAskTarget.OnAnswer(Peer peer, in ObjectRecord record)
    {
        Peer? ask = null;
        bool create = false;
        lock (_lock)
        {
            if (_done)
                return;
            ref Candidate candidate = ref CandidateOf(peer);
            bool wasChosen = _chosen == peer && candidate.Bytes;
            bool has = record.Answer is (ObjectAnswer.Complete or ObjectAnswer.Partial or ObjectAnswer.Later) && IsUsable(record);
            if (!has)
            {
                candidate.Standing = Standing.Absent;
                if (record.Answer == ObjectAnswer.Deleted)
                    _problem = $"{peer.Endpoint} says that it was deleted";
                else if (_table.KnowsLocations)
                    _table.Correct(Id, peer, record.Incarnation);
                if (wasChosen)
                    _chosen = null;
                ask = NextAfterFailure();
            }
            else
            {
                candidate.Standing = Standing.Has;
                candidate.Record = record;
                candidate.Bytes = false;
                if (_large is { } large)
                {
                    large.AddSource(peer, record);
                }
                else if (_creating)
                {
                    // Added when the memory is there.
                }
                else if (_chosen is null || _chosen == peer)
                {
                    _chosen = peer;
                    if (record.Answer == ObjectAnswer.Later || (record.Answer == ObjectAnswer.Complete && ReplicaImage.Of(record).ImageBytes <= Limits.InlineBytesMax))
                    {
                        candidate.Bytes = true;
                        candidate.Standing = Standing.Asked;
                        ask = peer;
                    }
                    else
                    {
                        create = _creating = true;
                    }
                }
            }
        }
        ask?.Ask(this);
        if (create)
            _table.Admit(this);
    }

    byte* IAskTarget.BeginInline(Peer peer, in ObjectRecord record, long imageBytes)
    {
        bool wait = false;
        lock (_lock)
        {
            if (_done || _receivingInline || _large is not null)
                return null;
            ref Candidate candidate = ref CandidateOf(peer);
            candidate.Standing = Standing.Has;
            candidate.Record = record;
            candidate.Bytes = false;
            _chosen = peer;
            if (_table.Tombstones.Contains(Id, record.Incarnation))
            {
                candidate.Standing = Standing.Absent;
                return null;
            }
            if (_hasWriter && _writerIncarnation != record.Incarnation)
            {
                _writer.Dispose();
                _hasWriter = false;
            }
            if (!_hasWriter)
            {
                PlasmaStatus status = _creating ? PlasmaStatus.StoreFull : _table.Store.TryCreateReplica(ReplicaImage.Of(record), TimeSpan.Zero, CancellationToken.None, out _writer);
                if (status == PlasmaStatus.Ok)
                {
                    _hasWriter = true;
                    _writerIncarnation = record.Incarnation;
                }
                else
                {
                    wait = !_creating;
                    _creating = true;
                }
            }
            if (_hasWriter)
            {
                _receivingInline = true;
                return _writer.ImageAddress;
            }
        }
        if (wait)
            _table.Admit(this); // Waits for memory, or finds out why there is none, on a thread that may.
        return null;
    }

    void IAskTarget.EndInline(Peer peer, in ObjectRecord record, bool isGood)
    {
        Peer? ask = null;
        lock (_lock)
        {
            _receivingInline = false;
            if (_done)
            {
                _writer.Dispose(); // Who ended it left that to this thread, which was writing.
                _hasWriter = false;
                return;
            }
            if (!isGood)
            {
                _damaged++;
                ref Candidate candidate = ref CandidateOf(peer);
                candidate.Standing = Standing.Failed;
                _chosen = null;
                _problem = $"what {peer.Endpoint} sent was damaged on the way";
                if (_damaged < DamagedMax)
                    ask = AskAgain(ref candidate);
            }
        }
        if (isGood)
        {
            Seal(record.Incarnation);
            return;
        }
        if (ask is not null)
            ask.Ask(this);
        else if (_damaged >= DamagedMax)
            End(NodeAnswer.Damaged, _problem);
    }

    void IAskTarget.OnAskFailed(Peer peer, string reason)
    {
        Peer? ask;
        lock (_lock)
        {
            if (_done)
                return;
            ref Candidate candidate = ref CandidateOf(peer);
            if (candidate.Standing == Standing.Asked || !candidate.Bytes)
                candidate.Standing = Standing.Failed;
            if (_chosen == peer)
                _chosen = null;
            _problem = $"{peer.Endpoint}: {reason}";
            ask = NextAfterFailure();
        }
        ask?.Ask(this);
    }

    /// <summary>Memory may be taken now. If there is none, it is waited for on a thread of its own.</summary>
    internal void Create(bool mayWait)
    {
        ObjectRecord record = default;
        using var cancel = new CancellationTokenSource();
        long leftTicks;
        lock (_lock)
        {
            Peer? peer = _chosen;
            int at = _candidates.FindIndex(candidate => candidate.Peer == peer && candidate.Standing is Standing.Has);
            if (at < 0)
                at = _candidates.FindIndex(candidate => candidate.Standing is Standing.Has);
            if (_done || at < 0)
            {
                _creating = false;
                if (!_done)
                    NobodyHasIt();
                return;
            }
            record = _candidates[at].Record;
            _chosen = _candidates[at].Peer;
            leftTicks = _waiters.Count == 0 ? 0 : _waiters.Max(static waiter => waiter.DeadlineTicks);
        }
        ObjectImage image = ReplicaImage.Of(record);
        if (image.Validate() is { } wrong || image.ImageBytes > Limits.ImageBytesMax)
        {
            End(NodeAnswer.Refused, $"{_chosen!.Endpoint} describes an impossible object");
            return;
        }
        PlasmaStatus status;
        ObjectWriter writer;
        try
        {
            lock (_lock)
            {
                if (_done)
                    return;
                _cancelCreate = cancel.Cancel;
            }
            status = _table.Store.TryCreateReplica(image, mayWait ? FetchTable.TimeLeft(leftTicks) : TimeSpan.Zero, cancel.Token, out writer);
            if (!mayWait && status is PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects)
            {
                lock (_lock)
                    SetState(NodeAnswer.NoSpace);
                new Thread(() => Create(mayWait: true)) { IsBackground = true, Name = "fastplasma space" }.Start();
                return;
            }
        }
        catch (OperationCanceledException)
        {
            return; // Ended meanwhile, and told.
        }
        catch (Exception e) when (e is ArgumentException or PlasmaException or ObjectDisposedException or InvalidOperationException)
        {
            End(NodeAnswer.NoSpace, e.Message);
            return;
        }
        finally
        {
            lock (_lock)
                _cancelCreate = null; // Under the lock, so that nobody cancels what is disposed next.
        }
        Created(status, writer, image, record);
    }

    private void Created(PlasmaStatus status, ObjectWriter writer, in ObjectImage image, in ObjectRecord record)
    {
        Peer? ask = null;
        bool ended = false;
        List<(Peer, ObjectRecord)> sources = [];
        LargeTransfer? large = null;
        lock (_lock)
        {
            if (status == PlasmaStatus.Ok && _done)
            {
                writer.Dispose();
                return;
            }
            _creating = false;
            switch (status)
            {
                case PlasmaStatus.Ok when image.ImageBytes <= Limits.InlineBytesMax && record.Answer != ObjectAnswer.Partial:
                    (_writer, _hasWriter, _writerIncarnation) = (writer, true, image.Incarnation);
                    SetState(NodeAnswer.None);
                    if (_chosen is { } chosen)
                    {
                        ref Candidate candidate = ref CandidateOf(chosen);
                        ask = AskAgain(ref candidate);
                    }
                    break;
                case PlasmaStatus.Ok:
                    SetState(NodeAnswer.None);
                    large = new LargeTransfer(_table, this, image, writer, record.FirstChunk);
                    Volatile.Write(ref _large, large);
                    foreach (Candidate candidate in _candidates)
                        if (candidate.Standing == Standing.Has)
                            sources.Add((candidate.Peer, candidate.Record));
                    break;
                case PlasmaStatus.Exists:
                    // Somebody of this machine makes it, or has just made it: its seal ends this fetch. If it is given up instead, the next look asks again.
                    _chosen = null;
                    _askAgainAtMs = Environment.TickCount64 + AskAgainMs / 4;
                    ended = _table.Store.Contains(Id);
                    break;
                default:
                    ended = true;
                    break;
            }
        }
        if (large is not null)
        {
            foreach ((Peer peer, ObjectRecord its) in sources)
                large.AddSource(peer, its);
            _table.OnTransferBegan(this, large);
            (Peer, ulong)[] named;
            lock (_lock)
                named = [.. _named];
            foreach ((Peer peer, ulong incarnation) in named)
                ConsiderSource(peer, incarnation);
            AskTheOthers();
        }
        ask?.Ask(this);
        if (!ended)
            return;
        if (status == PlasmaStatus.Exists)
            End(NodeAnswer.Fetched, null);
        else if (status == PlasmaStatus.TooLarge)
            End(NodeAnswer.TooLarge, $"{image.ImageBytes} bytes can never fit into store '{_table.Store.Name}'");
        else
            End(NodeAnswer.NoSpace, $"{image.ImageBytes} bytes had no room in store '{_table.Store.Name}' in time ({status})");
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
                if (_named.Count < NamedMax && !_named.Contains((peer, incarnation)))
                    _named.Add((peer, incarnation)); // The memory is being made.
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
        if (AddCandidates([peer], located: true).Count > 0)
            peer.Ask(this);
    }

    /// <summary>It appeared at a peer that had been asked.</summary>
    internal void OnAppeared(Peer peer, in ObjectRecord record) => ((IAskTarget)this).OnAnswer(peer, record);

    /// <summary>The transfer has no source left that has what is missing.</summary>
    internal void OnSourceless(string reason)
    {
        lock (_lock)
        {
            if (_done)
                return;
            _problem = reason;
            SetState(NodeAnswer.SourceLost);
            for (int i = 0; i < _candidates.Count; i++)
                if (_large!.IsSource(_candidates[i].Peer) is false)
                    _candidates[i] = _candidates[i] with { Standing = Standing.Failed };
            _askAgainAtMs = Environment.TickCount64 + FetchTable.TickMs;
        }
    }

    /// <summary>The id was sealed here, by this fetch or by anybody.</summary>
    internal void OnSealedHere()
    {
        if (Volatile.Read(ref _large) is null && !_receivingInline)
            End(NodeAnswer.Fetched, null);
    }

    /// <summary>The incarnation was deleted somewhere.</summary>
    internal void OnDeleted(ulong incarnation)
    {
        bool hit;
        lock (_lock)
            hit = !_done && (_large?.Image.Incarnation == incarnation || (_hasWriter && _writerIncarnation == incarnation));
        if (hit)
            End(NodeAnswer.NotFound, "it was deleted while it was being received");
    }

    /// <summary>Deadlines, and questions that are due again.</summary>
    internal void Tick(long nowMs, long nowTicks)
    {
        List<Waiter>? late = null;
        NodeAnswer answer = NodeAnswer.TimedOut;
        string? problem = null;
        bool over = false, again = false;
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
            again = !over && !_locating && !_creating && nowMs >= _askAgainAtMs;
            if (again)
            {
                _askAgainAtMs = nowMs + AskAgainMs;
                _locating = true;
            }
        }
        foreach (Waiter waiter in late ?? [])
            waiter.Who.OnFetched(Id, answer, problem);
        if (over)
            End(answer, problem);
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
            waiters = [.. _waiters];
            _waiters.Clear();
            if (_hasWriter && !_receivingInline)
            {
                _writer.Dispose();
                _hasWriter = false;
            }
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
        AfterSeal(status, incarnation);
    }

    /// <summary>Between the tombstone's entry and the delete that follows it stands the seal, or the seal comes before both: either the deleter finds the object, or this look finds the tombstone.</summary>
    internal void AfterSeal(PlasmaStatus status, ulong incarnation)
    {
        if (status != PlasmaStatus.Ok)
        {
            End(NodeAnswer.SourceLost, $"it could not be sealed: {status}");
            return;
        }
        if (_table.Tombstones.Contains(Id, incarnation))
        {
            _table.Store.DeleteIncarnation(Id, incarnation);
            End(NodeAnswer.NotFound, "it was deleted while it was being received");
            return;
        }
        _table.Counters.CountObjectReceived();
        End(NodeAnswer.Fetched, null);
    }

    private bool IsUsable(in ObjectRecord record) => !_table.Tombstones.Contains(Id, record.Incarnation);

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
        if (IsUnderWay || _chosen is not null)
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

    private long LeftMs(long nowTicks)
    {
        long latest = 0;
        foreach (Waiter waiter in _waiters)
            latest = Math.Max(latest, waiter.DeadlineTicks);
        return latest <= nowTicks ? 0 : latest == long.MaxValue ? int.MaxValue : (latest - nowTicks) * 1000 / Stopwatch.Frequency;
    }
}
