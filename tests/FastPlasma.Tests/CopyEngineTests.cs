using System.Runtime.InteropServices;
using CsCheck;
using FastPlasma.Copying;

namespace FastPlasma.Tests;

/// <summary>Promises of <see cref="CopyEngine"/>: exactly the asked bytes arrive, and no other byte changes.</summary>
public sealed unsafe class CopyEngineTests
{
    private const byte Untouched = 0xA5;

    private enum Way
    {
        Chosen,
        NonTemporal,
        Parallel,
    }

    [Fact]
    public void Small_copies_arrive_whole_at_every_alignment()
    {
        using var arena = new Arena(bytesMax: 1100);
        int[] offsets = [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63];
        for (int bytes = 0; bytes <= arena.BytesMax; bytes++)
        {
            foreach (int destinationOffset in offsets)
                foreach (int sourceOffset in offsets)
                    arena.CopyAndCheck(Way.Chosen, destinationOffset, sourceOffset, bytes);
        }
    }

    [Fact]
    public void Every_distance_modulo_4096_copies_alike()
    {
        using var arena = new Arena(bytesMax: 4096);
        for (int sourceOffset = 0; sourceOffset < 4096; sourceOffset++)
        {
            arena.CopyAndCheck(Way.Chosen, 0, sourceOffset, 4096);
            arena.CopyAndCheck(Way.Chosen, sourceOffset & 63, sourceOffset, 1025 + (sourceOffset & 127));
        }
    }

    [Fact]
    public void Copies_around_the_runtimes_limit_end_at_any_byte_in_both_directions()
    {
        using var arena = new Arena(bytesMax: 4096);
        for (int bytes = (int)CopyEngine.RuntimeBytesMax - 130; bytes <= (int)CopyEngine.RuntimeBytesMax + 300; bytes++)
        {
            for (int destinationOffset = 0; destinationOffset <= 32; destinationOffset++)
            {
                arena.CopyAndCheck(Way.Chosen, destinationOffset, 1000, bytes);
                arena.CopyAndCheck(Way.Chosen, destinationOffset + 100, 100, bytes);
            }
        }
    }

    [Fact]
    public void Non_temporal_copies_arrive_whole_with_every_head_and_tail()
    {
        using var arena = new Arena(bytesMax: 1024);
        int bytesMin = (int)CopyEngine.NonTemporalMinBytes;
        for (int bytes = bytesMin; bytes <= bytesMin + 260; bytes++)
        {
            for (int destinationOffset = 0; destinationOffset < 64; destinationOffset++)
                arena.CopyAndCheck(Way.NonTemporal, destinationOffset, (bytes * 7) & 63, bytes);
        }
    }

    [Fact]
    public void Copies_around_the_non_temporal_threshold_arrive_whole()
    {
        int threshold = (int)CopyEngine.NonTemporalFromBytes;
        using var arena = new Arena(bytesMax: threshold + 64);
        foreach (int bytes in new[] { threshold - 1, threshold, threshold + 63 })
            arena.CopyAndCheck(Way.Chosen, 5, 16, bytes);
    }

    [Fact]
    public void Copies_by_several_threads_arrive_whole()
    {
        int bytesMin = (int)ParallelCopy.BytesMin;
        using var arena = new Arena(bytesMax: bytesMin + (3 << 20));
        foreach (int bytes in new[] { bytesMin, bytesMin + 1, bytesMin + (1 << 20) - 1, bytesMin + (1 << 20), bytesMin + (3 << 20) })
            arena.CopyAndCheck(Way.Parallel, 0, bytes & 63, bytes);
        for (int round = 0; round < 20; round++)
            arena.CopyAndCheck(Way.Parallel, 7, 16, bytesMin + 12_345);
    }

