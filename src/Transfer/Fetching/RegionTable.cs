using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace FastPlasma.Transfer.Fetching;

/// <summary>Memory of this node that others may write to, by key. A key is 64 random bits and is never used twice.</summary>
internal sealed class RegionTable
{
    private readonly ConcurrentDictionary<ulong, IRegion> _regions = new();

    internal ulong Register(IRegion region)
    {
        Span<byte> key = stackalloc byte[sizeof(ulong)];
        while (true) // Ends: two of 2^64 keys are alike next to never.
        {
            RandomNumberGenerator.Fill(key);
            ulong value = BitConverter.ToUInt64(key);
            if (value != 0 && _regions.TryAdd(value, region))
                return value;
        }
    }

    /// <summary>Nothing begins to arrive under this key any more. What is arriving is the region's own business.</summary>
    internal void Unregister(ulong key) => _regions.TryRemove(key, out _);

    internal IRegion? Find(ulong key) => _regions.GetValueOrDefault(key);

    internal int Count => _regions.Count;
}
