using System.IO.Hashing;
using FastPlasma.Native;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>One data connection to a peer, as its requester: posts go out, chunks come straight into registered memory. Its thread receives, checks, and tells the regions.</summary>
internal sealed unsafe class DataLink
{
    private readonly FrameChannel _channel;
    private readonly RegionTable _regions;
    private readonly TransferCounters _counters;

    // Regions that have asked something over this link: told when it ends. Guarded by itself.
    private readonly HashSet<IRegion> _users = [];
    private string? _downReason;
    private int _outstanding;

    internal DataLink(Peer peer, FrameChannel channel, RegionTable regions, TransferCounters counters)
    {
        Peer = peer;
        _channel = channel;
        _regions = regions;
        _counters = counters;
    }

    internal Peer Peer { get; }

    /// <summary>Chunks asked for and not yet come, of all regions.</summary>
    internal int Outstanding => Volatile.Read(ref _outstanding);

    internal long ReceivedAtMs => _channel.ReceivedAtMs;

    internal FrameChannel Channel => _channel;

    /// <summary>Begins to use the link for a region, which is told when it ends.</summary>
    /// <returns>False if it has ended.</returns>
    internal bool TryUse(IRegion region)
    {
        lock (_users)
        {
            if (_downReason is not null)
                return false;
            _users.Add(region);
            return true;
        }
    }

    /// <summary>The region does not want to hear of this link any more; the server lets go of the object.</summary>
    internal void StopUsing(IRegion region, in ReleaseRecord release)
    {
        lock (_users)
        {
            if (!_users.Remove(region) || _downReason is not null)
                return;
        }
        _channel.Post(FrameType.Release, 0, new ReadOnlySpan<ReleaseRecord>(in release));
    }

    /// <summary>Asks for chunks, in this order.</summary>
    /// <param name="posts">At most <see cref="Limits.PostCountMax"/>.</param>
    internal void Post(ReadOnlySpan<PostRecord> posts)
    {
        Interlocked.Add(ref _outstanding, posts.Length);
        _channel.Post(FrameType.Post, 0, posts);
    }

    /// <summary>Receives until the connection ends. Returns the reason.</summary>
    internal string Run()
    {
        string reason = $"{_channel.RemoteAddress} closed the connection";
        try
        {
            while (_channel.TryReceive(out FrameHeader header))
                Handle(header);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            reason = e.Message;
            if (e is ProtocolException { IsRefusal: false })
                _channel.Bye(e.Message);
        }
#pragma warning disable CA1031 // A region that fails costs the connection, not the process.
        catch (Exception e)
#pragma warning restore CA1031
        {
            reason = e.Message;
            Peer.Report(e);
        }
        IRegion[] users;
        lock (_users)
        {
            _downReason = reason;
            users = [.. _users];
            _users.Clear();
        }
        foreach (IRegion user in users)
            user.OnLinkDown(this, reason);
        _channel.Dispose();
        return reason;
    }

    private void Handle(in FrameHeader header)
    {
        if (header.Type is not (FrameType.Chunk or FrameType.Refused))
            throw new ProtocolException($"{_channel.RemoteAddress}: a {header.Type} frame on a data connection");
        ChunkRecord chunk = _channel.Records<ChunkRecord>(header)[0];
        if (chunk.Bytes < 0 || (long)chunk.Bytes > Limits.ImageBytesMax / Limits.ChunkCountMax)
            throw new ProtocolException($"{_channel.RemoteAddress}: a chunk of {chunk.Bytes} bytes");
        if (Interlocked.Decrement(ref _outstanding) < 0)
            throw new ProtocolException($"{_channel.RemoteAddress}: a chunk that nobody asked for");
        IRegion? region = _regions.Find(chunk.Key);
        if (header.Type == FrameType.Refused)
        {
            region?.OnRefused(this, chunk);
            return;
        }
        byte* place = region is null ? null : region.BeginReceive(this, chunk);
        if (place is null)
        {
            // The key is gone, or the chunk was asked from somebody else meanwhile.
            _channel.DiscardBytes(chunk.Bytes);
            _counters.CountDiscarded(chunk.Bytes);
            return;
        }
        var end = ReceiveEnd.Broken;
        try
        {
            _channel.ReceiveBytes(new IoPart(place, (nuint)chunk.Bytes)); // SAFETY: the region checked offset and length, and keeps the memory until EndReceive.
            end = XxHash3.HashToUInt64(new ReadOnlySpan<byte>(place, chunk.Bytes)) == chunk.Check ? ReceiveEnd.Good : ReceiveEnd.Damaged;
        }
        finally
        {
            if (end == ReceiveEnd.Broken)
                _counters.CountBroken(chunk.Bytes);
            else
                _counters.CountReceived(chunk.Bytes, end == ReceiveEnd.Good);
            region!.EndReceive(this, chunk, end);
        }
    }
}
