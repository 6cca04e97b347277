using System.Numerics;
using BenchmarkDotNet.Attributes;
using FastPlasma.Format;
using FastPlasma.Index;

namespace FastPlasma.Bench;

/// <summary>What does it take to find the word of an id, by where it stands and by how full the buckets are? Ceiling: the hash of the id.</summary>
/// <remarks>Hashes and buckets alone, without the record behind the word. At most half of all places can be taken, because there are twice as many as objects.</remarks>
public unsafe class IndexBenchmarks
{
    private const int ObjectCountMax = 1 << 14, IdCount = 256;

    private readonly ObjectId[] _first = new ObjectId[IdCount], _second = new ObjectId[IdCount], _missing = new ObjectId[IdCount];
    private PlasmaStore _store = null!;
    private BucketTable _table;

    /// <summary>Percentage of the places that hold a word.</summary>
    [Params(5, 50)]
    public int LoadPercent { get; set; }

    /// <summary>Fills the store and finds ids of each kind.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 16 << 20, ObjectCountMax = ObjectCountMax });
        _table = new BucketTable(_store.Memory);
        int objects = (int)((long)_store.Memory.Geometry.BucketCount * Files.StoreGeometry.WordsPerBucket * LoadPercent / 100);
        if (objects > ObjectCountMax)
            throw new InvalidOperationException($"{LoadPercent} % of the places are {objects} objects, and the store holds {ObjectCountMax}.");
        int first = 0, second = 0;
        for (int i = 0; i < objects; i++)
        {
            ObjectId id = Id(i);
            _store.Put(id, []);
            if (BucketTable.Match(_table.First(_table.HashOf(id)), _table.HashOf(id)) != 0)
                _first[first++ % IdCount] = id;
            else
                _second[second++ % IdCount] = id;
        }

        if (first == 0 || second == 0)
            throw new InvalidOperationException($"Of {objects} words {first} stand in their first bucket and {second} in their second one; both kinds are needed.");
        for (int i = Math.Min(first, IdCount); i < IdCount; i++)
            _first[i] = _first[i % first];
        for (int i = Math.Min(second, IdCount); i < IdCount; i++)
            _second[i] = _second[i % second];
        for (int i = 0; i < IdCount; i++)
            _missing[i] = Id(-1 - i);
    }

    /// <summary>Ends the store.</summary>
    [GlobalCleanup]
    public void Cleanup() => _store.Dispose();

    /// <summary>The ceiling.</summary>
    [Benchmark(Baseline = true, OperationsPerInvoke = IdCount)]
    public ulong Hash()
    {
        ulong all = 0;
        foreach (ref readonly ObjectId id in _first.AsSpan())
            all += _table.HashOf(in id);
        return all;
    }

    /// <summary>The word stands in the first bucket.</summary>
    [Benchmark(OperationsPerInvoke = IdCount)]
    public ulong HitFirst() => Find(_first);

    /// <summary>The word stands in the second bucket.</summary>
    [Benchmark(OperationsPerInvoke = IdCount)]
    public ulong HitSecond() => Find(_second);

    /// <summary>There is no word; both buckets are looked at.</summary>
    [Benchmark(OperationsPerInvoke = IdCount)]
    public ulong Miss() => Find(_missing);

    private ulong Find(ObjectId[] ids)
    {
        ulong all = 0;
        foreach (ref readonly ObjectId id in ids.AsSpan())
        {
            ulong hash = _table.HashOf(in id);
            ulong* bucket = _table.First(hash);
            uint matches = BucketTable.Match(bucket, hash);
            if (matches == 0)
            {
                bucket = _table.Second(hash);
                matches = BucketTable.Match(bucket, hash);
            }

            if (matches != 0)
                all += new IndexWord(Volatile.Read(ref bucket[BitOperations.TrailingZeroCount(matches)])).Entry;
        }

        return all;
    }

    private static ObjectId Id(int number) => ObjectId.FromGuid(new Guid(number, 0, 0, new byte[8]));
}
