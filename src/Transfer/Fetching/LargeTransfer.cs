using FastPlasma.Nodes;
using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Serving;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>One large object on its way into the store, chunk by chunk, from one or several nodes; and, while it comes, out of it again to others.</summary>
/// <remarks>
/// The memory is the block of an object that this process is creating. Who writes a chunk into it, or sends one from it, is counted as a user. Sealing, or giving the object up, closes the transfer: nobody becomes a user after that, and the last one to leave does what remains.
/// A chunk that is being received is taken out of that state only by the thread that receives it, so no late byte can reach memory that was sealed or given back.
/// Threads: all that is not constant is guarded by the transfer's lock. The fetch is never called under it.
/// </remarks>
internal sealed unsafe class LargeTransfer : IRegion, ILinkUser
{
    private const int BadMax = 3;

    private sealed class Source(Peer peer, int index)
    {
        internal readonly Peer Peer = peer;
        internal readonly int Index = index;
        internal readonly Dictionary<DataLink, List<int>> Asked = [];
    }

    private readonly FetchTable _table;
    private readonly Fetch _fetch;
    private readonly Lock _lock = new();
    private readonly FetchPlan _plan;
    private readonly List<Source> _sources = [];
    private readonly List<IRelaySubscriber> _subscribers = [];
    private readonly ObjectWriter _writer;
    private readonly byte* _memory;
    private readonly ulong _key;
    private readonly int _chunkBytes;

    // Links whose threads write into the memory just now.
    private readonly List<DataLink> _receiving = [];
    private int _users;
    private bool _closed, _sealing, _ended;
    private PlasmaObject _pinned;
    private readonly Patience _patience;
    private long _stallMs;

    internal LargeTransfer(FetchTable table, Fetch fetch, in ObjectImage image, in ObjectWriter writer, uint firstChunk)
    {
        _table = table;
        _fetch = fetch;
        Image = image;
        _writer = writer;
        _memory = writer.ImageAddress;
        _chunkBytes = Limits.ChunkBytesOf(image.ImageBytes);
        ChunkCount = Limits.ChunkCountOf(image.ImageBytes);
        _patience = new Patience(firstChunk);
        _plan = new FetchPlan(ChunkCount, (int)(firstChunk % (uint)ChunkCount));
        _stallMs = table.StallMs;
        _key = table.Regions.Register(this);
    }

    internal ObjectImage Image { get; }

    internal int ChunkCount { get; }

    internal int VerifiedCount
    {
        get
        {
            lock (_lock)
                return _plan.Verified.Count;
        }
    }

    /// <summary>Whether one more source is worth looking for.</summary>
    internal bool WantsSources
    {
        get
        {
            lock (_lock)
                return !_closed && !_sealing && SourceLimits.WantsMore(_plan);
        }
    }

    /// <summary>Whether the memory is given back, or sealed and let go.</summary>
    internal bool IsEnded
    {
        get
        {
            lock (_lock)
                return _ended;
        }
    }

    /// <summary>Null if the peer never was one.</summary>
    internal bool? IsSource(Peer peer)
    {
        lock (_lock)
            return _sources.FindLast(source => source.Peer == peer) is { } source ? _plan.IsSource(source.Index) : null;
    }

    /// <summary>The peer has the same incarnation, or part of it.</summary>
    internal void AddSource(Peer peer, in ObjectRecord record)
    {
        if (record.Incarnation != Image.Incarnation || record.Answer is not (ObjectAnswer.Complete or ObjectAnswer.Partial or ObjectAnswer.Inline) || ReplicaImage.Of(record).ImageBytes != Image.ImageBytes)
            return;
        bool partial = record.Answer == ObjectAnswer.Partial;
        lock (_lock)
        {
            if (_closed || _sealing)
                return;
            Source? source = _sources.FindLast(source => source.Peer == peer);
            if (source is null || !_plan.IsSource(source.Index))
            {
                if (!SourceLimits.Takes(_plan, partial, (record.Flags & ObjectRecord.CrowdedFlag) != 0))
                    return;
                source = new Source(peer, _plan.AddSource());
                _sources.Add(source);
            }
            if (!partial)
                _plan.SourceIsComplete(source.Index, (record.Flags & ObjectRecord.CrowdedFlag) != 0);
        }
        peer.UseLinks(this, SourceLimits.LinksTo(partial, _table.Streams));
        bool over;
        lock (_lock)
            over = _closed;
        if (over)
            peer.StopUsingLinks(this); // Who closed it may have done so before the peer knew of it.
        else
            PumpAll();
    }

