using System.IO.Hashing;
using System.Runtime.InteropServices;
using FastPlasma.Native;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Nodes;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>What a peer needs of its node.</summary>
internal interface IPeerHost
{
    TransferCounters Counters { get; }

    RegionTable Regions { get; }

    /// <summary>Dials and shakes hands.</summary>
    FrameChannel Dial(NodeEndpoint endpoint, ConnectionKind kind, out Hello hello);

    /// <summary>Threads of the node.</summary>
    NodeThreads Threads { get; }

    /// <summary>The control connection is there; frames that the host sends now go before anything else. It may wait.</summary>
    /// <returns>For <see cref="OnPeerReady"/>.</returns>
    long OnPeerUp(Peer peer, FrameChannel control);

    /// <summary>From now on notices reach the peer; what happened since <see cref="OnPeerUp"/> has to be told.</summary>
    void OnPeerReady(Peer peer, FrameChannel control, long mark);

    void OnPeerDown(Peer peer, string reason);

    void OnHave(Peer peer, in HaveRecord record);

    void OnHolder(Peer peer, in HolderRecord record);

    /// <summary>An object appeared at the peer that had been asked for.</summary>
    void OnAppeared(Peer peer, in ObjectRecord record);
}

/// <summary>A transfer that uses data connections of a peer.</summary>
internal interface ILinkUser
{
    void OnLinkUp(DataLink link);

    /// <summary>No data connection could be made.</summary>
    void OnNoLink(Peer peer, string reason);
}

/// <summary>Another node as this one asks it: one control connection, and data connections while large objects need them.</summary>
/// <remarks>A thread of its own dials, receives, and dials again as long as somebody wants something of the peer, or for ever where the host wants it kept.</remarks>
internal sealed unsafe class Peer : IDisposable
{
    /// <summary>Asks on their way at once; what comes meanwhile shares the next frames.</summary>
    private const int AsksInFlightMax = 8;

    private const int BackoffFirstMs = 100, BackoffMaxMs = 5000, IdleMs = 60_000, ForgetMs = 10 * 60_000;

    /// <summary>How much longer an answer may take than any other sign of life: a peer that answers pings and no questions is no use.</summary>
    private const int AnswerFactor = 2;

    private const string NotAsked = "it is not asked any more: the node is being stopped, or had no use for it for long";

    private readonly IPeerHost _host;
    private readonly bool _keep;
    private readonly Lock _lock = new();

    // All guarded by _lock.
    private readonly Queue<(IAskTarget Target, AskRecord Record)>[] _waiting = [new(), new(), new()];
    private readonly Dictionary<ulong, (IAskTarget[] Targets, long AtMs)> _asked = [];
    private readonly List<DataLink> _links = [];
    private readonly HashSet<ILinkUser> _linkUsers = [];
    private FrameChannel? _control, _opening;
    private int _linksWanted, _linksDialing, _failures;
    private bool _threadRuns, _disposed;
    private ulong _nextTag = 1;
    private long _usedAtMs = Environment.TickCount64;
    private string? _problem;

    private readonly SemaphoreSlim _demand = new(0);
    private readonly ManualResetEventSlim _over = new(initialState: false, spinCount: 0);

    internal Peer(IPeerHost host, NodeEndpoint endpoint, bool keep)
    {
        _host = host;
        Endpoint = endpoint;
        _keep = keep;
    }

    internal NodeEndpoint Endpoint { get; }

    /// <summary>Id of its present run; empty before the first connection.</summary>
    internal Guid NodeId { get; private set; }

    internal Guid StoreUuid { get; private set; }

    /// <summary>Whether the control connection stands.</summary>
    internal bool IsUp => Volatile.Read(ref _control) is not null;

    /// <summary>Whether it is dialed again and again in vain.</summary>
    internal bool IsFailing
    {
        get
        {
            lock (_lock)
                return _threadRuns && _control is null && Volatile.Read(ref _failures) > 0;
        }
    }

    /// <summary>Why it cannot be reached; null while it can, or before it was tried.</summary>
    internal string? Problem => Volatile.Read(ref _problem);

    /// <summary>When the last bytes came from it, over any connection.</summary>
    internal long ReceivedAtMs
    {
        get
        {
            lock (_lock)
            {
                long at = _control?.ReceivedAtMs ?? 0;
                foreach (DataLink link in _links)
                    at = Math.Max(at, link.ReceivedAtMs);
                return at;
            }
        }
    }

