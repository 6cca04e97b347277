using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>Copies of others' objects that this node may not serve yet: it was out of touch longer than deletes are remembered, or has just begun, so some of them may have been deleted meanwhile.</summary>
/// <remarks>
/// A copy is served again once a node that is in touch has the same incarnation; one that a node knows to be deleted is dropped by its tombstone. What nobody confirms stays for local use, and is asked about again: neither is data lost nor does a deleted object come back.
/// Objects that were made in this store are not asked about: nobody deletes them elsewhere without this store being told, or asking on its return.
/// </remarks>
internal sealed class CopyCheck(PlasmaStore store, PlasmaNodeOptions options, Func<Peer[]> peers, IObjectDirectory directory, ILogger logger)
{
    private const int AgainMs = 2000, TogetherMax = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, ulong> _doubtful = [];
    private long _inTouchAtMs = Environment.TickCount64, _nextMs;
    private int _count;
    private bool _running;

    /// <summary>Copies in doubt.</summary>
    internal int Count => Volatile.Read(ref _count);

    /// <summary>Whether an object must not be given to others.</summary>
    internal bool IsDoubtful(in ObjectId id, ulong incarnation)
    {
        if (Volatile.Read(ref _count) == 0)
            return false;
        lock (_lock)
            return _doubtful.TryGetValue(id, out ulong doubtful) && doubtful == incarnation;
    }

    /// <summary>All copies of others' objects that are here are in doubt.</summary>
    internal void DoubtAll()
    {
        List<ObjectInfo> copies = [.. store.List().Where(static info => info is { IsReplica: true, IsSealed: true })];
        lock (_lock)
        {
            foreach (ObjectInfo copy in copies)
                _doubtful[copy.Id] = copy.Incarnation;
            Volatile.Write(ref _count, _doubtful.Count);
        }
        if (copies.Count > 0)
            logger.LogInformation("{Count} copies of other nodes' objects are not served before another node confirms them.", copies.Count);
    }

    /// <summary>Now and then: notices that the node was out of touch, and asks about what is in doubt.</summary>
    internal void Tick(long nowMs)
    {
        Peer[] known = peers();
        bool inTouch = directory.KnowsLocations ? directory.Problem is null : known.Length == 0 || known.Any(static peer => peer.IsUp);
        if (!inTouch)
            return;
        bool wasAway = nowMs - _inTouchAtMs > options.TombstoneLife.TotalMilliseconds;
        _inTouchAtMs = nowMs;
        if (wasAway)
            DoubtAll();
        if (Count == 0 || _running || nowMs < _nextMs)
            return;
        _running = true;
        _nextMs = nowMs + AgainMs;
        _ = Task.Run(AskAsync);
    }

    private async Task AskAsync()
    {
        try
        {
            KeyValuePair<ObjectId, ulong>[] doubtful;
            lock (_lock)
                doubtful = [.. _doubtful];
            foreach (KeyValuePair<ObjectId, ulong>[] part in doubtful.Chunk(TogetherMax))
            {
                ulong[][] found = directory.KnowsLocations ? await LocatedAsync(part).ConfigureAwait(false) : await AskedAsync(part).ConfigureAwait(false);
                lock (_lock)
                {
                    for (int i = 0; i < part.Length; i++)
                        if (found[i].Contains(part[i].Value) || !store.Contains(part[i].Key))
                            _doubtful.Remove(part[i].Key);
                    Volatile.Write(ref _count, _doubtful.Count);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            logger.LogDebug("Copies could not be confirmed: {Reason}", e.Message); // Asked again.
        }
        finally
        {
            _running = false;
        }
    }

    private async Task<ulong[][]> LocatedAsync(KeyValuePair<ObjectId, ulong>[] part)
    {
        IReadOnlyList<ObjectLocation>[] where = await directory.LocateAsync(part.Select(static pair => pair.Key).ToArray(), CancellationToken.None).ConfigureAwait(false);
        return [.. where.Select(static locations => locations.Where(static location => location.IsComplete).Select(static location => location.Incarnation).ToArray())];
    }

    private async Task<ulong[][]> AskedAsync(KeyValuePair<ObjectId, ulong>[] part)
    {
        Peer[] up = [.. peers().Where(static peer => peer.IsUp)];
        LocateProbe[] probes = [.. part.Select(pair => new LocateProbe(pair.Key, up.Length))];
        foreach (Peer peer in up)
            peer.Ask(probes);
        await Task.WhenAll(probes.Select(static probe => probe.Done)).ConfigureAwait(false); // Each peer answers, or fails when its connection ends.
        return [.. probes.Select(static probe => probe.Found.Where(static found => found.Record.Answer == ObjectAnswer.Complete).Select(static found => found.Record.Incarnation).ToArray())];
    }
}
