using CsCheck;
using FastPlasma.Allocator;

namespace FastPlasma.Tests;

/// <summary>Random calls on the allocator against a list of what is taken. A failure prints the shortest case that CsCheck finds and the seed that repeats it.</summary>
public sealed unsafe class AllocatorModelTests
{
    private const int Chunks = 5, Participants = 2, Page = 4096, Chunk = 2 << 20;

    private enum Kind
    {
        Allocate, Free, FreeTwice, Die, Trim, Retire, Populate, Crash,
    }

    private readonly record struct Step(Kind Kind, int Bytes, int Alignment, Effort Effort, int Participant, int Pick);

    private static readonly Gen<Step[]> s_steps = Gen.Select(
        Gen.Frequency(
            (12, Gen.Const(Kind.Allocate)), (8, Gen.Const(Kind.Free)), (1, Gen.Const(Kind.FreeTwice)), (2, Gen.Const(Kind.Die)), (1, Gen.Const(Kind.Trim)), (1, Gen.Const(Kind.Retire)),
            (1, Gen.Const(Kind.Populate)), (1, Gen.Const(Kind.Crash))),
        Gen.Frequency((2, Gen.Int[1, 2000]), (3, Gen.Int[60_000, SizeClasses.SlabMaxBytes]), (4, Gen.Int[SizeClasses.SlabMaxBytes + 1, 1 << 20]), (2, Gen.Int[1 << 20, 5 << 20])),
        Gen.Frequency((6, Gen.Const(64)), (1, Gen.Const(Page)), (1, Gen.Const(Chunk))),
        Gen.Enum<Effort>(),
        Gen.Int[0, Participants - 1],
        Gen.Int[0, 1000],
        static (kind, bytes, alignment, effort, participant, pick) => new Step(kind, bytes, alignment, effort, participant, pick)).Array[1, 150];

    [Fact]
    public void Allocator_behaves_like_a_list_of_what_is_taken() => s_steps.Sample(
        static steps =>
        {
            using var run = new Run();
            run.Go(steps);
        },
        iter: 300, threads: 1);

    private sealed record Block(ulong Owner, BlockPlace Place, long Offset, long Bytes)
    {
        internal long End => Offset + Bytes;
    }

    private sealed class Run : IDisposable
    {
        private readonly AllocatorRig _rig = new(Chunks);
        private readonly BlockAllocator[] _allocators;
        private readonly BlockCache[] _caches = [.. Enumerable.Range(0, Participants).Select(static _ => new BlockCache())];
        private readonly List<Block> _live = [];
        private readonly HashSet<ulong> _dead = [];
        private ulong _owners;

        internal Run() => _allocators = [.. Enumerable.Range(0, Participants).Select(_rig.AllocatorOf)];

        internal void Go(Step[] steps)
        {
            foreach (Step step in steps)
            {
                Do(step);
                ExpectWords();
            }
            foreach (Block block in _live)
                Assert.Equal(block.Bytes, _allocators[0].Free(null, block.Place, block.Owner));
            _live.Clear();

            // All in one piece: what the dead left is found by the exact effort, what is empty is retired.
            Assert.True(_allocators[0].TryAllocate(_caches[0], _rig.CapacityBytes, Chunk, ++_owners, _rig.Place(0), Effort.Exact, out long offset), $"not whole again: {string.Join(' ', _rig.States())}");
            Assert.Equal(0, offset);
            Assert.Equal([_owners], _rig.CountWords().Keys);
            Assert.Equal(_rig.CapacityBytes, _allocators[0].Free(null, *_rig.Place(0), _owners));
            Assert.Equal(_rig.Data.Facts().AllocatedBytes, _allocators[0].Trim());
            Assert.Equal(0, _rig.Data.Facts().AllocatedBytes);
        }

        private void Do(Step step)
        {
            BlockAllocator allocator = _allocators[step.Participant];
            BlockCache cache = _caches[step.Participant];
            switch (step.Kind)
            {
                case Kind.Allocate:
                    Allocate(step, allocator, cache);
                    break;
                case Kind.Free or Kind.FreeTwice when _live.Count > 0:
                    Block block = _live[step.Pick % _live.Count];
                    Assert.Equal(block.Bytes, allocator.Free(cache, block.Place, block.Owner));
                    _live.Remove(block);
                    if (step.Kind == Kind.FreeTwice)
                        Assert.Equal(0, allocator.Free(cache, block.Place, block.Owner));
                    break;
                case Kind.Die when _live.Count > 0: // Its words stay until somebody is short of memory.
                    block = _live[step.Pick % _live.Count];
                    _live.Remove(block);
                    _dead.Add(block.Owner);
                    _rig.Dead.Add(block.Owner);
                    break;
                case Kind.Trim:
                    long before = _rig.Data.Facts().AllocatedBytes;
                    long trimmed = allocator.Trim();
                    Assert.Equal(before - trimmed, _rig.Data.Facts().AllocatedBytes);
                    Assert.DoesNotContain(ChunkState.Free, _rig.States());
                    break;
                case Kind.Retire:
                    allocator.RetireEmpty();
                    break;
                case Kind.Populate:
                    allocator.Populate(step.Bytes);
                    break;
                case Kind.Crash: // A participant died with a free chunk in its hands.
                    long chunk = step.Pick % Chunks;
                    if (_rig.Map.ReadWord(chunk).State != ChunkState.Free)
                        break;
                    _rig.SetChunk(chunk, step.Bytes % 2 == 0 ? ChunkState.Reserving : ChunkState.Punching, 0, 7);
                    allocator.Recover(7);
                    Assert.Equal(ChunkState.Unbacked, _rig.Map.ReadWord(chunk).State);
                    break;
            }
        }

