using BenchmarkDotNet.Attributes;

namespace FastPlasma.Bench;

/// <summary>What do the calls on one small object cost, and do they allocate? Ceiling: one uncontended interlocked increment.</summary>
[MemoryDiagnoser]
public class StoreBenchmarks
{
    private readonly byte[] _payload = new byte[1024];
    private readonly ObjectId _hot = ObjectId.FromName("hot"), _missing = ObjectId.FromName("missing"), _cycle = ObjectId.FromName("cycle");
    private PlasmaStore _store = null!;
    private long _counter;

    /// <summary>Creates the store and its hot object.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        _store.Put(_hot, _payload);
    }

    /// <summary>Ends the store.</summary>
    [GlobalCleanup]
    public void Cleanup() => _store.Dispose();

    /// <summary>The ceiling.</summary>
    [Benchmark(Baseline = true)]
    public long Increment() => Interlocked.Increment(ref _counter);

    /// <summary>Get and release.</summary>
    [Benchmark]
    public long GetAndRelease()
    {
        if (!_store.TryGet(_hot, out PlasmaObject hot))
            throw new InvalidOperationException("The hot object is missing.");
        using (hot)
            return hot.Length;
    }

    /// <summary>Look-up of an id that exists.</summary>
    [Benchmark]
    public bool ContainsHit() => _store.Contains(_hot);

    /// <summary>Look-up of an id that does not.</summary>
    [Benchmark]
    public bool ContainsMiss() => _store.Contains(_missing);

    /// <summary>Create, copy 1 KB, seal, delete.</summary>
    [Benchmark]
    public void PutAndDelete()
    {
        _store.Put(_cycle, _payload);
        _store.Delete(_cycle);
    }

    /// <summary>Create and give up.</summary>
    [Benchmark]
    public void CreateAndAbort() => _store.Create(_cycle, 1024).Dispose();
}

/// <summary>What does a random get cost when nothing is in the cache, and how much does a batch save?</summary>
[MemoryDiagnoser]
public class RandomGetBenchmarks
{
    private const int Count = 1_000_000, BatchSize = 100;

    private readonly ObjectId[] _ids = new ObjectId[Count];
    private readonly PlasmaObject[] _objects = new PlasmaObject[BatchSize];
    private PlasmaStore _store = null!;
    private int _next;

    /// <summary>Puts a million objects of 100 bytes to 1 KB and shuffles their ids.</summary>
    [GlobalSetup]
    public void Setup()
    {
        var random = new Random(1);
        byte[] payload = new byte[1024];
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 2L << 30, ObjectCountMax = Count + 1000 });
        for (int i = 0; i < Count; i++)
        {
            _ids[i] = ObjectId.FromGuid(new Guid(i, 0, 0, new byte[8]));
            _store.Put(_ids[i], payload.AsSpan(0, random.Next(100, 1025)));
        }
        random.Shuffle(_ids);
    }

    /// <summary>Ends the store.</summary>
    [GlobalCleanup]
    public void Cleanup() => _store.Dispose();

    /// <summary>One after the other.</summary>
    [Benchmark(OperationsPerInvoke = BatchSize, Baseline = true)]
    public void OneByOne()
    {
        foreach (ObjectId id in NextIds())
            if (_store.TryGet(id, out PlasmaObject obj))
                obj.Dispose();
    }

    /// <summary>In one call.</summary>
    [Benchmark(OperationsPerInvoke = BatchSize)]
    public void Batch()
    {
        _store.Get(NextIds(), _objects);
        foreach (PlasmaObject obj in _objects)
            obj.Dispose();
    }

    private ReadOnlySpan<ObjectId> NextIds()
    {
        _next = (_next + BatchSize) % (Count - BatchSize);
        return _ids.AsSpan(_next, BatchSize);
    }
}

/// <summary>What does a put cost by size, into memory that was used before? Ceiling: Span.CopyTo of the same bytes.</summary>
[MemoryDiagnoser]
public class PutBenchmarks
{
    private readonly ObjectId _id = ObjectId.FromName("put");
    private PlasmaStore _store = null!;
    private byte[] _source = [], _destination = [];

    /// <summary>Payload size.</summary>
    [Params(64, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 64 << 20)]
    public int Bytes { get; set; }

    /// <summary>Whether a checksum is computed with the copy.</summary>
    [Params(false, true)]
    public bool Checksum { get; set; }

    /// <summary>Creates store and buffers and touches their pages.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 512 << 20 });
        (_source, _destination) = (new byte[Bytes], new byte[Bytes]);
        new Random(1).NextBytes(_source);
        PutAndDelete();
    }

    /// <summary>Ends the store.</summary>
    [GlobalCleanup]
    public void Cleanup() => _store.Dispose();

    /// <summary>The ceiling.</summary>
    [Benchmark(Baseline = true)]
    public void SpanCopyTo() => _source.CopyTo(_destination.AsSpan());

    /// <summary>Put and delete, so that the memory is used again.</summary>
    [Benchmark]
    public void PutAndDelete()
    {
        _store.Put(_id, _source, new ObjectOptions { Checksum = Checksum });
        _store.Delete(_id);
    }
}

/// <summary>How long until a getter that sleeps, or spins, on another thread has the object? The tool's wake scenarios measure the same between processes.</summary>
public class WakeBenchmarks
{
    private PlasmaStore _store = null!;
    private Thread _echo = null!;
    private long _round;
    private volatile bool _stop;

    /// <summary>How long both sides spin before they sleep, in microseconds.</summary>
    [Params(0, 1000)]
    public int SpinUs { get; set; }

    /// <summary>Starts the thread that answers each ping with a pong.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        _round = 0;
        _stop = false;
        _echo = new Thread(Echo) { IsBackground = true };
        _echo.Start();
    }

    /// <summary>Ends thread and store.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _stop = true;
        _store.Put(Id(_round * 2), []);
        _echo.Join();
        _store.Dispose();
    }

    /// <summary>Ping and pong: two wakes.</summary>
    [Benchmark(OperationsPerInvoke = 2)]
    public void PingPong()
    {
        _store.Put(Id(_round * 2), []);
        _store.Get(Id(_round * 2 + 1), TimeSpan.FromSeconds(10), TimeSpan.FromMicroseconds(SpinUs)).Dispose();
        _store.Delete(Id(_round * 2 + 1));
        _round++;
    }

    private void Echo()
    {
        for (long round = 0; ; round++)
        {
            _store.Get(Id(round * 2), TimeSpan.FromSeconds(60), TimeSpan.FromMicroseconds(SpinUs)).Dispose();
            _store.Delete(Id(round * 2));
            if (_stop)
                return;
            _store.Put(Id(round * 2 + 1), []);
        }
    }

    private static ObjectId Id(long number) => ObjectId.FromGuid(new Guid((int)number, (short)(number >> 32), 0, new byte[8]));
}
