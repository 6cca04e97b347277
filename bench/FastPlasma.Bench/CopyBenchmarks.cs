using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using FastPlasma.Copying;

namespace FastPlasma.Bench;

/// <summary>Two page-aligned buffers that have been written once, so that no page fault is measured.</summary>
public abstract unsafe class CopyBuffers
{
    private const int PageBytes = 4096;

    private byte* _source;
    private byte* _destination;

    /// <summary>Start of the source region at <paramref name="offset"/> bytes into its page.</summary>
    protected byte* Source(int offset) => _source + offset;

    /// <summary>Start of the destination, at a page boundary as the blocks of the store are at least at a cache line.</summary>
    protected byte* Destination => _destination;

    /// <summary>Allocates and touches both buffers.</summary>
    protected void Allocate(int bytes)
    {
        // SAFETY: Source may be asked for any offset below PageBytes, so the source region is longer by one page.
        nuint total = (nuint)bytes + PageBytes;
        _source = (byte*)NativeMemory.AlignedAlloc(total, PageBytes);
        _destination = (byte*)NativeMemory.AlignedAlloc(total, PageBytes);
        NativeMemory.Fill(_source, total, 0x5A);
        NativeMemory.Fill(_destination, total, 0);
    }

    /// <summary>Frees both buffers.</summary>
    [GlobalCleanup]
    public void Free()
    {
        NativeMemory.AlignedFree(_source);
        NativeMemory.AlignedFree(_destination);
    }
}

/// <summary>Is the store's copy at least as fast as the runtime's at every size? Ceiling and baseline: Span.CopyTo of the same buffers.</summary>
/// <remarks>The source starts 16 bytes into a page, where the data of a large byte[] starts.</remarks>
public unsafe class CopySizeBenchmarks : CopyBuffers
{
    private const int ArrayDataOffset = 16;

    /// <summary>How much is copied.</summary>
    [Params(64, 256, 1 << 10, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20, 512 << 20)]
    public int Bytes { get; set; }

    /// <summary>Prepares the buffers.</summary>
    [GlobalSetup]
    public void Setup() => Allocate(Bytes);

    /// <summary>The runtime's copy.</summary>
    [Benchmark(Baseline = true)]
    public void SpanCopyTo() => new ReadOnlySpan<byte>(Source(ArrayDataOffset), Bytes).CopyTo(new Span<byte>(Destination, Bytes));

    /// <summary>The store's copy.</summary>
    [Benchmark]
    public void CopyEngineCopy() => CopyEngine.Copy(Destination, Source(ArrayDataOffset), (nuint)Bytes);

    /// <summary>The store's copy with the checksum of what arrived.</summary>
    [Benchmark]
    public ulong CopyAndHash()
    {
        Checksum checksum = Checksum.Start();
        checksum.CopyAndAppend(Destination, Source(ArrayDataOffset), (nuint)Bytes);
        return checksum.Finish((ulong)Bytes, 0);
    }

    /// <summary>The checksum alone.</summary>
    [Benchmark]
    public ulong HashOnly() => Checksum.HashOnly(Destination, (nuint)Bytes, null, 0);
}

/// <summary>Does the time of a copy depend on where source and destination lie modulo 4096? Ceiling: the best offset.</summary>
/// <remarks>Offsets 4072 to 4095 put the destination 1 to 24 bytes after the source modulo 4096, where <c>rep movsb</c> is slow on some processors;
/// 1 to 24 put it just before.</remarks>
public unsafe class CopyOffsetBenchmarks : CopyBuffers
{
    /// <summary>How much is copied.</summary>
    [Params(4 << 10, 64 << 10)]
    public int Bytes { get; set; }

    /// <summary>Offset of the source modulo 4096; the destination is at 0.</summary>
    [Params(0, 8, 16, 24, 33, 2048, 3840, 4032, 4072, 4080, 4088, 4095)]
    public int SourceOffset { get; set; }

    /// <summary>Prepares the buffers.</summary>
    [GlobalSetup]
    public void Setup() => Allocate(Bytes);

    /// <summary>The runtime's copy.</summary>
    [Benchmark(Baseline = true)]
    public void SpanCopyTo() => new ReadOnlySpan<byte>(Source(SourceOffset), Bytes).CopyTo(new Span<byte>(Destination, Bytes));

    /// <summary>The store's copy.</summary>
    [Benchmark]
    public void CopyEngineCopy() => CopyEngine.Copy(Destination, Source(SourceOffset), (nuint)Bytes);
}
