using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Parts;

/// <summary>A process that works with more bytes than its store has memory. Arguments: the store's folder; its name; capacity; folder of the spill files; threads.</summary>
/// <remarks>
/// Lines: <c>put BYTES</c> puts further objects of 64 KB to 64 MB (as many of each doubling) until so many bytes more are in; <c>unload</c> sees to it that all are on disk; <c>get BYTES</c> gets the next of them, from the first on, until it has so many bytes, and checks every byte;
/// <c>pace COUNT BYTES RATE</c> puts COUNT objects of BYTES bytes at a steady RATE of bytes per second, each timed from the moment at which it was due, after as many that were deleted again, so that memory is warm.
/// </remarks>
internal sealed class SpillPart : IPart
{
    internal const string PartName = "spill";

    private const int BytesMin = 64_000, BytesMax = 64_000_000;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly List<(int Bytes, ulong Hash)> _objects = [];
    private readonly Random _random = new(1);
    private byte[] _source = [];
    private int _got;

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        string disk = arguments[3];
        int threads = int.Parse(arguments[4], CultureInfo.InvariantCulture);
        using PlasmaStore store = PlasmaStore.Create(arguments[1], new PlasmaOptions
        {
            Directory = arguments[0],
            CapacityBytes = long.Parse(arguments[2], CultureInfo.InvariantCulture),
            SpillDirectories = disk.Length == 0 ? [] : [disk],
            ObjectCountMax = 1 << 16,
            FullTimeout = s_deadline,
        });
        parent.SendResult(new WorkResult());
        for (string line = parent.Receive(); line != ParentPipe.Exit; line = parent.Receive())
        {
            string[] words = line.Split(' ');
            long[] numbers = [.. words[1..].Select(static word => long.Parse(word, CultureInfo.InvariantCulture))];
            parent.SendResult(words[0] switch
            {
                "put" => Put(store, threads, numbers[0]),
                "unload" => Unload(store),
                "get" => Get(store, threads, numbers[0]),
                "pace" => Pace(store, (int)numbers[0], (int)numbers[1], numbers[2]),
                _ => throw new InvalidOperationException($"There is no order '{line}'."),
            });
        }
    }

    private static ObjectId Id(long i) => HolderPart.Id((int)i);

    /// <summary>The payload of object i: a stretch of random bytes that begins at another place for each.</summary>
    private ReadOnlySpan<byte> PayloadOf(int i, int bytes) => _source.AsSpan(i * 64 % (1 << 20), bytes);

    private WorkResult Put(PlasmaStore store, int threads, long totalBytes)
    {
        if (_source.Length == 0)
        {
            _source = GC.AllocateUninitializedArray<byte>(BytesMax + (1 << 20), pinned: true);
            _random.NextBytes(_source);
        }
        long bytes = 0;
        int first = _objects.Count;
        for (int i = first; bytes < totalBytes; i++)
        {
            int size = (int)(BytesMin * Math.Pow((double)BytesMax / BytesMin, _random.NextDouble()));
            _objects.Add((size, XxHash3.HashToUInt64(PayloadOf(i, size))));
            bytes += size;
        }
        long start = Stopwatch.GetTimestamp();
        InParallel(threads, first, _objects.Count, i => store.Put(Id(i), PayloadOf(i, _objects[i].Bytes)));
        return ResultOf(_objects.Count - first, bytes, start);
    }

    private WorkResult Unload(PlasmaStore store)
    {
        long start = Stopwatch.GetTimestamp();
        long bytes = store.Unload(long.MaxValue);
        WorkResult result = ResultOf(0, bytes, start);
        return store.Stats().SpilledCount == _objects.Count ? result : throw new InvalidOperationException($"{_objects.Count - store.Stats().SpilledCount} of {_objects.Count} objects are not on disk.");
    }

    private WorkResult Get(PlasmaStore store, int threads, long totalBytes)
    {
        int first = _got;
        long bytes = 0;
        for (; bytes < totalBytes && _got < _objects.Count; _got++)
            bytes += _objects[_got].Bytes;
        long start = Stopwatch.GetTimestamp();
        InParallel(threads, first, _got, i =>
        {
            using PlasmaObject obj = store.Get(Id(i), s_deadline);
            if (XxHash3.HashToUInt64(obj.Span) != _objects[i].Hash)
                throw new InvalidDataException($"Object {i} came back changed.");
        });
        return ResultOf(_got - first, bytes, start);
    }

    /// <summary>Objects from <paramref name="first"/> on, in their order, by so many threads.</summary>
    private static void InParallel(int threads, int first, int end, Action<int> action)
    {
        int next = first - 1;
        Parallel.For(0, threads, _ =>
        {
            for (int i = Interlocked.Increment(ref next); i < end; i = Interlocked.Increment(ref next))
                action(i);
        });
    }

    private static WorkResult ResultOf(int objects, long bytes, long start) => new() { Operations = objects, Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, Figures = [bytes] };

    private static WorkResult Pace(PlasmaStore store, int count, int bytes, long bytesPerSecond)
    {
        byte[] payload = new byte[bytes];
        new Random(2).NextBytes(payload);
        for (int i = 0; i < count; i++)
            store.Put(Id((2 << 20) + i), payload);
        for (int i = 0; i < count; i++)
            store.Delete(Id((2 << 20) + i));
        var latencies = new Latencies();
        double ticksEach = bytes * (double)Stopwatch.Frequency / bytesPerSecond;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            MemoryMarshal.Write(payload, i);
            long due = start + (long)(i * ticksEach);
            while (due - Stopwatch.GetTimestamp() is long left && left > 0) // Ends when it is due.
                if (left > Stopwatch.Frequency / 500)
                    Thread.Sleep(1);
            store.Put(Id((1 << 20) + i), payload);
            latencies.Record(Stopwatch.GetTimestamp() - due, 1);
        }
        long spilled = store.Stats().SpilledBytes;
        return new WorkResult { Operations = count, OperationsPerSecond = count * (double)Stopwatch.Frequency / (Stopwatch.GetTimestamp() - start), Pairs = latencies.ToPairs(), Figures = [spilled] };
    }
}
