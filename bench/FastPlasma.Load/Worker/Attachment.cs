using System.Diagnostics;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Worker;

/// <summary>Opens and closes an instance again and again in this process, which has nothing else open.</summary>
internal static class Attachment
{
    // The code has run by then; what is left is mostly the kernel's work.
    private const int WarmRounds = 10, RoundsMin = 3;

    internal static WorkResult Measure(WorkPlan plan, OpenRequest open)
    {
        IPeer peer = PeerList.Find(open.Peer);
        byte[] key = new byte[Keys.SizeBytes];
        var latencies = new Latencies();
        var random = new Random(plan.Seed);
        long count = 0, timed = 0, durationTicks = plan.DurationMs * Stopwatch.Frequency / 1000, begin = Stopwatch.GetTimestamp();
        for (int round = 0; count < RoundsMin || Stopwatch.GetTimestamp() - begin < durationTicks; round++)
        {
            // A store without objects is asked for one that is not there.
            Keys.Write(key, plan.KeyCount == 0 ? Keys.Missing : plan.FirstKey + (ulong)random.Next(plan.KeyCount));
            long start = Stopwatch.GetTimestamp();
            IPeerSession session = peer.Open(open.Address, open.Setup);
            IPeerClient client = session.Connect();
            long opened = Stopwatch.GetTimestamp();
            long length = client.Get(key, touch: false, out _);
            long got = Stopwatch.GetTimestamp();
            client.Dispose();
            session.Dispose();
            long expected = plan.KeyCount == 0 ? -1 : plan.PayloadBytes;
            if (length != expected)
                throw new InvalidOperationException($"The first get gave the length {length} where {expected} was due.");
            if (round < WarmRounds)
            {
                begin = Stopwatch.GetTimestamp();
                continue;
            }

            long ticks = plan.Kind == WorkKind.Attach ? opened - start : got - opened;
            latencies.Record(ticks, 1);
            timed += ticks;
            count++;
        }

        return new WorkResult { Operations = count, OperationsPerSecond = count * (double)Stopwatch.Frequency / Math.Max(1, timed), Pairs = latencies.ToPairs() };
    }
}
