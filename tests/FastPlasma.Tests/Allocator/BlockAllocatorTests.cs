using CsCheck;
using FastPlasma.Allocator;

namespace FastPlasma.Tests;

/// <summary>Promises of <see cref="BlockAllocator"/>: invariants B1 and B2, and what it does under pressure and after crashes.</summary>
public sealed unsafe class BlockAllocatorTests
{
    private const int Huge = (int)ChunkMap.ChunkBytes;

    // ---- against a model ---------------------------------------------------------------------------------------------------

    private enum Step
    {
        Allocate,
        Free,
        FreeAgain,
        Retire,
        Trim,
    }

    private static readonly Gen<long> Sizes = Gen.Frequency(
        (4, Gen.Long[1, 600]), (4, Gen.Long[1, SizeClasses.SlabMaxBytes]), (3, Gen.Long[SizeClasses.SlabMaxBytes, 3 << 20]), (1, Gen.Long[3 << 20, 9 << 20]));

    private static readonly Gen<(Step, long, int, int)[]> Plans = Gen.Select(
        Gen.Frequency(
            (10, Gen.Const(Step.Allocate)), (8, Gen.Const(Step.Free)), (1, Gen.Const(Step.FreeAgain)), (1, Gen.Const(Step.Retire)), (1, Gen.Const(Step.Trim))),
        Sizes, Gen.Int[0, 4].Select(static i => i switch { 3 => 4096, 4 => Huge, _ => 64 }), Gen.Int[0, 1_000_000]).Array[20, 160];

    [Fact]
    public void Random_allocations_and_frees_agree_with_a_model() => Plans.Sample(RunAgainstModel, iter: 120, threads: 1);

    private static void RunAgainstModel((Step Step, long Bytes, int AlignmentBytes, int Pick)[] plan)
    {
        using var rig = new AllocatorRig(10);
        BlockAllocator allocator = rig.AllocatorOf(3);
        var cache = new BlockCache();
        var live = new List<(long Offset, long BlockBytes, ulong Owner, int Place)>();
        var freed = new List<(ulong Owner, BlockPlace Place)>();
        ulong nextOwner = 1;
        int nextPlace = 0;
        foreach ((Step step, long bytes, int alignment, int pick) in plan)
        {
            switch (step)
            {
                case Step.Allocate:
                    BlockPlace* place = rig.Place(nextPlace);
                    if (!allocator.TryAllocate(cache, bytes, alignment, nextOwner, place, Effort.Normal, out long offset)
                        && !allocator.TryAllocate(cache, bytes, alignment, nextOwner, place, Effort.Exact, out offset))
                    {
                        Assert.Equal(0u, place->Count);
                        if (bytes <= ChunkMap.ChunkBytes)
                        {
                            for (long chunk = 0; chunk < rig.Map.ChunkCount; chunk++)
                                Assert.Contains(live, b => b.Offset < (chunk + 1) * ChunkMap.ChunkBytes && b.Offset + b.BlockBytes > chunk * ChunkMap.ChunkBytes);
                        }
                        break;
                    }
                    Assert.Equal(0, offset % alignment);
                    Assert.True(rig.Map.Contains(*place));
                    long block = allocator.BlockBytesAt(*place);
                    Assert.True(block >= bytes && offset >= 0 && offset + block <= rig.CapacityBytes);
                    Assert.DoesNotContain(live, b => b.Offset < offset + block && offset < b.Offset + b.BlockBytes);
                    live.Add((offset, block, nextOwner++, nextPlace++));
                    break;
                case Step.Free when live.Count > 0:
                    (_, long size, ulong owner, int index) = live[pick % live.Count];
                    Assert.Equal(size, allocator.Free(pick % 2 == 0 ? cache : null, *rig.Place(index), owner));
                    freed.Add((owner, *rig.Place(index)));
                    live.RemoveAt(pick % live.Count);
                    break;
                case Step.FreeAgain when freed.Count > 0:
                    (ulong gone, BlockPlace at) = freed[pick % freed.Count];
                    Assert.Equal(0, allocator.Free(cache, at, gone));
                    break;
                case Step.Retire:
                    allocator.RetireEmpty();
                    break;
                case Step.Trim:
                    allocator.Trim();
                    Assert.DoesNotContain(ChunkState.Free, rig.States());
                    break;
            }
            CheckWords(rig, live.Select(b => (b.Owner, *rig.Place(b.Place))));
        }

        foreach ((_, _, ulong owner, int index) in live)
            allocator.Free(cache, *rig.Place(index), owner);
        Assert.True(allocator.TryAllocate(cache, rig.CapacityBytes, Huge, nextOwner, rig.Place(nextPlace), Effort.Exact, out _));
    }

