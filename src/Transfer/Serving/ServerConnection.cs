using System.IO.Hashing;
using System.Text;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Nodes;
using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Serving;

/// <summary>What a server's connections need of their node.</summary>
internal interface IServerHost
{
    PlasmaStore Store { get; }

    FetchTable Fetches { get; }

    InterestTable Interests { get; }

    TombstoneTable Tombstones { get; }

    TransferCounters Counters { get; }

    NodeThreads Threads { get; }

    /// <summary>Whether an object that is here must not be served, because it may have been deleted while this node was away.</summary>
    bool IsDoubtful(in ObjectId id, ulong incarnation);

    /// <summary>A requester says what it has.</summary>
    void OnOffer(NodeEndpoint? from, ReadOnlySpan<OfferRecord> offers);

    /// <summary>A requester says what was deleted.</summary>
    void OnDelete(ReadOnlySpan<DeleteRecord> deletes);

    /// <summary>A node takes a large object that this one is itself receiving: it will have parts of it.</summary>
    void OnTaker(in ObjectId id, ulong incarnation, NodeEndpoint taker);
}

/// <summary>One accepted connection: its thread reads what the requester wants and answers. It may wait while it sends, because a requester always reads.</summary>
internal sealed unsafe class ServerConnection : IRelaySubscriber, IDisposable
{
    private readonly IServerHost _host;
    private readonly FrameChannel _channel;
    private readonly Hello _hello;
    private readonly PinCache _pins;
    private readonly List<LargeTransfer> _subscribed = [];
    private FrameRate _rate = new(FramesPerSecondMax);

    /// <summary>Frames that one connection may send in a second, on average; what a peer at full speed needs is a tenth of it.</summary>
    private const int FramesPerSecondMax = 500_000;

    internal ServerConnection(IServerHost host, FrameChannel channel, in Hello hello)
    {
        _host = host;
        _channel = channel;
        _hello = hello;
        _pins = new PinCache(host.Store);
        Endpoint = hello.Endpoint;
    }

    /// <summary>Where the requester's own node can be dialed; null if it serves nobody.</summary>
    internal NodeEndpoint? Endpoint { get; }

    internal Guid NodeId => _hello.NodeId;

    internal FrameChannel Channel => _channel;

    internal bool IsOver { get; private set; }