    /// <summary>Round trip of the last ping in microseconds; -1 before the first.</summary>
    internal double PingUs { get; private set; } = -1;

    private long _pingAt, _answeredAtMs;
    private volatile bool _receivingAnswer;

    /// <summary>Keeps the connection up from now on.</summary>
    internal void Connect() => EnsureThread();

    /// <summary>Asks about one object; the answer comes to the target.</summary>
    internal void Ask(IAskTarget target) => Ask(new ReadOnlySpan<IAskTarget>(in target));

    /// <summary>Asks about many, in as few frames as can be.</summary>
    internal void Ask(ReadOnlySpan<IAskTarget> targets)
    {
        // Made before the lock is taken: no target is called under it.
        var records = new AskRecord[targets.Length];
        for (int i = 0; i < records.Length; i++)
            records[i] = targets[i].ToRecord(this);
        lock (_lock)
        {
            if (!_disposed)
            {
                for (int i = 0; i < targets.Length; i++)
                    _waiting[(int)targets[i].Priority].Enqueue((targets[i], records[i]));
                _usedAtMs = Environment.TickCount64;
                PumpAsks();
                targets = [];
            }
        }
        foreach (IAskTarget target in targets)
            target.OnAskFailed(this, NotAsked);
        EnsureThread();
    }

    /// <summary>Sends frames without answer, if the peer is there.</summary>
    /// <returns>False if it is not.</returns>
    internal bool TryNotify<T>(FrameType type, ReadOnlySpan<T> records)
        where T : unmanaged
    {
        FrameChannel? control = Volatile.Read(ref _control);
        if (control is null)
            return false;
        for (int i = 0; i < records.Length; i += Limits.RecordCountMax)
            control.Post(type, 0, records.Slice(i, Math.Min(Limits.RecordCountMax, records.Length - i)));
        return true;
    }

    /// <summary>Asks for so many data connections for a transfer, and tells it of those that are there and that come.</summary>
    internal void UseLinks(ILinkUser user, int count)
    {
        DataLink[] links;
        int dial;
        bool disposed;
        lock (_lock)
        {
            disposed = _disposed;
            links = [.. _links];
            dial = 0;
            if (!disposed)
            {
                _linkUsers.Add(user);
                _linksWanted = Math.Max(_linksWanted, count);
                dial = Math.Max(0, _linksWanted - _links.Count - _linksDialing);
                _linksDialing += dial;
                _usedAtMs = Environment.TickCount64;
            }
        }
        if (disposed)
        {
            user.OnNoLink(this, NotAsked);
            return;
        }
        foreach (DataLink link in links)
            user.OnLinkUp(link);
        for (int i = 0; i < dial; i++)
            _host.Threads.Start("fastplasma data", RunLink);
    }

    internal void Report(Exception unexpected) => _host.Threads.Report(unexpected);

    internal void StopUsingLinks(ILinkUser user)
    {
        lock (_lock)
        {
            _linkUsers.Remove(user);
            if (_linkUsers.Count == 0)
                _linksWanted = 0;
        }
    }

    /// <summary>Now and then: pings, and closes what nobody uses.</summary>
    internal void Tick(long nowMs, long pingEveryMs, long silentMaxMs, long stuckMaxMs)
    {
        FrameChannel? control = Volatile.Read(ref _control);
        List<DataLink>? close = null;
        bool idle, mute = false;
        lock (_lock)
        {
            if (_opening is { } opening && opening.StuckMs(nowMs) > stuckMaxMs)
                opening.Abort();
            foreach (DataLink link in _links)
                if (link.Channel.StuckMs(nowMs) > stuckMaxMs || (_linkUsers.Count == 0 && nowMs - Math.Max(_usedAtMs, link.ReceivedAtMs) > IdleMs))
                    (close ??= []).Add(link);
            foreach ((_, long askedAtMs) in _asked.Values)
                mute |= !_receivingAnswer && nowMs - Math.Max(askedAtMs, _answeredAtMs) > AnswerFactor * silentMaxMs;
            idle = !_keep && _asked.Count == 0 && _linkUsers.Count == 0 && nowMs - _usedAtMs > IdleMs;
        }
        foreach (DataLink link in close ?? [])
            link.Channel.Abort();
        if (control is null)
            return;
        if (control.StuckMs(nowMs) > stuckMaxMs || idle)
        {
            control.Abort();
        }
        else if (mute)
        {
            _problem = $"it has not answered a question for {AnswerFactor * silentMaxMs / 1000.0:0.0} s";
            control.Abort();
        }
        else if (nowMs - ReceivedAtMs > silentMaxMs)
        {
            _problem = $"it has been silent for {(nowMs - ReceivedAtMs) / 1000.0:0.0} s";
            control.Abort();
        }
        else if (_pingAt == 0 && nowMs - control.ReceivedAtMs > pingEveryMs)
        {
            _pingAt = System.Diagnostics.Stopwatch.GetTimestamp();
            control.Post(FrameType.Ping, PingTag);
        }
    }