    /// <summary>What a partial source has by now.</summary>
    internal void OnHave(Peer peer, in HaveRecord record)
    {
        bool lost = false;
        lock (_lock)
        {
            if (_closed || _sealing || record.Incarnation != Image.Incarnation || _sources.FindLast(source => source.Peer == peer) is not { } source)
                return;
            if ((record.Flags & HaveRecord.GoneFlag) != 0)
            {
                _plan.RemoveSource(source.Index);
                lost = true;
            }
            else if ((record.Flags & HaveRecord.CompleteFlag) != 0)
            {
                _plan.SourceHas(source.Index, 0, ChunkCount); // Still one of those that take it together, not one to be spared.
            }
            else if (record.First < 0 || record.Count < 0 || record.First > ChunkCount || record.Count > ChunkCount - record.First)
            {
                return; // Nonsense of a peer that is let in; its chunks are checked anyway.
            }
            else if ((record.Flags & HaveRecord.ExpectedFlag) != 0)
            {
                _plan.SourceExpects(source.Index, record.First, record.Count);
            }
            else
            {
                _plan.SourceHas(source.Index, record.First, record.Count);
            }
            Pump(source);
        }
        if (lost)
            LookForLostSources($"{peer.Endpoint} gave the object up");
    }

    void ILinkUser.OnLinkUp(DataLink link)
    {
        lock (_lock)
        {
            if (_closed || _sealing || _sources.FindLast(source => source.Peer == link.Peer) is not { } source || source.Asked.ContainsKey(link))
                return;
            if (!link.TryUse(this))
                return;
            source.Asked.Add(link, []);
            Pump(source);
        }
    }

    void ILinkUser.OnNoLink(Peer peer, string reason)
    {
        lock (_lock)
        {
            if (_closed || _sources.FindLast(source => source.Peer == peer) is not { } source || !_plan.IsSource(source.Index))
                return;
            _plan.RemoveSource(source.Index);
        }
        PumpAll();
        LookForLostSources($"{peer.Endpoint}: {reason}");
    }

    void IRegion.OnLinkDown(DataLink link, string reason)
    {
        lock (_lock)
        {
            foreach (Source source in _sources)
                if (source.Asked.Remove(link, out List<int>? asked))
                    foreach (int chunk in asked)
                        _plan.Failed(source.Index, chunk); // Those that were being received have ended before: this is the thread that received them.
        }
        PumpAll();
    }

    byte* IRegion.BeginReceive(DataLink link, in ChunkRecord chunk)
    {
        (int index, int bytes) = Locate(link, chunk);
        lock (_lock)
        {
            if (_closed || _sources.FindLast(source => source.Asked.ContainsKey(link)) is not { } source || !source.Asked[link].Contains(index) || !_plan.TryBeginReceive(source.Index, index))
                return null;
            _users++;
            _receiving.Add(link);
            return _memory + (long)index * _chunkBytes; // SAFETY: Locate bounded the index, and bytes is the length of that chunk.
        }
    }

    void IRegion.EndReceive(DataLink link, in ChunkRecord chunk, ReceiveEnd end)
    {
        int index = (int)(chunk.RegionOffset / _chunkBytes);
        bool complete = false, bad = false;
        lock (_lock)
        {
            _receiving.Remove(link);
            Source? source = _sources.FindLast(source => source.Asked.ContainsKey(link));
            source?.Asked[link].Remove(index);
            if (end == ReceiveEnd.Good)
            {
                if (source is not null && !_plan.IsCrowdedSource(source.Index))
                    _patience.Renew();
                _plan.Arrived(index);
                complete = _plan.IsComplete && !_sealing && !_closed;
                _sealing |= complete;
                Tell(new HaveRecord { Id = Image.Id, Incarnation = Image.Incarnation, First = index, Count = 1 });
            }
            else
            {
                // The peer may have been lost and found again as another source meanwhile: the chunk is the old one's.
                int from = _plan.ReceiveFailed(index);
                bad = end == ReceiveEnd.Damaged && _plan.CountBad(from) >= BadMax;
                if (bad)
                    _plan.RemoveSource(from);
            }
            if (source is not null && !_sealing && !_closed && end != ReceiveEnd.Broken)
                Pump(source);
            if (!complete)
                _users--; // Who seals stays a user until that is done: a close meanwhile leaves the rest to it.
        }
        if (complete)
            Seal();
        else if (bad)
            LookForLostSources($"{link.Peer.Endpoint} sends damaged chunks");
        EndIfUnused();
    }

    void IRegion.OnRefused(DataLink link, in ChunkRecord chunk)
    {
        (int index, _) = Locate(link, chunk);
        bool lost;
        lock (_lock)
        {
            if (_closed || _sources.FindLast(source => source.Asked.ContainsKey(link)) is not { } source || !source.Asked[link].Remove(index))
                return;
            _plan.SourceLacks(source.Index, index);
            lost = chunk.Reason != RefusalReason.NotYet;
            if (lost)
                _plan.RemoveSource(source.Index);
        }
        PumpAll();
        if (lost)
            LookForLostSources($"{link.Peer.Endpoint} refuses: {chunk.Reason}");
    }