    /// <summary>B1: every word of a live block names its owner, and no other word is set.</summary>
    private static void CheckWords(AllocatorRig rig, IEnumerable<(ulong Owner, BlockPlace Place)> live)
    {
        Dictionary<ulong, int> words = rig.CountWords();
        foreach ((ulong owner, BlockPlace place) in live)
        {
            for (uint i = 0; i < place.Count; i++)
                Assert.Equal(owner, *rig.WordOf(place, i));
            Assert.True(words.Remove(owner, out int count) && count == place.Count, $"owner {owner} has {count} words instead of {place.Count}");
        }
        Assert.Empty(words);
    }

    [Fact]
    public void Control_the_model_notices_a_foreign_and_a_missing_word()
    {
        using var rig = new AllocatorRig(2);
        Assert.True(rig.AllocatorOf(0).TryAllocate(new BlockCache(), 100, 64, 7, rig.Place(0), Effort.Normal, out _));
        (ulong, BlockPlace)[] live = [(7, *rig.Place(0))];
        CheckWords(rig, live);
        *rig.WordOf(*rig.Place(0)) = 8;
        Assert.ThrowsAny<Exception>(() => CheckWords(rig, live));
        *rig.WordOf(*rig.Place(0)) = 0;
        Assert.ThrowsAny<Exception>(() => CheckWords(rig, live));
    }

    // ---- single promises ---------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(64)]
    [InlineData(4096)]
    [InlineData(Huge)]
    public void Blocks_have_the_alignment_asked_for_at_every_size(int alignmentBytes)
    {
        using var rig = new AllocatorRig(24);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        for (long bytes = 1; bytes <= 4 << 20; bytes = bytes * 3 / 2 + 1)
        {
            Assert.True(allocator.TryAllocate(cache, bytes, alignmentBytes, (ulong)bytes, rig.Place(0), Effort.Exact, out long offset), $"{bytes} bytes");
            Assert.Equal(0, offset % alignmentBytes);
            if (bytes > 32 << 10)
                Assert.Equal(0, offset % ChunkMap.PageBytes);
            allocator.Free(cache, *rig.Place(0), (ulong)bytes);
        }
    }

