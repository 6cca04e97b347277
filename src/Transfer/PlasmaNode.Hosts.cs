using System.Net.Sockets;
using System.Text;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Nodes;
using FastPlasma.Transfer.Serving;
using FastPlasma.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer;

/// <content>What its connections to peers, those of others to it, and its directory ask and tell.</content>
public sealed partial class PlasmaNode
{
    TransferCounters IPeerHost.Counters => _counters;

    RegionTable IPeerHost.Regions => _regions;

    FetchTable IServerHost.Fetches => _fetches!;

    InterestTable IServerHost.Interests => _interests;

    TombstoneTable IServerHost.Tombstones => _tombstones;

    TransferCounters IServerHost.Counters => _counters;

    bool IServerHost.IsDoubtful(in ObjectId id, ulong incarnation) => _copies!.IsDoubtful(id, incarnation);

    FrameChannel IPeerHost.Dial(NodeEndpoint endpoint, ConnectionKind kind, out Hello hello)
    {
        if (_stopping)
            throw new IOException("the node is being stopped");
        Socket socket = SocketSetup.Dial(endpoint, TimeSpan.FromMilliseconds(DialMs), _stop.Token);
        ITransferConnection? connection = null;
        // End a handshake that does not get on, or is not wanted any more.
        using var limit = new Timer(static state => Listener.Cut((Socket)state!), socket, Limits.HandshakeMs, Timeout.Infinite);
        using CancellationTokenRegistration end = _stop.Token.UnsafeRegister(static state => Listener.Cut((Socket)state!), socket);
        try
        {
            connection = _options.Tls is { } tls ? TlsConnection.AsRequester(socket, tls, _counters) : new PlainConnection(socket);
            hello = Handshake.AsRequester(connection, _self!, kind);
            return new FrameChannel(connection, FrameChannel.AheadOf(kind));
        }
        catch (Exception e)
        {
            connection?.Dispose();
            socket.Dispose();
            throw e as IOException ?? new IOException($"{endpoint}: {e.Message}", e);
        }
    }

    NodeThreads IPeerHost.Threads => _threads;

    NodeThreads IServerHost.Threads => _threads;

    long IPeerHost.OnPeerUp(Peer peer, FrameChannel control)
    {
        // Before anything is asked: who was away learns what was deleted before it answers. There may be many, so this waits until they are taken.
        TellDeletes(control, _tombstones.Since(0, out long mark), wait: true);
        return mark;
    }

    void IPeerHost.OnPeerReady(Peer peer, FrameChannel control, long mark)
    {
        TellDeletes(control, _tombstones.Since(mark, out _), wait: false);
        _fetches!.OnPeerUp();
        _logger.LogInformation("Node {Endpoint} is there.", peer.Endpoint);
    }

    private static void TellDeletes(FrameChannel control, List<Tombstone> tombstones, bool wait)
    {
        Span<DeleteRecord> all = DeleteRecords(tombstones);
        for (int i = 0; i < all.Length; i += Limits.RecordCountMax)
        {
            ReadOnlySpan<DeleteRecord> some = all.Slice(i, Math.Min(Limits.RecordCountMax, all.Length - i));
            if (wait)
                control.Send(FrameType.Delete, 0, some);
            else
                control.Post(FrameType.Delete, 0, some);
        }
    }

    void IPeerHost.OnPeerDown(Peer peer, string reason) => _logger.LogInformation("Node {Endpoint} is gone: {Reason}", peer.Endpoint, reason);

    void IPeerHost.OnHave(Peer peer, in HaveRecord record) => _fetches!.Find(record.Id)?.Large?.OnHave(peer, record);

    void IPeerHost.OnHolder(Peer peer, in HolderRecord record)
    {
        if (record.NodeId == Id || record.AddressBytes > HolderRecord.AddressBytesMax || _fetches!.Find(record.Id) is not { } fetch)
            return;
        string address;
        unsafe
        {
            fixed (byte* text = record.Address)
                address = Encoding.UTF8.GetString(text, record.AddressBytes);
        }
        if (NodeEndpoint.TryParse(address, out NodeEndpoint endpoint) && _peers!.Of(endpoint) is { } holder)
            fetch.ConsiderSource(holder, record.Incarnation);
    }

    void IPeerHost.OnAppeared(Peer peer, in ObjectRecord record) => _fetches!.Find(record.Id)?.OnAppeared(peer, record);

    void IServerHost.OnTaker(in ObjectId id, ulong incarnation, NodeEndpoint taker)
    {
        if (_fetches!.Find(id) is { } fetch && _peers!.Of(taker) is { } peer)
            fetch.ConsiderSource(peer, incarnation);
    }

    void IServerHost.OnOffer(NodeEndpoint? from, ReadOnlySpan<OfferRecord> offers)
    {
        if (from is not { } endpoint || _peers!.Of(endpoint) is not { } peer)
            return;
        foreach (ref readonly OfferRecord offer in offers)
        {
            if (_tombstones.Contains(offer.Id, offer.Incarnation))
                continue;
            ObjectId id = offer.Id;
            if ((offer.Flags & OfferRecord.PullFlag) != 0)
                _fetches!.Request(new ReadOnlySpan<ObjectId>(in id), Unheard.Instance, TransferPriority.Prefetch, FetchTable.DeadlineTicks(TimeSpan.FromMinutes(1)));
            _fetches!.Find(id)?.Offered(peer);
        }
    }

    void IServerHost.OnDelete(ReadOnlySpan<DeleteRecord> deletes)
    {
        foreach (ref readonly DeleteRecord record in deletes)
            ApplyDelete(record.Id, record.Incarnation, TimeSpan.FromMilliseconds(Math.Min(record.TombstoneMs, (ulong)_options.TombstoneLife.TotalMilliseconds)));
    }

    void IDirectoryListener.Appeared(ObjectId id, ObjectLocation location)
    {
        if (_fetches?.Find(id) is { } fetch && _peers!.Of(location.Node) is { } peer)
            fetch.Offered(peer);
    }

    void IDirectoryListener.Deleted(ReadOnlySpan<Tombstone> tombstones)
    {
        foreach (Tombstone tombstone in tombstones)
            ApplyDelete(tombstone.Id, tombstone.Incarnation, tombstone.Left);
    }

    void IDirectoryListener.AnnounceAgain()
    {
        if (_directory is not { KnowsLocations: true } directory)
            return;
        directory.Delete(_tombstones.All().ToArray());
        LocalObject[] all = [.. Store.List().Where(static info => info.IsSealed).Select(static info => new LocalObject(info.Id, info.Incarnation, info.PayloadBytes, IsComplete: true))];
        directory.Announce(all);
    }

    void IDirectoryListener.AnnounceAgain(ObjectId id)
    {
        if (Store.TryDescribe(id, out ObjectImage image))
            _directory!.Announce([new LocalObject(id, image.Incarnation, image.PayloadBytes, IsComplete: true)]);
    }
}