    private const ulong PingTag = ulong.MaxValue;

    /// <summary>Whether it was wanted for the last time long ago. The directory may name it again, and then it is another peer.</summary>
    internal bool IsForgettable(long nowMs)
    {
        lock (_lock)
            return !_keep && !_threadRuns && _links.Count + _linksDialing + _linkUsers.Count + _asked.Count == 0 && _waiting.All(static queue => queue.Count == 0) && nowMs - _usedAtMs > ForgetMs;
    }

    public void Dispose()
    {
        DataLink[] links;
        lock (_lock)
        {
            _disposed = true;
            links = [.. _links];
            _opening?.Abort();
        }
        _demand.Release();
        _over.Set();
        Volatile.Read(ref _control)?.Abort();
        foreach (DataLink link in links)
            link.Channel.Abort();
        FailAsks(NotAsked);
    }

    private void EnsureThread()
    {
        lock (_lock)
        {
            if (_disposed || _threadRuns)
                return;
            _threadRuns = true;
        }
        _host.Threads.Start("fastplasma peer", Run);
    }

    private void Run()
    {
        while (true) // Ends when the node stops, or nobody wants anything of the peer any more.
        {
            string reason;
            try
            {
                using FrameChannel control = _host.Dial(Endpoint, ConnectionKind.Control, out Hello hello);
                (NodeId, StoreUuid) = (hello.NodeId, hello.StoreUuid);
                _failures = 0;
                reason = Serve(control);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                reason = e.Message;
                _failures++;
            }
#pragma warning disable CA1031 // The connection is lost, the peer is dialed again.
            catch (Exception e)
#pragma warning restore CA1031
            {
                reason = e.Message;
                _failures++;
                Report(e);
            }
            _problem ??= reason;
            FailAsks(_problem);
            lock (_lock)
            {
                if (_disposed || (!_keep && _linkUsers.Count == 0 && _waiting.All(static queue => queue.Count == 0)))
                {
                    _threadRuns = false;
                    return;
                }
            }
            _demand.Wait(Math.Min(BackoffMaxMs, BackoffFirstMs << Math.Min(_failures, 10)));
        }
    }

    private string Serve(FrameChannel control)
    {
        // Until the notices of the past are sent, those of the present are not; what falls between is sent after.
        lock (_lock)
        {
            _opening = control;
            if (_disposed)
                control.Abort();
        }
        long mark;
        try
        {
            mark = _host.OnPeerUp(this, control);
        }
        finally
        {
            lock (_lock)
                _opening = null;
        }
        lock (_lock)
        {
            _problem = null;
            _pingAt = 0;
            Volatile.Write(ref _control, control);
            PumpAsks();
        }
        _host.OnPeerReady(this, control, mark);
        string reason = "it closed the connection";
        try
        {
            while (!_disposed && control.TryReceive(out FrameHeader header))
                Handle(control, header);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            reason = e.Message;
            if (e is ProtocolException { IsRefusal: false })
                control.Bye(e.Message);
        }
#pragma warning disable CA1031 // Whatever it is, it costs the connection only.
        catch (Exception e)
#pragma warning restore CA1031
        {
            reason = e.Message;
            Report(e);
        }
        DataLink[] links;
        lock (_lock)
        {
            Volatile.Write(ref _control, null);
            links = [.. _links];
        }
        foreach (DataLink link in links)
            link.Channel.Abort();
        _host.OnPeerDown(this, reason);
        return reason;
    }