    /// <summary>Serves until the connection ends. Returns the reason.</summary>
    internal string Run()
    {
        string reason = "closed by the requester";
        try
        {
            while (_channel.TryReceive(out FrameHeader header))
            {
                if (!_rate.TryTake(Environment.TickCount64))
                    throw new ProtocolException($"{_channel.RemoteAddress} sends more than {FramesPerSecondMax} frames per second");
                if (_hello.Kind == ConnectionKind.Control)
                    HandleControl(header);
                else
                    HandleData(header);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or PlasmaException)
        {
            reason = e.Message;
            if (e is not ProtocolException { IsRefusal: true })
                _channel.Bye(e.Message);
        }
#pragma warning disable CA1031 // Whatever a requester brings about, it costs its connection only.
        catch (Exception e)
#pragma warning restore CA1031
        {
            reason = e.Message;
            _host.Threads.Report(e);
        }
        IsOver = true;
        foreach (LargeTransfer transfer in _subscribed)
            transfer.Unsubscribe(this);
        return reason;
    }

    /// <summary>After <see cref="Run"/>, by its thread.</summary>
    public void Dispose()
    {
        _pins.Dispose();
        _channel.Dispose();
    }

    internal void Tick(long nowMs, long stuckMaxMs)
    {
        _pins.Tick(nowMs);
        if (_channel.StuckMs(nowMs) > stuckMaxMs)
            _channel.Abort();
    }

    void IRelaySubscriber.Tell(ReadOnlySpan<HaveRecord> records) => _channel.Post(FrameType.Have, 0, records);

    /// <summary>Tells the requester that an object is here now.</summary>
    internal void TellAppeared(in ObjectRecord record) => _channel.Post(FrameType.Objects, 0, new ReadOnlySpan<ObjectRecord>(in record));

    private void HandleControl(in FrameHeader header)
    {
        switch (header.Type)
        {
            case FrameType.Ask:
                Answer(header.Tag, _channel.Records<AskRecord>(header));
                break;
            case FrameType.Offer:
                _host.OnOffer(Endpoint, _channel.Records<OfferRecord>(header));
                _channel.Post(FrameType.Done, header.Tag);
                break;
            case FrameType.Delete:
                _host.OnDelete(_channel.Records<DeleteRecord>(header));
                _channel.Post(FrameType.Done, header.Tag);
                break;
            case FrameType.Ping:
                _channel.Post(FrameType.Done, header.Tag);
                break;
            default:
                throw new ProtocolException($"{_channel.RemoteAddress}: a {header.Type} frame on a control connection");
        }
    }

    /// <summary>Pins what is here and small, and sends it with one call straight from the store.</summary>
    private void Answer(ulong tag, ReadOnlySpan<AskRecord> asks)
    {
        ObjectRecord* records = stackalloc ObjectRecord[asks.Length];
        IoPart* parts = stackalloc IoPart[asks.Length];
        PlasmaObject[] pins = System.Buffers.ArrayPool<PlasmaObject>.Shared.Rent(asks.Length);
        int pinned = 0, large = 0;
        long bytes = 0;
        try
        {
            for (int i = 0; i < asks.Length; i++)
            {
                ref readonly AskRecord ask = ref asks[i];
                if (ask.Validate() is { } wrong)
                    throw new ProtocolException($"{_channel.RemoteAddress}: {wrong}");
                records[i] = Look(ask, ref bytes, ref pins[pinned], out byte* image, out int imageBytes);
                if (records[i].Answer == ObjectAnswer.Inline)
                {
                    parts[pinned++] = new IoPart(image, (nuint)imageBytes);
                    records[i].InlineCheck = XxHash3.HashToUInt64(new ReadOnlySpan<byte>(image, imageBytes));
                }
                else if (records[i].Answer is ObjectAnswer.Complete or ObjectAnswer.Partial)
                {
                    large++;
                }
            }
            _channel.Send(FrameType.Objects, tag, new ReadOnlySpan<ObjectRecord>(records, asks.Length), new ReadOnlySpan<IoPart>(parts, pinned));
        }
        finally
        {
            for (int i = 0; i < pinned; i++)
                pins[i].Dispose();
            System.Buffers.ArrayPool<PlasmaObject>.Shared.Return(pins, clearArray: true);
        }
        _host.Counters.CountSent(bytes, isRelay: false);
        if (pinned > 0)
            _host.Counters.CountObjectSent(pinned);
        for (int i = 0; i < asks.Length && large > 0; i++)
        {
            if (records[i].Answer is not (ObjectAnswer.Complete or ObjectAnswer.Partial))
                continue;
            large--;
            AfterLarge(records[i]);
        }
    }

    private ObjectRecord Look(in AskRecord ask, ref long bytes, ref PlasmaObject pin, out byte* address, out int imageBytes)
    {
        address = null;
        imageBytes = 0;
        bool isHere = _host.Store.TryGet(ask.Id, out PlasmaObject obj), noted = false;
        if (!isHere && (ask.Flags & AskRecord.TellMe) != 0)
        {
            noted = _host.Interests.TryAdd(ask.Id, this, ask.TellMs);
            isHere = _host.Store.TryGet(ask.Id, out obj); // After it is noted: what is sealed later is told.
        }
        if (!isHere && _host.Store.TryDescribe(ask.Id, out ObjectImage away))
        {
            // On disk. Who wants to know of it, or takes a large one by chunks, does not need its bytes now.
            if ((ask.Flags & AskRecord.NoBytes) != 0 || away.ImageBytes > Limits.InlineBytesMax)
                return Complete(ask, away);
            isHere = _host.Store.TryGetOrBring(ask.Id, out obj);
        }
        if (isHere)
        {
            ObjectImage image;
            try
            {
                image = _host.Store.ImageOf(obj, out address);
            }
            catch
            {
                obj.Dispose();
                throw;
            }
            bool wanted = (ask.Incarnation == 0 || ask.Incarnation == image.Incarnation) && !_host.IsDoubtful(ask.Id, image.Incarnation);
            if (wanted && !_host.Tombstones.Contains(ask.Id, image.Incarnation))
            {
                ObjectAnswer answer = ObjectAnswer.Complete;
                if ((ask.Flags & AskRecord.NoBytes) == 0 && image.ImageBytes <= Limits.InlineBytesMax)
                    answer = bytes + image.ImageBytes <= Limits.AnswerBytesMax ? ObjectAnswer.Inline : ObjectAnswer.Later;
                ObjectRecord record = ReplicaImage.ToRecord(image, answer);
                if (answer == ObjectAnswer.Inline)
                {
                    pin = obj;
                    imageBytes = (int)image.ImageBytes;
                    bytes += imageBytes;
                    return record;
                }
                obj.Dispose();
                if (answer == ObjectAnswer.Complete && image.ImageBytes > Limits.InlineBytesMax && WillTake(ask))
                    PlaceTaker(ref record, image);
                return record;
            }
            obj.Dispose();
            return new ObjectRecord { Id = ask.Id, Incarnation = image.Incarnation, Answer = wanted ? ObjectAnswer.Deleted : ObjectAnswer.Absent };
        }
        if (_host.Fetches.Find(ask.Id)?.Large is { } transfer && (ask.Incarnation == 0 || ask.Incarnation == transfer.Image.Incarnation) && !_host.Tombstones.Contains(ask.Id, transfer.Image.Incarnation))
        {
            ObjectRecord record = ReplicaImage.ToRecord(transfer.Image, ObjectAnswer.Partial);
            if (WillTake(ask))
                PlaceTaker(ref record, transfer.Image);
            return record;
        }
        return new ObjectRecord { Id = ask.Id, Answer = noted ? ObjectAnswer.Noted : ObjectAnswer.Absent };
    }

    /// <summary>The answer for an object that is here as a whole, without its bytes.</summary>
    private ObjectRecord Complete(in AskRecord ask, in ObjectImage image)
    {
        bool wanted = (ask.Incarnation == 0 || ask.Incarnation == image.Incarnation) && !_host.IsDoubtful(ask.Id, image.Incarnation);
        if (!wanted || _host.Tombstones.Contains(ask.Id, image.Incarnation))
            return new ObjectRecord { Id = ask.Id, Incarnation = image.Incarnation, Answer = wanted ? ObjectAnswer.Deleted : ObjectAnswer.Absent };
        ObjectRecord record = ReplicaImage.ToRecord(image, ObjectAnswer.Complete);
        if (image.ImageBytes > Limits.InlineBytesMax && WillTake(ask))
            PlaceTaker(ref record, image);
        return record;
    }

    /// <summary>Not who only wants to know where it is.</summary>
    private static bool WillTake(in AskRecord ask) => ask.Flags != AskRecord.NoBytes;

    private readonly Dictionary<(ObjectId, ulong), IReadOnlyList<ServerConnection>> _named = [];

    /// <summary>Says where among those who take the object at the same time this one begins.</summary>
    private void PlaceTaker(ref ObjectRecord record, in ObjectImage image)
    {
        TakerPlace<ServerConnection> place = _host.Interests.Take(record.Id, image.Incarnation, Limits.ChunkCountOf(image.ImageBytes), this);
        _named[(record.Id, image.Incarnation)] = place.Named;
        record.FirstChunk = place.FirstChunk;
        if (place.IsCrowded)
            record.Flags |= ObjectRecord.CrowdedFlag;
    }

    /// <summary>After the answer about a large object: what is here of it, who else takes it, and to those that this one does.</summary>
    private void AfterLarge(in ObjectRecord record)
    {
        if (record.Answer == ObjectAnswer.Partial)
        {
            if ((record.Flags & ObjectRecord.CrowdedFlag) != 0)
            {
                // It will not take anything from here.
            }
            else if (_host.Fetches.Find(record.Id)?.Large is { } transfer && transfer.Image.Incarnation == record.Incarnation && transfer.TrySubscribe(this))
            {
                _subscribed.RemoveAll(static older => older.IsEnded);
                if (!_subscribed.Contains(transfer))
                    _subscribed.Add(transfer);
            }
            else
            {
                // It has ended since: as a whole or not at all.
                var end = new HaveRecord { Id = record.Id, Incarnation = record.Incarnation, Flags = _host.Store.Contains(record.Id) ? HaveRecord.CompleteFlag : HaveRecord.GoneFlag };
                _channel.Post(FrameType.Have, 0, new ReadOnlySpan<HaveRecord>(in end));
            }
            if (Endpoint is { } taker)
                _host.OnTaker(record.Id, record.Incarnation, taker);
        }
        if (!_named.Remove((record.Id, record.Incarnation), out IReadOnlyList<ServerConnection>? others))
            return;
        foreach (ServerConnection other in others)
        {
            Name(this, other, record);
            Name(other, this, record);
        }
    }

    private static void Name(ServerConnection told, ServerConnection named, in ObjectRecord record)
    {
        if (named.Endpoint is not { } endpoint || told.NodeId == named.NodeId)
            return;
        var holder = new HolderRecord { Id = record.Id, Incarnation = record.Incarnation, NodeId = named.NodeId };
        if (!Encoding.UTF8.TryGetBytes(endpoint.ToString(), new Span<byte>(holder.Address, HolderRecord.AddressBytesMax), out int bytes))
            return;
        holder.AddressBytes = (ushort)bytes;
        told._channel.Post(FrameType.Holders, 0, new ReadOnlySpan<HolderRecord>(in holder));
    }

    private void HandleData(in FrameHeader header)
    {
        switch (header.Type)
        {
            case FrameType.Post:
                foreach (ref readonly PostRecord post in _channel.Records<PostRecord>(header))
                {
                    if (post.Validate() is { } wrong)
                        throw new ProtocolException($"{_channel.RemoteAddress}: {wrong}");
                    Serve(post);
                }
                break;
            case FrameType.Release:
                foreach (ref readonly ReleaseRecord release in _channel.Records<ReleaseRecord>(header))
                    _pins.Release(release.Id, release.Incarnation);
                break;
            default:
                throw new ProtocolException($"{_channel.RemoteAddress}: a {header.Type} frame on a data connection");
        }
    }

    private void Serve(in PostRecord post)
    {
        var chunk = new Wire.ChunkRecord { Key = post.Key, RegionOffset = post.RegionOffset, Bytes = post.Bytes, Incarnation = post.Incarnation };
        if (_host.Tombstones.Contains(post.Id, post.Incarnation))
        {
            Refuse(ref chunk, RefusalReason.Deleted);
            return;
        }
        if (_host.IsDoubtful(post.Id, post.Incarnation))
        {
            Refuse(ref chunk, RefusalReason.Absent);
            return;
        }
        if (_pins.Begin(post.Id, post.Incarnation, post.LeaseMs) is { } entry)
        {
            try
            {
                if (post.ImageOffset > entry.Image.ImageBytes - post.Bytes)
                    Refuse(ref chunk, RefusalReason.OutOfBounds);
                else
                    Send(ref chunk, entry.Address + post.ImageOffset, isRelay: false);
            }
            finally
            {
                _pins.End(entry);
            }
            return;
        }
        if (_host.Fetches.Find(post.Id)?.Large is not { } transfer || transfer.Image.Incarnation != post.Incarnation)
        {
            Refuse(ref chunk, RefusalReason.Absent);
            return;
        }
        if (!transfer.TryBeginSend(post.ImageOffset, post.Bytes, out byte* address, out RefusalReason reason))
        {
            Refuse(ref chunk, reason);
            return;
        }
        try
        {
            Send(ref chunk, address, isRelay: true);
        }
        finally
        {
            transfer.EndSend();
        }
    }

    private void Send(ref Wire.ChunkRecord chunk, byte* address, bool isRelay)
    {
        // SAFETY: the caller holds a pin or a use of the memory, and has checked that so many bytes are there.
        chunk.Check = XxHash3.HashToUInt64(new ReadOnlySpan<byte>(address, chunk.Bytes));
        var part = new IoPart(address, (nuint)chunk.Bytes);
        _channel.Send(FrameType.Chunk, 0, new ReadOnlySpan<Wire.ChunkRecord>(in chunk), new ReadOnlySpan<IoPart>(in part));
        _host.Counters.CountSent(chunk.Bytes, isRelay);
    }

    private void Refuse(ref Wire.ChunkRecord chunk, RefusalReason reason)
    {
        chunk.Reason = reason;
        _channel.Send(FrameType.Refused, 0, new ReadOnlySpan<Wire.ChunkRecord>(in chunk));
    }
}

/// <summary>A bucket of tokens: so many a second on average, and as many at once.</summary>
internal struct FrameRate(int perSecond)
{
    private double _tokens = perSecond;
    private long _atMs = Environment.TickCount64;

    internal bool TryTake(long nowMs)
    {
        if (nowMs > _atMs)
        {
            _tokens = Math.Min(perSecond, _tokens + (nowMs - _atMs) * (perSecond / 1000.0));
            _atMs = nowMs;
        }
        if (_tokens < 1)
            return false;
        _tokens--;
        return true;
    }
}