        private void Allocate(Step step, BlockAllocator allocator, BlockCache cache)
        {
            bool inSlab = BlockAllocator.FitsSlab(step.Bytes, step.Alignment);
            List<(long Start, long Count)> runs = FreeRuns(); // As the words say, before the call changes them.
            bool possible = CanBeHad(step, inSlab);
            long largeHigh = _rig.Map.Header->LargeHigh;
            ulong owner = ++_owners;
            BlockPlace* place = _rig.Place(0);
            if (!allocator.TryAllocate(cache, step.Bytes, step.Alignment, owner, place, step.Effort, out long offset))
            {
                Assert.Equal(0u, place->Count);
                Assert.False(possible && step.Effort == Effort.Exact, $"{step.Bytes} bytes are free, the exact effort did not find them: {string.Join(' ', _rig.States())}");
                return;
            }
            Assert.True(possible, "memory that is not free was had");
            var block = new Block(owner, *place, offset, allocator.BlockBytesAt(*place));
            Assert.True(block.Bytes >= step.Bytes && offset % step.Alignment == 0 && block.End <= _rig.CapacityBytes, $"{block}");
            Assert.DoesNotContain(_live, other => other.Offset < block.End && block.Offset < other.End);
            _live.Add(block);

            // Best fit: no shorter stretch would have done, as far as memory was ever cut into grains.
            if (inSlab || step.Alignment == Chunk)
                return;
            long grains = block.Bytes / ChunkMap.GrainBytes, cutEnd = largeHigh * ChunkMap.GrainsPerChunk;
            (long Start, long Count)[] enough = [.. runs.Select(r => (r.Start, Count: Math.Min(r.Count, cutEnd - r.Start))).Where(r => r.Count >= grains)];
            (long Start, long Count) chosen = enough.SingleOrDefault(r => r.Start == offset / ChunkMap.GrainBytes);
            if (enough.Length > 0)
                Assert.True(chosen.Count == enough.Min(static r => r.Count), $"{grains} grains at {offset / ChunkMap.GrainBytes} although (first, count) {string.Join(", ", enough)} were free");
        }

        /// <summary>Whether memory for a request is free when everything that is empty or dead is put to use.</summary>
        private bool CanBeHad(Step step, bool inSlab)
        {
            var taken = new bool[Chunks * ChunkMap.GrainsPerChunk];
            var slabs = new List<(long Chunk, int Class)>();
            for (int chunk = 0; chunk < Chunks; chunk++)
            {
                ChunkWord word = _rig.Map.ReadWord(chunk);
                if (word.State != ChunkState.Slab)
                    continue;
                slabs.Add((chunk, word.Class));
                if (_live.Exists(b => b.Offset / Chunk == chunk))
                    Array.Fill(taken, true, chunk * ChunkMap.GrainsPerChunk, ChunkMap.GrainsPerChunk);
            }
            foreach (Block block in _live.Where(static b => b.Place.IsLarge))
                Array.Fill(taken, true, (int)(block.Offset / ChunkMap.GrainBytes), (int)(block.Bytes / ChunkMap.GrainBytes));
            long grains = (step.Bytes + ChunkMap.GrainBytes - 1) / ChunkMap.GrainBytes;
            int run = 0;
            for (int i = 0; i < taken.Length; i++)
            {
                if (taken[i] || (run == 0 && step.Alignment == Chunk && i % ChunkMap.GrainsPerChunk != 0))
                    run = 0;
                else if (++run == grains)
                    return true;
            }
            if (!inSlab)
                return false;
            long rounded = step.Alignment == Page ? (step.Bytes + Page - 1) / Page * Page : step.Bytes;
            return slabs.Exists(s => SizeClasses.BytesOf(s.Class) >= rounded && (step.Alignment != Page || SizeClasses.BytesOf(s.Class) % Page == 0)
                && _live.Count(b => b.Offset / Chunk == s.Chunk) < SizeClasses.BlocksPerChunk(s.Class));
        }

        /// <summary>Longest stretches of grains that are free as the words are now.</summary>
        private List<(long Start, long Count)> FreeRuns()
        {
            var runs = new List<(long, long)>();
            long run = 0;
            for (long grain = 0; grain <= _rig.Map.GrainCount; grain++)
            {
                ChunkState state = grain < _rig.Map.GrainCount ? _rig.Map.ReadWord(grain / ChunkMap.GrainsPerChunk).State : ChunkState.Retiring;
                if (state is ChunkState.Free or ChunkState.Unbacked || (state == ChunkState.Large && *_rig.Map.Grain(grain) == 0))
                {
                    run++;
                    continue;
                }
                if (run > 0)
                    runs.Add((grain - run, run));
                run = 0;
            }
            return runs;
        }

        /// <summary>The words name the live blocks, all of each, and beyond them only the dead.</summary>
        private void ExpectWords()
        {
            Dictionary<ulong, int> words = _rig.CountWords();
            foreach (Block block in _live)
            {
                Assert.True(words.Remove(block.Owner, out int count), $"{block} has no word");
                Assert.Equal(block.Place.Count, (uint)count);
            }
            Assert.Subset(_dead, words.Keys.ToHashSet());
        }

        public void Dispose() => _rig.Dispose();
    }
}
