using System.Diagnostics;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Nodes;

/// <summary>Has a peer pull objects of this store: offers them, and asks until they are there.</summary>
internal sealed class Push(PlasmaStore store, Peer peer, ObjectId[] ids)
{
    private const int PauseFirstMs = 5, PauseMaxMs = 250, OfferAgainMs = 5000, TogetherMax = 4096;

    internal async Task<PullReport> RunAsync(long deadlineTicks, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        var failures = new List<PullFailure>();
        int there = 0;
        foreach (ObjectId[] part in ids.Chunk(TogetherMax))
        {
            var open = new HashSet<ObjectId>();
            var offers = new List<OfferRecord>();
            foreach (ObjectId id in part)
            {
                if (!store.TryDescribe(id, out ObjectImage image))
                {
                    failures.Add(new PullFailure(id, PlasmaStatus.NotFound, "it is not in this store"));
                    continue;
                }
                offers.Add(new OfferRecord { Id = id, Flags = OfferRecord.PullFlag, Incarnation = image.Incarnation, PayloadBytes = image.PayloadBytes });
                open.Add(id);
            }
            long offeredAtMs = 0;
            string reason = "the other node has not taken it yet";
            for (int pause = PauseFirstMs; open.Count > 0; pause = Math.Min(2 * pause, PauseMaxMs)) // Ends when all are there, or with the deadline.
            {
                if (Stopwatch.GetTimestamp() >= deadlineTicks)
                {
                    failures.AddRange(open.Select(id => new PullFailure(id, PlasmaStatus.Timeout, reason)));
                    break;
                }
                if (offeredAtMs == 0 || Environment.TickCount64 - offeredAtMs > OfferAgainMs)
                {
                    peer.Connect();
                    if (peer.TryNotify(FrameType.Offer, (ReadOnlySpan<OfferRecord>)offers.Where(offer => open.Contains(offer.Id)).ToArray()))
                        offeredAtMs = Environment.TickCount64;
                    else
                        reason = $"{peer.Endpoint} cannot be reached{(peer.Problem is { } problem ? $": {problem}" : "")}";
                }
                if (offeredAtMs != 0)
                {
                    LocateProbe[] probes = [.. open.Select(static id => new LocateProbe(id, 1))];
                    peer.Ask(probes);
                    await Task.WhenAll(probes.Select(static probe => probe.Done)).WaitAsync(FetchTable.TimeLeft(deadlineTicks), cancellationToken).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
                    cancellationToken.ThrowIfCancellationRequested();
                    foreach (LocateProbe probe in probes)
                    {
                        if (probe.Found.Any(static found => found.Record.Answer == ObjectAnswer.Complete) && open.Remove(probe.Id))
                            there++;
                        foreach ((_, string failed) in probe.Failed)
                            reason = failed;
                    }
                    progress?.Report(there);
                }
                if (open.Count > 0)
                    await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
            }
        }
        return new PullReport(there, failures);
    }
}