    /// <summary>A node asks for the object: it is told what there is and, until the end, what comes. After the answer that says Partial was sent.</summary>
    /// <returns>False if the transfer is over: the object is here, or will not be.</returns>
    internal bool TrySubscribe(IRelaySubscriber subscriber)
    {
        var runs = new List<HaveRecord>();
        lock (_lock)
        {
            if (_closed || _sealing)
                return false;
            if (!_subscribers.Contains(subscriber))
                _subscribers.Add(subscriber);
            for (int chunk = 0; chunk < ChunkCount; chunk++)
            {
                if (!_plan.Verified.Contains(chunk))
                    continue;
                int first = chunk;
                while (chunk + 1 < ChunkCount && _plan.Verified.Contains(chunk + 1))
                    chunk++;
                runs.Add(new HaveRecord { Id = Image.Id, Incarnation = Image.Incarnation, First = first, Count = chunk - first + 1 });
            }
            foreach (int chunk in _plan.Expected())
                runs.Add(Expect(chunk));
            for (int i = 0; i < runs.Count; i += Limits.RecordCountMax)
                subscriber.Tell(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(runs).Slice(i, Math.Min(Limits.RecordCountMax, runs.Count - i)));
        }
        return true;
    }

    internal void Unsubscribe(IRelaySubscriber subscriber)
    {
        lock (_lock)
            _subscribers.Remove(subscriber);
    }

    /// <summary>A part that others may be sent now; <see cref="EndSend"/> follows.</summary>
    internal bool TryBeginSend(long offset, int bytes, out byte* address, out RefusalReason reason)
    {
        address = null;
        reason = RefusalReason.OutOfBounds;
        if (bytes <= 0 || offset < 0 || offset > Image.ImageBytes - bytes)
            return false;
        lock (_lock)
        {
            reason = RefusalReason.Absent;
            if (_closed && !_sealing)
                return false;
            reason = RefusalReason.NotYet;
            for (long chunk = offset / _chunkBytes; chunk <= (offset + bytes - 1) / _chunkBytes; chunk++)
                if (!_plan.Verified.Contains((int)chunk))
                    return false;
            if (_ended)
                return false;
            _users++;
            address = _memory + offset;
            return true;
        }
    }

    internal void EndSend()
    {
        lock (_lock)
            _users--;
        EndIfUnused();
    }

    /// <summary>The fetch has ended. Without success the memory goes back as soon as nobody uses it.</summary>
    internal void Close(bool isFetched)
    {
        _table.Regions.Unregister(_key);
        DataLink[] links;
        Peer[] peers;
        lock (_lock)
        {
            if (_closed)
                return;
            _closed = true;
            links = [.. _sources.SelectMany(static source => source.Asked.Keys)];
            peers = [.. _sources.Select(static source => source.Peer).Distinct()];
            Tell(new HaveRecord { Id = Image.Id, Incarnation = Image.Incarnation, Flags = isFetched ? HaveRecord.CompleteFlag : HaveRecord.GoneFlag });
            _subscribers.Clear();
        }
        var release = new ReleaseRecord { Id = Image.Id, Incarnation = Image.Incarnation };
        foreach (DataLink link in links)
            link.StopUsing(this, release);
        foreach (Peer peer in peers)
            peer.StopUsingLinks(this);
        EndIfUnused();
    }

    /// <summary>Of a transfer that was closed some time ago: breaks connections that still have not brought the rest of their chunk, so that the memory can go back.</summary>
    internal void BreakReceives()
    {
        DataLink[] links;
        lock (_lock)
            links = [.. _receiving];
        foreach (DataLink link in links)
            link.Channel.Abort();
    }

    /// <summary>Breaks connections that owe chunks and have gone silent, so that others are asked; each time with more patience.</summary>
    internal void Tick(long nowMs)
    {
        List<DataLink>? silent = null;
        bool uncovered, starved;
        lock (_lock)
        {
            if (_closed || _sealing)
                return;
            foreach (Source source in _sources)
                foreach ((DataLink link, List<int> asked) in source.Asked)
                    if (asked.Count > 0 && nowMs - Math.Max(link.ReceivedAtMs, _pumpedAtMs) > _stallMs)
                        (silent ??= []).Add(link);
            if (silent is not null)
                _stallMs = Math.Min(_stallMs * 2, 60_000);
            uncovered = !_plan.IsCovered;
            starved = _patience.Tick(nowMs, _plan.UnderWayCount == 0);
            foreach (Source source in _patience.IsSpent ? _sources : [])
                Pump(source);
        }
        foreach (DataLink link in silent ?? [])
            link.Channel.Abort();
        if (uncovered)
            _fetch.OnSourceless(this, "no node that is left has all the chunks that are missing");
        else if (starved)
            _fetch.AskWhoElse();
        PumpAll(); // Links that had no room for this transfer's questions because of others' may have some now.
    }

