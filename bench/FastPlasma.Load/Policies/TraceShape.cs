using FastPlasma.Cli.Bench;

namespace FastPlasma.Load.Policies;

/// <summary>A sequence of requests that is made from published parameters and a seed: the same each time.</summary>
/// <param name="Name">Short.</param>
/// <param name="Source">Where shape and parameters come from.</param>
/// <param name="CapacityBytes">Of the cache.</param>
/// <param name="Requests">Object numbers in the order in which they are asked for.</param>
/// <param name="BytesOf">Length of each object.</param>
internal sealed record TraceShape(string Name, string Source, long CapacityBytes, int[] Requests, Func<int, int> BytesOf)
{
    private const int KiB = 1 << 10, MiB = 1 << 20;

    private const long Capacity = 48L * MiB, LargeCapacity = 512L * MiB;

    /// <summary>All shapes.</summary>
    internal static IEnumerable<TraceShape> All(ulong seed) => [ZipfWithScans(seed), ManySmallFewLarge(seed), Loop(seed), OneHitWonders(seed)];

    /// <summary>Zipfian with YCSB's constant (Cooper et al., SoCC 2010), and sequential scans of objects that nobody asks for again, a fifth of the requests.</summary>
    private static TraceShape ZipfWithScans(ulong seed)
    {
        const int objects = 20_000, requests = 200_000, scanEvery = 10_000, scanLength = 2_000;
        var zipf = new Zipf(objects, 0.99, seed);
        var list = new List<int>(requests);
        for (int next = objects; list.Count < requests;)
        {
            list.Add(zipf.Next());
            if (list.Count % scanEvery == scanEvery - scanLength)
                for (int i = 0; i < scanLength; i++)
                    list.Add(next++);
        }
        return new TraceShape("zipf-scan", "Zipf 0.99 over 20,000 objects of 12 KiB (YCSB), and a scan of 2,000 new ones in every 10,000 requests", Capacity, [.. list], static _ => 12 * KiB);
    }

    /// <summary>91 % of the objects small and most bytes in the few large ones, as in the scenario fragmentation; sizes log-uniform, popularity Zipf 0.8 (within the 0.64 to 0.83 that Breslau et al., INFOCOM 1999, found in web caches).</summary>
    private static TraceShape ManySmallFewLarge(ulong seed)
    {
        const int objects = 60_000, requests = 200_000;
        var zipf = new Zipf(objects, 0.8, seed);
        return new TraceShape("small-large", "91 % of 60,000 objects 64 B to 16 KiB, 8 % to 1 MiB, 1 % to 8 MiB, log-uniform; Zipf 0.8", LargeCapacity, [.. Enumerable.Range(0, requests).Select(_ => zipf.Next())], Bytes);

        int Bytes(int number)
        {
            ulong random = BenchIds.Mix((ulong)number ^ seed);
            double share = random % 10_000 / 10_000.0, place = (random >> 32) / (double)uint.MaxValue;
            (double low, double high) = share < 0.91 ? (64, 16 * KiB) : share < 0.99 ? (16 * KiB, MiB) : (MiB, 8 * MiB);
            return (int)(low * Math.Pow(high / low, place));
        }
    }

    /// <summary>A loop over a quarter more than the cache holds: what LRU is known to be worst at (Jiang and Zhang, LIRS, SIGMETRICS 2002).</summary>
    private static TraceShape Loop(ulong seed)
    {
        const int bytes = 64 * KiB, rounds = 40, margin = 4;
        int objects = (int)(Capacity / bytes) * (margin + 1) / margin;
        return new TraceShape("loop", $"{objects} objects of 64 KiB in turns, 1.25 times the cache; a start that the seed chooses", Capacity, [.. Enumerable.Range((int)(seed % 100), objects * rounds).Select(i => i % objects)], static _ => bytes);
    }

    /// <summary>Zipf 1.0, and as many requests for objects that are asked for once: the share that the SIEVE paper (Zhang et al., NSDI 2024) gives for short traces of CDNs.</summary>
    private static TraceShape OneHitWonders(ulong seed)
    {
        const int objects = 10_000, requests = 160_000;
        var zipf = new Zipf(objects, 1.0, seed);
        int next = objects;
        return new TraceShape(
            "one-hit", "Zipf 1.0 over 10,000 objects of 24 KiB; every third request for one that is never asked for again", Capacity, [.. Enumerable.Range(0, requests).Select(i => i % 3 == 2 ? next++ : zipf.Next())], static _ => 24 * KiB);
    }

    /// <summary>Numbers below a count whose frequency falls with their rank; ranks are spread over the numbers.</summary>
    private sealed class Zipf
    {
        private readonly double[] _sums;
        private readonly int[] _numberOf;
        private ulong _state;

        internal Zipf(int count, double exponent, ulong seed)
        {
            _state = seed;
            _sums = new double[count];
            double sum = 0;
            for (int rank = 0; rank < count; rank++)
                _sums[rank] = sum += 1 / Math.Pow(rank + 1, exponent);
            _numberOf = [.. Enumerable.Range(0, count).OrderBy(n => BenchIds.Mix((ulong)n + seed))];
        }

        internal int Next()
        {
            _state = BenchIds.Mix(_state);
            int rank = Array.BinarySearch(_sums, (_state >> 11) / (double)(1UL << 53) * _sums[^1]);
            return _numberOf[Math.Min(rank < 0 ? ~rank : rank, _sums.Length - 1)];
        }
    }
}
