using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>Part of an object of another node, received straight into a caller's pinned memory; the object itself does not come into this store.</summary>
internal sealed unsafe class RangeRead : IRegion, ILinkUser
{
    private const int PieceBytes = 512 << 10;

    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<int> _missing = [];
    private readonly Dictionary<DataLink, List<int>> _asked = [];
    private readonly List<DataLink> _receiving = [];
    private readonly RegionTable _regions;
    private readonly Peer _peer;
    private readonly ObjectRecord _record;
    private readonly byte* _memory;
    private readonly long _offset;
    private readonly int _bytes, _pieceCount;
    private readonly ulong _key;
    private int _arrived, _bad;
    private bool _closed;
    private string? _failure;

    /// <summary>Begins to read.</summary>
    /// <param name="regions">Where the memory is registered meanwhile.</param>
    /// <param name="peer">Who has all of the object.</param>
    /// <param name="record">What it says of it.</param>
    /// <param name="offset">From the payload's beginning; with <paramref name="bytes"/> inside it.</param>
    /// <param name="memory">Where the bytes go; stays in place until <see cref="Done"/>.</param>
    /// <param name="bytes">At least 1.</param>
    /// <param name="streams">Data connections to use.</param>
    internal RangeRead(RegionTable regions, Peer peer, in ObjectRecord record, long offset, byte* memory, int bytes, int streams)
    {
        (_regions, _peer, _record, _offset, _bytes) = (regions, peer, record, offset, bytes);
        _memory = memory;
        _pieceCount = (bytes + PieceBytes - 1) / PieceBytes;
        for (int i = 0; i < _pieceCount; i++)
            _missing.Enqueue(i);
        _key = regions.Register(this);
        peer.UseLinks(this, Math.Min(streams, _pieceCount));
    }

    /// <summary>Completes when nothing is written to the memory any more; with an <see cref="IOException"/> if not all of it came.</summary>
    internal Task Done => _done.Task;

    /// <summary>Gives up; <see cref="Done"/> completes once nothing is arriving.</summary>
    internal void Cancel(string reason) => Close(reason);

    /// <summary>After <see cref="Cancel"/>: breaks connections that still write to the memory.</summary>
    internal void BreakReceives()
    {
        DataLink[] links;
        lock (_lock)
            links = [.. _receiving];
        foreach (DataLink link in links)
            link.Channel.Abort();
    }

    void ILinkUser.OnLinkUp(DataLink link)
    {
        lock (_lock)
        {
            if (_closed || _asked.ContainsKey(link) || !link.TryUse(this))
                return;
            _asked.Add(link, []);
            Pump(link);
        }
    }

    void ILinkUser.OnNoLink(Peer peer, string reason) => Close($"{peer.Endpoint}: {reason}");

    void IRegion.OnLinkDown(DataLink link, string reason)
    {
        lock (_lock)
        {
            if (!_asked.Remove(link, out List<int>? asked))
                return;
            foreach (int piece in asked)
                _missing.Enqueue(piece);
            foreach (DataLink other in _asked.Keys)
                Pump(other);
        }
    }

    byte* IRegion.BeginReceive(DataLink link, in ChunkRecord chunk)
    {
        int piece = Locate(link, chunk);
        lock (_lock)
        {
            if (_closed || !_asked.TryGetValue(link, out List<int>? asked) || !asked.Contains(piece))
                return null;
            _receiving.Add(link);
            return _memory + (long)piece * PieceBytes;
        }
    }

    void IRegion.EndReceive(DataLink link, in ChunkRecord chunk, ReceiveEnd end)
    {
        int piece = Locate(link, chunk);
        bool complete = false, damaged = false;
        lock (_lock)
        {
            _receiving.Remove(link);
            if (_asked.TryGetValue(link, out List<int>? asked))
                asked.Remove(piece);
            if (end == ReceiveEnd.Good)
                complete = ++_arrived == _pieceCount;
            else
                _missing.Enqueue(piece);
            damaged = end == ReceiveEnd.Damaged && ++_bad >= 3;
            if (!_closed && asked is not null && !damaged && end != ReceiveEnd.Broken)
                Pump(link);
        }
        if (complete)
            Close(null);
        else if (damaged)
            Close($"{_peer.Endpoint} sends damaged bytes");
        EndIfUnused();
    }

    void IRegion.OnRefused(DataLink link, in ChunkRecord chunk) => Close($"{_peer.Endpoint} refuses: {chunk.Reason}");

    private void Close(string? failure)
    {
        DataLink[] links;
        lock (_lock)
        {
            if (_closed)
                return;
            _closed = true;
            _failure = failure;
            links = [.. _asked.Keys];
        }
        _regions.Unregister(_key);
        var release = new ReleaseRecord { Id = _record.Id, Incarnation = _record.Incarnation };
        foreach (DataLink link in links)
            link.StopUsing(this, release);
        _peer.StopUsingLinks(this);
        EndIfUnused();
    }

    private void EndIfUnused()
    {
        lock (_lock)
            if (!_closed || _receiving.Count > 0)
                return;
        if (_failure is null)
            _done.TrySetResult();
        else
            _done.TrySetException(new IOException(_failure));
    }

    private int Locate(DataLink link, in ChunkRecord chunk)
    {
        long piece = chunk.RegionOffset / PieceBytes;
        if (chunk.RegionOffset < 0 || chunk.RegionOffset % PieceBytes != 0 || piece >= _pieceCount || chunk.Bytes != BytesOf((int)piece) || chunk.Incarnation != _record.Incarnation)
            throw new ProtocolException($"{link.Peer.Endpoint}: {chunk.Bytes} bytes at {chunk.RegionOffset} were not asked for");
        return (int)piece;
    }

    private int BytesOf(int piece) => Math.Min(PieceBytes, _bytes - piece * PieceBytes);

    private void Pump(DataLink link)
    {
        List<int> asked = _asked[link];
        if (asked.Count > SourceLimits.CreditsLeft)
            return;
        Span<PostRecord> posts = stackalloc PostRecord[SourceLimits.CreditsPerLink];
        int count = 0;
        while (asked.Count < SourceLimits.CreditsPerLink && _missing.TryDequeue(out int piece)) // Ends with the credits.
        {
            asked.Add(piece);
            posts[count++] = new PostRecord
            {
                Key = _key,
                Id = _record.Id,
                LeaseMs = FetchTable.LeaseMs,
                Incarnation = _record.Incarnation,
                ImageOffset = _offset + (long)piece * PieceBytes,
                RegionOffset = (long)piece * PieceBytes,
                Bytes = BytesOf(piece),
            };
        }
        if (count > 0)
            link.Post(posts[..count]);
    }
}