    private void Handle(FrameChannel control, in FrameHeader header)
    {
        switch (header.Type)
        {
            case FrameType.Objects when header.Tag == 0:
                foreach (ref readonly ObjectRecord record in control.Records<ObjectRecord>(header))
                {
                    if (record.Answer is not (ObjectAnswer.Complete or ObjectAnswer.Partial))
                        throw new ProtocolException($"{control.RemoteAddress}: an unasked answer of kind {(byte)record.Answer}");
                    _host.OnAppeared(this, record);
                }
                break;
            case FrameType.Objects:
                HandleObjects(control, header);
                break;
            case FrameType.Have:
                foreach (ref readonly HaveRecord record in control.Records<HaveRecord>(header))
                    _host.OnHave(this, record);
                break;
            case FrameType.Holders:
                foreach (ref readonly HolderRecord record in control.Records<HolderRecord>(header))
                    _host.OnHolder(this, record);
                break;
            case FrameType.Done when header.Tag == PingTag && _pingAt != 0:
                PingUs = System.Diagnostics.Stopwatch.GetElapsedTime(_pingAt).TotalMicroseconds;
                _pingAt = 0;
                break;
            case FrameType.Done:
                break;
            default:
                throw new ProtocolException($"{control.RemoteAddress}: a {header.Type} frame from a server");
        }
    }

    /// <summary>An answer: small objects are received together, each to its place.</summary>
    private void HandleObjects(FrameChannel control, in FrameHeader header)
    {
        IAskTarget[] targets;
        lock (_lock)
        {
            bool known = _asked.Remove(header.Tag, out (IAskTarget[] Targets, long) asked);
            targets = asked.Targets;
            if (!known || targets.Length != header.Count)
                throw new ProtocolException($"{control.RemoteAddress}: an answer to {header.Count} questions that were not asked");
            PumpAsks(); // The next questions are under way while these bytes come.
        }
        ReadOnlySpan<ObjectRecord> records = control.Records<ObjectRecord>(header);
        IoPart* parts = stackalloc IoPart[Limits.RecordCountMax];
        byte* scratch = stackalloc byte[1];
        Span<bool> begun = stackalloc bool[Limits.RecordCountMax];
        int partCount = 0;
        long inlineBytes = 0, discarded = 0;
        byte[]? waste = null;
        bool received = false;
        int handled = 0;
        _receivingAnswer = true; // May take long, over a slow link.
        try
        {
            for (; handled < records.Length; handled++)
            {
                ref readonly ObjectRecord record = ref records[handled];
                if (record.Id != targets[handled].Id)
                    throw new ProtocolException($"{control.RemoteAddress}: an answer about {record.Id} to a question about {targets[handled].Id}");
                if (record.Answer > ObjectAnswer.Noted || (record.Flags & ~ObjectRecord.AllFlags) != 0)
                    throw new ProtocolException($"{control.RemoteAddress}: an answer of kind {(byte)record.Answer} with flags {record.Flags}");
                if (record.Answer != ObjectAnswer.Inline)
                    continue;
                long imageBytes = ReplicaImage.Of(record) is { } image && image.Validate() is null ? image.ImageBytes : -1;
                if (imageBytes is < 0 or > Limits.InlineBytesMax || (inlineBytes += imageBytes) > Limits.AnswerBytesMax)
                    throw new ProtocolException($"{control.RemoteAddress}: an inline object of impossible sizes, payload {record.PayloadBytes}");
                byte* place = targets[handled].BeginInline(this, record, imageBytes);
                begun[handled] = place is not null;
                if (place is null && imageBytes > 0)
                {
                    waste ??= GC.AllocateUninitializedArray<byte>(Limits.InlineBytesMax, pinned: true);
                    place = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(waste, 0);
                    discarded += imageBytes;
                }
                parts[partCount++] = new IoPart(imageBytes == 0 ? scratch : place, (nuint)imageBytes);
            }
            if (inlineBytes > 0)
                control.ReceiveBytes(new ReadOnlySpan<IoPart>(parts, partCount));
            received = true;
        }
        finally
        {
            Volatile.Write(ref _answeredAtMs, Environment.TickCount64);
            _receivingAnswer = false;
            int part = 0;
            for (int i = 0; i < records.Length; i++)
            {
                ref readonly ObjectRecord record = ref records[i];
                bool inline = i < handled && record.Answer == ObjectAnswer.Inline;
                if (!received)
                {
                    if (inline && begun[i])
                        targets[i].EndInline(this, record, ReceiveEnd.Broken);
                    else
                        targets[i].OnAskFailed(this, $"{control.RemoteAddress} broke the protocol or the connection");
                    continue;
                }
                if (!inline)
                {
                    targets[i].OnAnswer(this, record);
                    continue;
                }
                IoPart place = parts[part++];
                if (begun[i])
                {
                    bool isGood = XxHash3.HashToUInt64(new ReadOnlySpan<byte>(place.Address, (int)place.Bytes)) == record.InlineCheck;
                    _host.Counters.CountReceived((long)place.Bytes, isGood);
                    targets[i].EndInline(this, record, isGood ? ReceiveEnd.Good : ReceiveEnd.Damaged);
                }
            }
            if (!received)
                _host.Counters.CountBroken(inlineBytes);
            else if (discarded > 0)
                _host.Counters.CountDiscarded(discarded);
        }
    }