    [Fact]
    public void Copy_by_several_threads_waits_for_no_thread_of_a_pool_that_is_busy()
    {
        using var arena = new Arena(bytesMax: (int)ParallelCopy.BytesMin);
        using var release = new ManualResetEventSlim();
        int blocked = 0;
        ThreadPool.GetMinThreads(out int threads, out _);
        using var ended = new CountdownEvent(threads * 2);
        for (int i = 0; i < threads * 2; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                _ =>
                {
                    Interlocked.Increment(ref blocked);
                    release.Wait();
                    ended.Signal();
                },
                null);
        }
        try
        {
            Eventually.True(() => Volatile.Read(ref blocked) >= threads, "the threads of the pool are busy");
            Eventually.Ends(() => arena.CopyAndCheck(Way.Parallel, 0, 16, (int)ParallelCopy.BytesMin));
        }
        finally
        {
            release.Set();
            ended.Wait();
        }
    }

    [Fact]
    public void Bytes_around_the_destination_are_untouched()
    {
        using var arena = new Arena(bytesMax: 3 << 20);
        Gen.Select(Gen.Int[0, 22], Gen.Double.Unit, Gen.Int[0, 4095], Gen.Int[0, 4095], Gen.Bool).Sample(
            (bits, part, destinationOffset, sourceOffset, nonTemporal) =>
            {
                // Every order of magnitude is as likely as any other.
                int bytes = Math.Min((int)((1 << bits) * (1 + part)), arena.BytesMax);
                bool canStream = bytes >= (int)CopyEngine.NonTemporalMinBytes;
                arena.CopyAndCheck(nonTemporal && canStream ? Way.NonTemporal : Way.Chosen, destinationOffset, sourceOffset, bytes);
            },
            iter: 400,
            threads: 1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2048)]
    [InlineData(2049)]
    [InlineData(100_000)]
    public void Spans_copy_to_the_start_of_a_longer_destination(int bytes)
    {
        byte[] source = new byte[bytes], destination = new byte[bytes + 3];
        new Random(bytes).NextBytes(source);
        destination.AsSpan().Fill(Untouched);
        CopyEngine.Copy(destination, source);
        Assert.Equal(source, destination[..bytes]);
        Assert.All(destination[bytes..], b => Assert.Equal(Untouched, b));
    }

    [Fact]
    public void Copying_nothing_touches_no_address()
    {
        CopyEngine.Copy(default, default(ReadOnlySpan<byte>));
        CopyEngine.Copy(null, null, 0);
        CopyEngine.Copy((byte*)1, (byte*)2, 0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2048)]
    [InlineData(2049)]
    public void Destination_that_is_too_short_is_refused_before_anything_is_written(int bytes)
    {
        byte[] destination = new byte[bytes - 1];
        Assert.Throws<ArgumentException>(() => CopyEngine.Copy(destination, Enumerable.Repeat(Untouched, bytes).ToArray()));
        Assert.All(destination, b => Assert.Equal(0, b));
    }

    [Theory]
    [InlineData(0, 9 << 20)]
    [InlineData(512 << 10, 2 << 20)]
    [InlineData(32 << 20, 12 << 20)]
    [InlineData(1L << 30, 32 << 20)]
    public void Non_temporal_threshold_follows_the_cache_within_its_bounds(long cacheBytes, int thresholdBytes) =>
        Assert.Equal((nuint)thresholdBytes, CopyEngine.FromCacheBytes((ulong)cacheBytes));

    [Fact]
    public void Reported_cache_has_a_plausible_size() =>
        Assert.True(LargestCache.Bytes is 0 or (>= 128 << 10 and <= 16L << 30), $"{LargestCache.Bytes} bytes");

    /// <summary>A source of known bytes and a destination between guards, both page-aligned.</summary>
    private sealed class Arena : IDisposable
    {
        private const int PageBytes = 4096;

        /// <summary>As wide as two rounds of the widest loop, so that a loop that overruns is seen.</summary>
        private const int GuardBytes = 256;

        private readonly byte* _source;
        private readonly byte* _destination;

        internal Arena(int bytesMax)
        {
            BytesMax = bytesMax;
            nuint total = (nuint)bytesMax + (3 * PageBytes);
            _source = (byte*)NativeMemory.AlignedAlloc(total, PageBytes);
            _destination = (byte*)NativeMemory.AlignedAlloc(total, PageBytes);
            new Random(20_260_101).NextBytes(new Span<byte>(_source, (int)total));
            new Span<byte>(_destination, (int)total).Fill(Untouched);
        }

        internal int BytesMax { get; }

        internal void CopyAndCheck(Way way, int destinationOffset, int sourceOffset, int bytes)
        {
            // SAFETY: offsets are below 4096 and bytes <= BytesMax; the guard before the destination lies in the first page of its region.
            byte* to = _destination + PageBytes + destinationOffset;
            byte* from = _source + sourceOffset;
            if (way == Way.Parallel)
                ParallelCopy.Copy(to, from, (nuint)bytes, threadCount: 3);
            else if (way == Way.NonTemporal)
                CopyEngine.CopyNonTemporal(to, from, (nuint)bytes);
            else
                CopyEngine.Copy(to, from, (nuint)bytes);

            var arrived = new Span<byte>(to, bytes);
            bool whole = arrived.SequenceEqual(new ReadOnlySpan<byte>(from, bytes));
            bool before = IsUntouched(to - GuardBytes), after = IsUntouched(to + bytes);
            arrived.Fill(Untouched);
            if (!whole || !before || !after)
                Assert.Fail($"{way}, {bytes} bytes from {sourceOffset} to {destinationOffset}: whole {whole}, before {before}, after {after}");
        }

        public void Dispose()
        {
            NativeMemory.AlignedFree(_source);
            NativeMemory.AlignedFree(_destination);
        }

        private static bool IsUntouched(byte* guard) => !new ReadOnlySpan<byte>(guard, GuardBytes).ContainsAnyExcept(Untouched);
    }
}