    [Fact]
    public void A_freed_block_is_the_next_one_given_out()
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        var offsets = new long[20];
        for (int i = 0; i < offsets.Length; i++)
            Assert.True(allocator.TryAllocate(cache, 5000, 64, (ulong)i + 1, rig.Place(i), Effort.Normal, out offsets[i]));
        allocator.Free(cache, *rig.Place(3), 4);
        allocator.Free(cache, *rig.Place(11), 12);
        Assert.True(allocator.TryAllocate(cache, 5000, 64, 100, rig.Place(20), Effort.Normal, out long warm));
        Assert.Equal(offsets[11], warm);
        Assert.True(allocator.TryAllocate(cache, 5000, 64, 101, rig.Place(21), Effort.Normal, out warm));
        Assert.Equal(offsets[3], warm);
    }

    [Fact]
    public void Freeing_twice_does_not_free_the_next_owners_block()
    {
        using var rig = new AllocatorRig(4);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        foreach (long bytes in (long[])[100, 3 << 20])
        {
            Assert.True(allocator.TryAllocate(cache, bytes, 64, 1, rig.Place(0), Effort.Normal, out long first));
            BlockPlace old = *rig.Place(0);
            long size = allocator.Free(cache, old, 1);
            Assert.Equal(BlockAllocator.BlockBytesFor(bytes, 64), size);
            Assert.True(allocator.TryAllocate(cache, bytes, 64, 2, rig.Place(1), Effort.Normal, out long second));
            Assert.Equal(first, second);
            Assert.Equal(0, allocator.Free(cache, old, 1));
            Assert.Equal(2ul, *rig.WordOf(*rig.Place(1)));
            Assert.Equal(size, allocator.Free(cache, *rig.Place(1), 2));
        }
    }

    [Fact]
    public void A_large_run_may_begin_in_the_middle_of_a_chunk_and_span_several()
    {
        using var rig = new AllocatorRig(8);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, 3 << 20, 64, 1, rig.Place(0), Effort.Normal, out long first));
        Assert.True(allocator.TryAllocate(cache, 7 << 20, 64, 2, rig.Place(1), Effort.Normal, out long second));
        Assert.Equal(0, first);
        Assert.Equal(3 << 20, second);
        CheckWords(rig, [(1, *rig.Place(0)), (2, *rig.Place(1))]);
        allocator.Free(cache, *rig.Place(0), 1);
        CheckWords(rig, [(2, *rig.Place(1))]);
    }

    [Fact]
    public void A_run_that_meets_a_foreign_word_gives_back_what_it_took_and_goes_on_behind()
    {
        using var rig = new AllocatorRig(4);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();

        // Chunk 0 is free, but a late allocator's word, which it is about to take back, stands in its grain 50.
        Assert.True(allocator.TryAllocate(cache, ChunkMap.ChunkBytes, 64, 1, rig.Place(0), Effort.Normal, out _));
        allocator.Free(cache, *rig.Place(0), 1);
        Assert.Equal(1, allocator.RetireEmpty());
        *rig.Map.Grain(50) = 99;

        Assert.True(allocator.TryAllocate(cache, ChunkMap.ChunkBytes, 64, 2, rig.Place(1), Effort.Normal, out long offset));
        Assert.Equal(51 * ChunkMap.GrainBytes, offset);
        for (int grain = 0; grain <= 50; grain++)
            Assert.Equal(grain == 50 ? 99ul : 0, *rig.Map.Grain(grain));
        *rig.Map.Grain(50) = 0;
        CheckWords(rig, [(2, *rig.Place(1))]);
    }

    [Fact]
    public void A_run_is_taken_from_the_shortest_free_stretch_that_holds_it()
    {
        using var rig = new AllocatorRig(8);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();

        // Three holes of 40, 20 and 30 grains with an object of 10 behind each, then all the rest of the store.
        int[] holes = [40, 20, 30];
        for (int i = 0; i < holes.Length; i++)
        {
            Assert.True(allocator.TryAllocate(cache, holes[i] * ChunkMap.GrainBytes, 64, (ulong)(10 + i), rig.Place(i), Effort.Normal, out _));
            Assert.True(allocator.TryAllocate(cache, 10 * ChunkMap.GrainBytes, 64, (ulong)(20 + i), rig.Place(3 + i), Effort.Normal, out _));
        }
        for (int i = 0; i < holes.Length; i++)
            allocator.Free(cache, *rig.Place(i), (ulong)(10 + i));

        long secondHole = (40 + 10) * ChunkMap.GrainBytes, thirdHole = secondHole + (20 + 10) * ChunkMap.GrainBytes, rest = thirdHole + (30 + 10) * ChunkMap.GrainBytes;
        foreach ((int grains, long expected) in ((int, long)[])[(20, secondHole), (25, thirdHole), (35, 0), (41, rest)])
        {
            Assert.True(allocator.TryAllocate(cache, grains * ChunkMap.GrainBytes, 64, 30, rig.Place(6), Effort.Normal, out long offset));
            Assert.Equal(expected, offset);
        }
    }

    [Fact]
    public void Two_threads_that_want_overlapping_runs_never_both_get_them()
    {
        using var rig = new AllocatorRig(4);
        BlockAllocator[] allocators = [rig.AllocatorOf(0), rig.AllocatorOf(1)];
        using var together = new Barrier(2);
        int won = 0;
        const int Rounds = 400;
        InThreads(2, t =>
        {
            var cache = new BlockCache();
            for (int round = 0; round < Rounds; round++)
            {
                // Three of four chunks each: only one can win, and the loser has to leave no word behind.
                together.SignalAndWait();
                ulong owner = (ulong)(round * 2 + t + 1);
                bool got = allocators[t].TryAllocate(cache, 3 * ChunkMap.ChunkBytes, 64, owner, rig.Place(t), Effort.Exact, out _);
                together.SignalAndWait();
                if (got)
                {
                    Interlocked.Increment(ref won);
                    Assert.Equal(3 * ChunkMap.ChunkBytes, allocators[t].Free(cache, *rig.Place(t), owner));
                }
                else
                {
                    Assert.Equal(0u, rig.Place(t)->Count);
                }
                together.SignalAndWait();
                if (t == 0)
                    Assert.Empty(rig.CountWords());
            }
        });
        Assert.InRange(won, 1, Rounds);
    }

    [Fact]
    public void Empty_slabs_and_large_chunks_are_retired_and_trim_gives_their_pages_back()
    {
        using var rig = new AllocatorRig(6);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, 1000, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.True(allocator.TryAllocate(cache, 3 << 20, 64, 2, rig.Place(1), Effort.Normal, out _));
        Assert.Equal(3 * ChunkMap.ChunkBytes, rig.Data.Facts().AllocatedBytes);
        Assert.Equal(0, allocator.RetireEmpty());

        allocator.Free(cache, *rig.Place(0), 1);
        Assert.Equal(1, allocator.RetireEmpty());
        Assert.Equal(ChunkMap.ChunkBytes, allocator.FreeBackedBytes());
        allocator.Free(cache, *rig.Place(1), 2);
        Assert.Equal(3 * ChunkMap.ChunkBytes, allocator.Trim());
        Assert.Equal(0, rig.Data.Facts().AllocatedBytes);
        Assert.All(rig.States(), state => Assert.Equal(ChunkState.Unbacked, state));
    }

    [Fact]
    public void A_block_that_is_held_keeps_its_chunk_from_retiring()
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, 64, 64, 1, rig.Place(0), Effort.Normal, out long offset));
        long chunk = offset / ChunkMap.ChunkBytes;

        // The worst hint there can be: it says that all is free.
        rig.Map.Record(chunk)->FreeHint = int.MaxValue;
        Assert.Equal(0, allocator.RetireEmpty());
        Assert.Equal(new ChunkWord(ChunkState.Slab, 0), rig.Map.ReadWord(chunk));
        Assert.Equal(1ul, *rig.WordOf(*rig.Place(0)));
    }

    [Fact]
    public void Wrong_hints_cost_time_but_no_memory()
    {
        using var rig = new AllocatorRig(3);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, 100_000, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.True(allocator.TryAllocate(cache, 4 << 20, 64, 2, rig.Place(1), Effort.Normal, out _));
        allocator.Free(null, *rig.Place(0), 1);
        allocator.Free(null, *rig.Place(1), 2);
        for (long chunk = 0; chunk < 3; chunk++)
            rig.Map.Record(chunk)->FreeHint = -5;
        Assert.False(allocator.TryAllocate(new BlockCache(), rig.CapacityBytes, 64, 3, rig.Place(2), Effort.Pressure, out _));
        Assert.True(allocator.TryAllocate(new BlockCache(), rig.CapacityBytes, 64, 3, rig.Place(2), Effort.Exact, out _));
    }

    [Theory]
    [InlineData(-5)]
    [InlineData(127)]
    [InlineData(int.MaxValue)]
    public void A_trim_gives_back_what_is_empty_whatever_the_hints_say(int hint)
    {
        using var rig = new AllocatorRig(3);
        BlockAllocator allocator = rig.AllocatorOf(0);
        Assert.True(allocator.TryAllocate(new BlockCache(), 100_000, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.True(allocator.TryAllocate(new BlockCache(), 4 << 20, 64, 2, rig.Place(1), Effort.Normal, out _));
        allocator.Free(null, *rig.Place(1), 2);
        for (long chunk = 0; chunk < 3; chunk++)
            rig.Map.Record(chunk)->FreeHint = hint;
        Assert.Equal(2 * ChunkMap.ChunkBytes, allocator.Trim());
        allocator.Free(null, *rig.Place(0), 1);
        for (long chunk = 0; chunk < 3; chunk++)
            rig.Map.Record(chunk)->FreeHint = hint;
        Assert.Equal(ChunkMap.ChunkBytes, allocator.Trim());
    }

    [Theory]
    [InlineData(64)]
    [InlineData(3000)]
    [InlineData(131072)]
    [InlineData(1 << 20)]
    public void An_exhausted_store_says_no_and_is_whole_again_after_all_frees(int bytes)
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        int perPlace = 0, placed = 0;

        // One of the two chunks becomes a slab; the last one serves every size in grains.
        long inGrains = ChunkMap.GrainsPerChunk / ((bytes + ChunkMap.GrainBytes - 1) / ChunkMap.GrainBytes);
        long expected = bytes > SizeClasses.SlabMaxBytes ? rig.CapacityBytes / bytes : SizeClasses.BlocksPerChunk(SizeClasses.ClassOf(bytes)) + inGrains;
        var places = new List<BlockPlace>();
        while (allocator.TryAllocate(cache, bytes, 64, (ulong)++placed, rig.Place(perPlace), Effort.Exact, out _))
            places.Add(*rig.Place(perPlace));
        Assert.Equal(expected, places.Count);
        Assert.Equal(0u, rig.Place(perPlace)->Count);
        Assert.False(allocator.TryAllocate(cache, 1, 64, 1_000_000, rig.Place(0), Effort.Exact, out _), "a smaller one must not fit either");
        for (int i = 0; i < places.Count; i++)
            Assert.True(allocator.Free(cache, places[i], (ulong)i + 1) > 0);
        Assert.Empty(rig.CountWords());
        Assert.True(allocator.TryAllocate(cache, rig.CapacityBytes, 64, 2_000_000, rig.Place(0), Effort.Pressure, out long offset));
        Assert.Equal(0, offset);
    }

    [Fact]
    public void More_than_the_capacity_is_refused_without_touching_anything()
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        Assert.False(allocator.TryAllocate(new BlockCache(), rig.CapacityBytes + 1, 64, 1, rig.Place(0), Effort.Exact, out _));
        Assert.Equal(0, rig.Data.Facts().AllocatedBytes);
        Assert.Null(allocator.LastReservationError);
    }

    [Fact]
    public void Small_requests_take_a_larger_class_before_they_fail()
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, 4096, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.False(allocator.TryAllocate(cache, 64, 64, 2, rig.Place(1), Effort.Normal, out _));
        Assert.False(allocator.TryAllocate(cache, 64, 64, 2, rig.Place(1), Effort.Pressure, out _)); // Not more than twice its size, yet.
        Assert.True(allocator.TryAllocate(cache, 64, 64, 2, rig.Place(1), Effort.Scatter, out _));
        Assert.Equal(4096, allocator.BlockBytesAt(*rig.Place(1)));
    }

    [Fact]
    public void A_small_store_takes_an_object_of_every_size()
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        int size = 0;
        for (int sizeClass = 0; sizeClass < SizeClasses.Count; sizeClass += 4)
        {
            size = SizeClasses.BytesOf(sizeClass);
            Assert.True(allocator.TryAllocate(cache, size, 64, (ulong)sizeClass + 1, rig.Place(0), Effort.Scatter, out _), $"{size} bytes");
        }
        Assert.True(size > 64 << 10);
    }

    [Fact]
    public void A_small_request_takes_grains_when_no_slab_has_room()
    {
        using var rig = new AllocatorRig(1);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, 1 << 20, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.False(allocator.TryAllocate(cache, 64, 64, 2, rig.Place(1), Effort.Pressure, out _));
        Assert.True(allocator.TryAllocate(cache, 64, 64, 2, rig.Place(1), Effort.Scatter, out long offset));
        Assert.True(rig.Place(1)->IsLarge);
        Assert.Equal(1 << 20, offset);
        Assert.Equal(ChunkMap.GrainBytes, allocator.Free(cache, *rig.Place(1), 2));
    }

    // ---- crashes -----------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(100_000)]
    [InlineData(500_000)]
    public void Words_of_dead_owners_are_freed_by_the_exact_effort_only(int bytes)
    {
        using var rig = new AllocatorRig(1);
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        ulong owner = 0;
        while (allocator.TryAllocate(cache, bytes, 64, ++owner, rig.Place(0), Effort.Pressure, out _))
        {
        }
        rig.Dead.Add(2);
        Assert.False(allocator.TryAllocate(cache, bytes, 64, 100, rig.Place(0), Effort.Pressure, out _));
        Assert.True(allocator.TryAllocate(cache, bytes, 64, 100, rig.Place(0), Effort.Exact, out _));
        Dictionary<ulong, int> words = rig.CountWords();
        Assert.DoesNotContain(2ul, words.Keys);
        Assert.Contains(1ul, words.Keys);
        Assert.Equal(100ul, *rig.WordOf(*rig.Place(0)));
    }

    [Fact]
    public void Recovery_makes_reserving_and_punching_unbacked_and_retiring_what_it_was()
    {
        const int Dead = 9, Alive = 10;
        using var rig = new AllocatorRig(8);
        int slabClass = SizeClasses.ClassOf(1000);
        rig.SetChunk(0, ChunkState.Reserving, 0, Dead);
        rig.SetChunk(1, ChunkState.Punching, 0, Dead);
        rig.SetChunk(2, ChunkState.Retiring, slabClass, Dead);
        rig.SetChunk(3, ChunkState.Retiring, ChunkWord.LargeClass, Dead);
        rig.SetChunk(4, ChunkState.Reserving, 0, Alive);
        rig.SetChunk(5, ChunkState.Retiring, slabClass, Alive);
        rig.SetChunk(6, ChunkState.Punching, 0, Alive);
        rig.SetChunk(7, ChunkState.Free);
        for (int repeat = 0; repeat < 2; repeat++)
        {
            rig.AllocatorOf(1).Recover(Dead);
            Assert.Equal(new ChunkWord(ChunkState.Unbacked), rig.Map.ReadWord(0));
            Assert.Equal(new ChunkWord(ChunkState.Unbacked), rig.Map.ReadWord(1));
            Assert.Equal(new ChunkWord(ChunkState.Slab, slabClass), rig.Map.ReadWord(2));
            Assert.Equal(new ChunkWord(ChunkState.Large, ChunkWord.LargeClass), rig.Map.ReadWord(3));
            Assert.Equal(new ChunkWord(ChunkState.Reserving, 0, Alive), rig.Map.ReadWord(4));
            Assert.Equal(new ChunkWord(ChunkState.Retiring, slabClass, Alive), rig.Map.ReadWord(5));
            Assert.Equal(new ChunkWord(ChunkState.Punching, 0, Alive), rig.Map.ReadWord(6));
            Assert.Equal(new ChunkWord(ChunkState.Free), rig.Map.ReadWord(7));
        }
    }

    [Fact]
    public void Chunks_in_another_participants_hands_are_left_alone_and_usable_after_its_recovery()
    {
        const int Dead = 9;
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(1);
        rig.SetChunk(0, ChunkState.Reserving, 0, Dead);
        rig.SetChunk(1, ChunkState.Punching, 0, Dead);
        Assert.False(allocator.TryAllocate(new BlockCache(), 100, 64, 1, rig.Place(0), Effort.Exact, out _));
        Assert.False(allocator.TryAllocate(new BlockCache(), 1 << 20, 64, 1, rig.Place(0), Effort.Exact, out _));
        allocator.Recover(Dead);
        Assert.True(allocator.TryAllocate(new BlockCache(), rig.CapacityBytes, 64, 1, rig.Place(0), Effort.Normal, out _));
    }

    [Fact]
    public void A_place_written_before_its_exchange_frees_nothing_of_others()
    {
        using var rig = new AllocatorRig(2);
        BlockAllocator allocator = rig.AllocatorOf(0);
        Assert.True(allocator.TryAllocate(new BlockCache(), 3 << 20, 64, 1, rig.Place(0), Effort.Normal, out _));

        // CRASH grains-candidate and grains-partly: the dead owner 2 named the same run and had taken nothing, or its first grains elsewhere.
        Assert.Equal(0, allocator.Free(null, *rig.Place(0), 2));
        CheckWords(rig, [(1, *rig.Place(0))]);
        *rig.Map.Grain(200) = 2;
        var partly = new BlockPlace { Index = 198 | BlockPlace.LargeFlag, Count = 20 };
        Assert.Equal(ChunkMap.GrainBytes, allocator.Free(null, partly, 2));
        CheckWords(rig, [(1, *rig.Place(0))]);
    }

    [Fact]
    public void Places_outside_the_arrays_are_recognised()
    {
        using var rig = new AllocatorRig(2);
        (ulong Index, uint Count)[] bad =
        [
            ((ulong)rig.Map.WordCount, 1), (ulong.MaxValue >> 1, 1), (0, 2),
            (BlockPlace.LargeFlag | (ulong)rig.Map.GrainCount, 1), (BlockPlace.LargeFlag, (uint)rig.Map.GrainCount + 1), (ulong.MaxValue, 1), (BlockPlace.LargeFlag | 255, 2), (BlockPlace.LargeFlag, uint.MaxValue),
        ];
        foreach ((ulong index, uint count) in bad)
            Assert.False(rig.Map.Contains(new BlockPlace { Index = index, Count = count }), $"{index:x} with {count}");
        Assert.True(rig.Map.Contains(new BlockPlace { Index = BlockPlace.LargeFlag | 254, Count = 2 }));
        Assert.True(rig.Map.Contains(new BlockPlace { Index = (ulong)rig.Map.WordCount - 1, Count = 1 }));
        Assert.Equal(0, rig.AllocatorOf(0).BlockBytesAt(new BlockPlace { Index = (ulong)rig.Map.WordCount, Count = 1 }));
    }

    [Fact]
    public void Populate_backs_chunks_that_later_allocations_take_without_the_system()
    {
        using var rig = new AllocatorRig(4);
        BlockAllocator allocator = rig.AllocatorOf(0);
        Assert.Equal(2 * ChunkMap.ChunkBytes, allocator.Populate(3 << 20));
        Assert.Equal(2 * ChunkMap.ChunkBytes, rig.Data.Facts().AllocatedBytes);
        Assert.True(allocator.TryAllocate(new BlockCache(), 100, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.Equal(2 * ChunkMap.ChunkBytes, rig.Data.Facts().AllocatedBytes);
        Assert.Equal(2 * ChunkMap.ChunkBytes, allocator.Populate(rig.CapacityBytes));
        Assert.Equal(0, allocator.Populate(rig.CapacityBytes));
    }

    [Fact]
    public void Populate_backs_the_start_for_large_runs_as_well_as_the_end_for_slabs()
    {
        using var rig = new AllocatorRig(8);
        BlockAllocator allocator = rig.AllocatorOf(0);
        Assert.Equal(4 * ChunkMap.ChunkBytes, allocator.Populate(4 * ChunkMap.ChunkBytes));
        Assert.True(allocator.TryAllocate(new BlockCache(), 3 << 20, 64, 1, rig.Place(0), Effort.Normal, out _));
        Assert.True(allocator.TryAllocate(new BlockCache(), 100, 64, 2, rig.Place(1), Effort.Normal, out _));
        Assert.Equal(4 * ChunkMap.ChunkBytes, rig.Data.Facts().AllocatedBytes);
    }

    // ---- threads -----------------------------------------------------------------------------------------------------------

    [Fact]
    public void Threads_hammering_one_allocator_never_share_a_byte()
    {
        const int Threads = 4, Steps = 12_000, HeldMax = 24;
        using var rig = new AllocatorRig(12);
        BlockAllocator[] allocators = [.. Enumerable.Range(0, Threads).Select(rig.AllocatorOf)];
        int seed = Environment.TickCount;
        long allocated = 0;
        InThreads(Threads, t =>
        {
            var random = new Random(seed + t);
            var cache = new BlockCache();
            var held = new List<(long Offset, long Bytes, ulong Owner, int Place)>();
            var free = new Stack<int>(Enumerable.Range(t * HeldMax, HeldMax));
            for (int step = 0; step < Steps; step++)
            {
                if (step % 500 == 0)
                    allocators[t].Trim();
                if (held.Count > 0 && (free.Count == 0 || random.Next(2) == 0))
                {
                    int pick = random.Next(held.Count);
                    (long offset, long bytes, ulong owner, int place) = held[pick];
                    Assert.Equal(owner, *(ulong*)(rig.Payload + offset));
                    Assert.Equal(owner, *(ulong*)(rig.Payload + offset + (bytes & ~7L) - 8));
                    Assert.True(allocators[t].Free(cache, *rig.Place(place), owner) >= bytes);
                    held.RemoveAt(pick);
                    free.Push(place);
                    continue;
                }
                int slot = free.Pop();
                long size = random.Next(10) == 0 ? random.Next(1 << 17, 5 << 20) : random.Next(8, 1 << random.Next(4, 17));
                ulong self = ((ulong)(t + 1) << 32) | (uint)step;
                var effort = (Effort)random.Next(3);
                if (allocators[t].TryAllocate(cache, size, 64, self, rig.Place(slot), effort, out long at))
                {
                    *(ulong*)(rig.Payload + at) = self;
                    *(ulong*)(rig.Payload + at + (size & ~7L) - 8) = self;
                    held.Add((at, size, self, slot));
                    Interlocked.Increment(ref allocated);
                }
                else
                {
                    free.Push(slot);
                }
            }
            foreach ((long _, long _, ulong owner, int place) in held)
                allocators[t].Free(cache, *rig.Place(place), owner);
        }, $"seed {seed}");
        Assert.True(allocated > Steps, $"only {allocated} allocations succeeded (seed {seed})");
        Assert.Empty(rig.CountWords());
        Assert.True(allocators[0].TryAllocate(new BlockCache(), rig.CapacityBytes, Huge, 1, rig.Place(0), Effort.Exact, out _), $"not whole again: {string.Join(' ', rig.States())} (seed {seed})");
    }

    /// <summary>Runs the body in threads of its own and throws the first failure.</summary>
    private static void InThreads(int count, Action<int> body, string context = "")
    {
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, count).Select(t => new Thread(() =>
        {
            try
            {
                body(t);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, e, null);
            }
        }) { IsBackground = true })];
        Array.ForEach(threads, static thread => thread.Start());
        foreach (Thread thread in threads)
            Assert.True(thread.Join(TimeSpan.FromSeconds(60)) || failure is not null, $"a thread did not end within 60 s {context}: {failure}");
        Assert.True(failure is null, $"{context} {failure}");
    }
}