    private long _pumpedAtMs;

    private void LookForLostSources(string reason)
    {
        bool none;
        lock (_lock)
            none = !_closed && !_sealing && !_plan.IsCovered;
        if (none)
            _fetch.OnSourceless(this, reason);
    }

    private void Seal()
    {
        _table.Regions.Unregister(_key);
        var status = PlasmaStatus.Closed;
        PlasmaObject pinned = default;
        try
        {
            status = _table.Store.SealAndPin(_writer, out pinned);
        }
        finally
        {
            lock (_lock)
            {
                _pinned = pinned;
                _sealing = status == PlasmaStatus.Ok; // Else the memory goes back as of any transfer that fails.
                _users--;
            }
            _fetch.AfterSeal(this, status, Image.Incarnation);
        }
    }

    /// <summary>The last user after the close gives back what is left: the pin of a sealed object, or the memory of one that was given up.</summary>
    private void EndIfUnused()
    {
        lock (_lock)
        {
            if (!_closed || _users > 0 || _ended)
                return;
            _ended = true; // From here on nobody else changes what follows.
        }
        if (_sealing)
            _pinned.Dispose();
        else
            _writer.Dispose();
    }

    /// <summary>Which chunk this is. It can be one that is not wanted any more, but not one that could never have been asked for.</summary>
    private (int Index, int Bytes) Locate(DataLink link, in ChunkRecord chunk)
    {
        long index = chunk.RegionOffset / _chunkBytes;
        if (chunk.RegionOffset < 0 || chunk.RegionOffset % _chunkBytes != 0 || index >= ChunkCount || chunk.Bytes != BytesOf((int)index))
            throw new ProtocolException($"{link.Peer.Endpoint}: {chunk.Bytes} bytes at {chunk.RegionOffset} are no chunk of an image of {Image.ImageBytes} bytes");
        if (chunk.Incarnation != Image.Incarnation)
            throw new ProtocolException($"{link.Peer.Endpoint}: a chunk of incarnation {chunk.Incarnation:x} for {Image.Incarnation:x}");
        return ((int)index, chunk.Bytes);
    }

    private int BytesOf(int chunk) => (int)Math.Min(_chunkBytes, Image.ImageBytes - (long)chunk * _chunkBytes);

    private void PumpAll()
    {
        lock (_lock)
        {
            if (_closed || _sealing)
                return;
            foreach (Source source in _sources)
                Pump(source);
        }
    }

    /// <summary>Asks a source for as much as it should be asked for now. Under the lock.</summary>
    private void Pump(Source source)
    {
        if (!SourceLimits.IsDue(source.Asked, _plan))
            return;
        Span<PostRecord> posts = stackalloc PostRecord[Limits.PostCountMax];
        int count = 0;
        DataLink? over = null; // Which they go to.
        while (SourceLimits.LinkFor(source.Asked, _plan, static link => link.Outstanding >= Limits.PostsPerConnectionMax) is { } link
            && _plan.TryAsk(source.Index, _patience.IsSpent, out int chunk)) // Ends with the credits.
        {
            if (count > 0 && (link != over || count == posts.Length))
            {
                over!.Post(posts[..count]);
                count = 0;
            }
            over = link;
            List<int> asked = source.Asked[link];
            if (asked.Count == 0)
                _pumpedAtMs = Environment.TickCount64;
            asked.Add(chunk);
            long offset = (long)chunk * _chunkBytes;
            posts[count++] = new PostRecord
            {
                Key = _key,
                Id = Image.Id,
                LeaseMs = FetchTable.LeaseMs,
                Incarnation = Image.Incarnation,
                ImageOffset = offset,
                RegionOffset = offset,
                Bytes = BytesOf(chunk),
            };
            if (_plan.IsCompleteSource(source.Index))
                Tell(Expect(chunk));
        }
        if (count > 0)
            over!.Post(posts[..count]);
    }

    private HaveRecord Expect(int chunk) => new() { Id = Image.Id, Incarnation = Image.Incarnation, First = chunk, Count = 1, Flags = HaveRecord.ExpectedFlag };

    private void Tell(HaveRecord record)
    {
        foreach (IRelaySubscriber subscriber in _subscribers)
            subscriber.Tell(new ReadOnlySpan<HaveRecord>(in record));
    }
}
