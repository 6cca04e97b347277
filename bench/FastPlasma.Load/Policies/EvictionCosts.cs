using System.Diagnostics;
using FastPlasma.Cli.Bench;

namespace FastPlasma.Load.Policies;

/// <summary>What a put costs in a store that is full: one process, nothing written, so that the time is that of finding room.</summary>
internal static class EvictionCosts
{
    private const int KiB = 1 << 10, MiB = 1 << 20;

    /// <summary>One case: how the store is filled, and what is then created.</summary>
    private readonly record struct Case(string Name, long CapacityBytes, int FillBytes, int PutBytes, int Puts, Retention Retention);

    internal static IEnumerable<(string Name, double P50Us, double P99Us, double MaxUs, int Refused)> Measure()
    {
        Case[] cases =
        [
            new("1 KiB into 100,000 of 1 KiB", 112L * MiB, KiB, KiB, 50_000, Retention.Evictable),
            new("64 KiB into 8,000 of 64 KiB", 512L * MiB, 64 * KiB, 64 * KiB, 20_000, Retention.Evictable),
            new("4 MiB into 250 of 4 MiB", 1024L * MiB, 4 * MiB, 4 * MiB, 2_000, Retention.Evictable),
            new("4 MiB into 16,000 of 64 KiB", 1024L * MiB, 64 * KiB, 4 * MiB, 200, Retention.Evictable),
            new("1 KiB into 250 of 4 MiB", 1024L * MiB, 4 * MiB, KiB, 20_000, Retention.Evictable),
            new("1 KiB into 8,000 of 128 KiB", 1024L * MiB, 128 * KiB, KiB, 20_000, Retention.Evictable),
            new("refused: 1 KiB into 100,000 to keep", 112L * MiB, KiB, KiB, 2_000, Retention.Keep),
            new("refused: 4 MiB into 16,000 to keep", 1024L * MiB, 64 * KiB, 4 * MiB, 500, Retention.Keep),
        ];
        foreach (Case one in cases)
            yield return Measure(one);
    }

    private static (string, double, double, double, int) Measure(Case one)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = one.CapacityBytes, ObjectCountMax = 131_072, DefaultRetention = one.Retention });
        ulong number = 0;
        int live = 0;
        while (Try(one.FillBytes) && store.Stats() is { Process.Evictions: 0 }) // Ends when the store is full.
            for (int i = 0; i < 500 && Try(one.FillBytes); i++)
                live++;
        for (int i = 0; i < 1000; i++) // The code is compiled before it is timed.
            Try(one.PutBytes);
        long[] ticks = new long[one.Puts];
        int refused = 0;
        for (int i = 0; i < ticks.Length; i++)
        {
            long start = Stopwatch.GetTimestamp();
            refused += Try(one.PutBytes) ? 0 : 1;
            ticks[i] = Stopwatch.GetTimestamp() - start;
        }
        Array.Sort(ticks);
        return (one.Name, Us(ticks.Length / 2), Us(ticks.Length * 99 / 100), Us(ticks.Length - 1), refused);

        double Us(int i) => ticks[i] * 1e6 / Stopwatch.Frequency;

        bool Try(int bytes)
        {
            if (store.TryCreate(BenchIds.Of(number++), bytes, out ObjectWriter writer) != PlasmaStatus.Ok)
                return false;
            writer.Seal();
            return true;
        }
    }
}
