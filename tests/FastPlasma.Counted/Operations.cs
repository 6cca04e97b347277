using System.Runtime.InteropServices;
using FastPlasma.Cli.Bench;

namespace FastPlasma.Counted;

/// <summary>The hot operations, each in a loop of its own, on a store with some residents.</summary>
internal sealed unsafe class Operations
{
    private const int ResidentCount = 1000, BatchCount = 100, SmallBytes = 64, MediumBytes = 1 << 10, LargeBytes = 64 << 10;
    private const nuint PageBytes = 4096;

    private readonly PlasmaStore _store;
    private readonly ObjectId[] _kept = BenchIds.Range(ResidentCount), _evictable = BenchIds.Range(ResidentCount, 1), _missing = BenchIds.Range(ResidentCount, 2), _new = BenchIds.Range(ResidentCount, 3);
    private readonly PlasmaObject[] _batch = new PlasmaObject[BatchCount];

    // At a fixed place in a page: where source and destination lie to each other decides the way of copying.
    private readonly byte* _source = (byte*)NativeMemory.AlignedAlloc(LargeBytes, PageBytes);

    internal Operations(PlasmaStore store)
    {
        _store = store;
        NativeMemory.Fill(_source, LargeBytes, 0x5A);
        foreach (ObjectId id in _kept)
            store.Put(id, new ReadOnlySpan<byte>(_source, MediumBytes));
        foreach (ObjectId id in _evictable)
            store.Put(id, new ReadOnlySpan<byte>(_source, MediumBytes), new ObjectOptions { Retention = Retention.Evictable });
    }

    internal Operation[] All =>
    [
        new("get-hit", 500, Nothing, count => Get(_kept, count), Nothing),
        new("get-hit-evictable", 500, Nothing, count => Get(_evictable, count), Nothing),
        new("get-miss", 500, Nothing, GetMissing, Nothing),
        new("get-batch-100", 5, Nothing, GetBatches, Nothing),
        new("contains-hit", 500, Nothing, count => Contain(_kept, count, true), Nothing),
        new("contains-miss", 500, Nothing, count => Contain(_missing, count, false), Nothing),
        new("put-64", 200, Nothing, count => Put(count, SmallBytes), Delete),
        new("put-1k", 200, Nothing, count => Put(count, MediumBytes), Delete),
        new("put-64k", 200, Nothing, count => Put(count, LargeBytes), Delete),
        new("create-seal-delete-1k", 200, Nothing, Cycle, Nothing),
        new("delete-1k", 200, count => Put(count, MediumBytes), Delete, Nothing),
        new("control-get-hit-and-a-loop", 500, Nothing, GetAndLoop, Nothing),
    ];

    private static void Nothing(int count)
    {
    }

    private void Get(ObjectId[] ids, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (!_store.TryGet(in ids[i], out PlasmaObject obj))
                throw Wrong();
            obj.Dispose();
        }
    }

    /// <summary>As <see cref="Get"/> with what a careless change might add: the judge has to refuse it.</summary>
    private void GetAndLoop(int count)
    {
        int sum = 0;
        for (int i = 0; i < count; i++)
        {
            if (!_store.TryGet(in _kept[i], out PlasmaObject obj))
                throw Wrong();
            foreach (byte b in obj.Span[..8])
                sum += b;
            obj.Dispose();
        }
        if (sum != count * 8 * *_source)
            throw Wrong();
    }

    private void GetMissing(int count)
    {
        for (int i = 0; i < count; i++)
            if (_store.TryGet(in _missing[i], out _))
                throw Wrong();
    }

    private void GetBatches(int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (_store.Get(_kept.AsSpan(i * BatchCount, BatchCount), _batch) != BatchCount)
                throw Wrong();
            foreach (ref PlasmaObject obj in _batch.AsSpan())
                obj.Dispose();
        }
    }

    private void Contain(ObjectId[] ids, int count, bool expected)
    {
        for (int i = 0; i < count; i++)
            if (_store.Contains(in ids[i]) != expected)
                throw Wrong();
    }

    private void Put(int count, int bytes)
    {
        for (int i = 0; i < count; i++)
            if (_store.TryPut(in _new[i], new ReadOnlySpan<byte>(_source, bytes)) != PlasmaStatus.Ok)
                throw Wrong();
    }

    private void Delete(int count)
    {
        for (int i = 0; i < count; i++)
            if (_store.Delete(in _new[i]) != PlasmaStatus.Ok)
                throw Wrong();
    }

    private void Cycle(int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (_store.TryCreate(in _new[i], MediumBytes, out ObjectWriter writer) != PlasmaStatus.Ok || writer.TrySeal() != PlasmaStatus.Ok || _store.Delete(in _new[i]) != PlasmaStatus.Ok)
                throw Wrong();
        }
    }

    private static InvalidOperationException Wrong() => new("An operation ended otherwise than it must.");
}
