using BenchmarkDotNet.Attributes;
using FastPlasma.Allocator;

namespace FastPlasma.Bench;

/// <summary>What does it cost to find the size class of a request, and the block size of a class? Ceiling: reading the requests, of which each allocation has one.</summary>
public class SizeClassBenchmarks
{
    private const int Count = 4096;
    private readonly int[] _bytes = new int[Count];

    /// <summary>The largest request; up to 512 bytes the classes are linear, above they are eight per doubling.</summary>
    [Params(SizeClasses.LinearMaxBytes, SizeClasses.SlabMaxBytes)]
    public int BytesMax { get; set; }

    /// <summary>Draws the requests, so that no branch can be foretold.</summary>
    [GlobalSetup]
    public void Setup()
    {
        var random = new Random(1);
        for (int i = 0; i < Count; i++)
            _bytes[i] = random.Next(1, BytesMax + 1);
    }

    /// <summary>The ceiling.</summary>
    [Benchmark(Baseline = true, OperationsPerInvoke = Count)]
    public long Read()
    {
        long sum = 0;
        foreach (int bytes in _bytes)
            sum += bytes;
        return sum;
    }

    /// <summary>Class of a request.</summary>
    [Benchmark(OperationsPerInvoke = Count)]
    public long ClassOf()
    {
        long sum = 0;
        foreach (int bytes in _bytes)
            sum += SizeClasses.ClassOf(bytes);
        return sum;
    }

    /// <summary>Class of a request and its block size.</summary>
    [Benchmark(OperationsPerInvoke = Count)]
    public long BlockBytesOf()
    {
        long sum = 0;
        foreach (int bytes in _bytes)
            sum += SizeClasses.BytesOf(SizeClasses.ClassOf(bytes));
        return sum;
    }
}
