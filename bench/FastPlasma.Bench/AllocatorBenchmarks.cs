using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using FastPlasma.Allocator;

namespace FastPlasma.Bench;

/// <summary>What does the allocator cost per block, alone? Ceiling: the C library's malloc and free of the same size, which only one process can use.</summary>
public unsafe class AllocatorBenchmarks
{
    private readonly BlockCache _cache = new();
    private PlasmaStore _store = null!;
    private BlockPlace* _place;
    private ulong _owner;

    /// <summary>Block size.</summary>
    [Params(64, 1 << 10, 64 << 10, 1 << 20, 64 << 20)]
    public int Bytes { get; set; }

    /// <summary>Creates the store whose allocator is measured.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 512 << 20 });
        _place = (BlockPlace*)NativeMemory.AllocZeroed((nuint)sizeof(BlockPlace));
    }

    /// <summary>Ends the store.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _store.Dispose();
        NativeMemory.Free(_place);
    }

    /// <summary>The ceiling.</summary>
    [Benchmark(Baseline = true)]
    public void Malloc() => NativeMemory.Free(NativeMemory.Alloc((nuint)Bytes));

    /// <summary>One block taken and freed.</summary>
    [Benchmark]
    public void AllocateAndFree()
    {
        if (!_store.Allocator.TryAllocate(_cache, Bytes, SizeClasses.QuantumBytes, ++_owner, _place, Effort.Normal, out _))
            throw new InvalidOperationException("The store is full.");
        _store.Allocator.Free(_cache, *_place, _owner);
    }

    /// <summary>Size class of a request.</summary>
    [Benchmark]
    public int ClassOf() => SizeClasses.ClassOf(Math.Min(Bytes, SizeClasses.SlabMaxBytes));
}