    /// <summary>Sends what waits to be asked, most urgent first. Under the lock.</summary>
    private void PumpAsks()
    {
        FrameChannel? control = _control;
        if (control is null)
            return;
        Span<AskRecord> records = stackalloc AskRecord[Limits.RecordCountMax];
        while (_asked.Count < AsksInFlightMax) // Ends: each round takes from the queues.
        {
            var batch = new List<IAskTarget>();
            foreach (Queue<(IAskTarget, AskRecord)> queue in _waiting)
                while (batch.Count < records.Length && queue.TryDequeue(out (IAskTarget Target, AskRecord Record) next))
                {
                    records[batch.Count] = next.Record;
                    batch.Add(next.Target);
                }
            if (batch.Count == 0)
                return;
            ulong tag = _nextTag++;
            _asked.Add(tag, ([.. batch], Environment.TickCount64));
            control.Post(FrameType.Ask, tag, (ReadOnlySpan<AskRecord>)records[..batch.Count]);
        }
    }

    private void FailAsks(string reason)
    {
        List<IAskTarget> failed = [];
        lock (_lock)
        {
            foreach ((IAskTarget[] targets, _) in _asked.Values)
                failed.AddRange(targets);
            _asked.Clear();
            foreach (Queue<(IAskTarget Target, AskRecord)> queue in _waiting)
            {
                failed.AddRange(queue.Select(static next => next.Target));
                queue.Clear();
            }
        }
        foreach (IAskTarget target in failed)
            target.OnAskFailed(this, reason);
    }

    /// <summary>One data connection, and another in its place when it breaks while it is wanted and the peer is there.</summary>
    private void RunLink()
    {
        for (int failures = 0; ; failures++) // Ends when no connection is wanted any more, or none can be made.
        {
            DataLink? link = DialLink(out string reason);
            if (link is not null)
            {
                failures = 0;
                reason = link.Run();
            }
            ILinkUser[] users;
            bool none, again;
            lock (_lock)
            {
                if (link is null)
                    _linksDialing--;
                else
                    _links.Remove(link);
                users = [.. _linkUsers];
                again = !_disposed && users.Length > 0 && _control is not null && _links.Count + _linksDialing < _linksWanted && failures < RedialsMax;
                if (again)
                    _linksDialing++;
                none = _links.Count == 0 && _linksDialing == 0;
            }
            if (none)
                foreach (ILinkUser user in users)
                    user.OnNoLink(this, reason);
            if (!again)
                return;
            _over.Wait(BackoffFirstMs << failures);
        }
    }

    private const int RedialsMax = 4;

    /// <summary>A connection that its users know of; null if there is none.</summary>
    private DataLink? DialLink(out string reason)
    {
        reason = "";
        DataLink link;
        try
        {
            FrameChannel channel = _host.Dial(Endpoint, ConnectionKind.Data, out Hello hello);
            if (NodeId != Guid.Empty && hello.NodeId != NodeId)
            {
                channel.Dispose();
                reason = $"{Endpoint} is another node now";
                return null;
            }
            link = new DataLink(this, channel, _host.Regions, _host.Counters);
        }
#pragma warning disable CA1031 // Whatever it is, there is no connection, and who waits for it must be told.
        catch (Exception e)
#pragma warning restore CA1031
        {
            reason = e.Message;
            if (e is not (IOException or ObjectDisposedException))
                Report(e);
            return null;
        }
        ILinkUser[] users;
        lock (_lock)
        {
            _linksDialing--;
            _links.Add(link);
            if (_disposed)
                link.Channel.Abort();
            users = [.. _linkUsers];
        }
        foreach (ILinkUser user in users)
            user.OnLinkUp(link);
        return link;
    }
}
