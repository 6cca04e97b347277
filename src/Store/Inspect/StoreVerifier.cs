using System.Globalization;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Spill;

namespace FastPlasma.Inspect;

/// <summary>Checks every invariant of a store while others use it: entries against index words, block words against entries, chunk words, checksums. Writes nothing but pins, while it looks at an object.</summary>
/// <remarks>What looks wrong may only be changing, so each suspicion is looked at again some milliseconds later and counts only if nothing moved.</remarks>
internal sealed unsafe class StoreVerifier(PlasmaStore store)
{
    private const int ProblemsMax = 1000, RecheckRounds = 5, RecheckMs = 20;

    private readonly StoreMemory _memory = store.Memory;
    private readonly List<Func<string?>> _suspicions = [];
    private long _objects, _checksums, _payloadBytes;

    internal VerifyReport Run(bool checksums, IProgress<double>? progress)
    {
        uint count = (uint)_memory.Geometry.ObjectCountMax;
        for (uint e = 0; e < count; e++)
        {
            uint index = e;
            Suspect(() => CheckEntry(index));
            LookAtObject(index, checksums);
            if (e % 1024 == 0)
                progress?.Report(0.8 * e / count);
        }
        long words = (long)_memory.Geometry.BucketCount * StoreGeometry.WordsPerBucket;
        for (long w = 0; w < words + StoreGeometry.StashCount; w++)
        {
            ulong* place = w < words ? _memory.Buckets + w : _memory.Stash + (w - words);
            Suspect(() => CheckIndexWord(place));
        }
        progress?.Report(0.9);
        SuspectChunks(_memory.Chunks, "", LiesInMemory);
        for (int d = 0; d < (store.Spill?.DirectoryCount ?? 0); d++)
        {
            int directory = d;
            SpillDirectory spill = store.Spill!.Directory(d);
            SuspectChunks(spill.Map, $" of spill directory {d} ({spill.FilePath})", (entry, chunk, block) => LiesOnDisk(directory, entry, chunk, block));
        }
        if (Volatile.Read(ref _memory.Header->Fault) != 0)
            _suspicions.Add(() => "The store is marked faulted: a process found its shared state broken.");

        var problems = new List<string>();
        for (int round = 0; round < RecheckRounds && _suspicions.Count > 0; round++)
        {
            Thread.Sleep(RecheckMs); // Gives operations in flight the time to end; a persistent finding stays.
            _suspicions.RemoveAll(static again => again() is null);
        }
        foreach (Func<string?> suspicion in _suspicions)
            if (problems.Count < ProblemsMax && suspicion() is string problem)
                problems.Add(problem);
        progress?.Report(1);
        return new VerifyReport(_objects, _checksums, _payloadBytes, problems, new StoreInspector(store).KeptTokens());
    }

    private void Suspect(Func<string?> check)
    {
        if (check() is not null && _suspicions.Count < ProblemsMax)
            _suspicions.Add(check);
    }

    private string? CheckEntry(uint index)
    {
        ObjectEntry* at = _memory.Entries + index;
        var state = new StateWord(Volatile.Read(ref at->State));
        if (state.State > ObjectState.Emptying)
            return $"Entry {index} is in state {(int)state.State}, which does not exist.";
        if (state.State is not (ObjectState.Sealed or ObjectState.Spilled))
            return null; // Others are under somebody's hands; their words are checked from the other side.
        ObjectEntry entry = *at;
        Volatile.ReadBarrier();
        if (Volatile.Read(ref at->State) != state.Value)
            return null;

        long needed = ObjectEntry.BytesNeeded(entry.PayloadBytes, entry.TailBytes);
        bool spilled = state.State == ObjectState.Spilled;
        if (spilled && (entry.PayloadBytes < 0 || entry.UserBytes < 0 || needed > _memory.Geometry.CapacityBytes))
            return $"E3: object {entry.Id} (entry {index}) has {needed} bytes on disk, more than the {_memory.Geometry.CapacityBytes} bytes of the store.";
        if (!spilled && (entry.PayloadBytes < 0 || entry.UserBytes < 0 || !StoreMemory.IsInside(entry.DataOffset, needed, _memory.Geometry.CapacityBytes)))
            return $"E1: object {entry.Id} (entry {index}) lies at {entry.DataOffset} with {needed} bytes, outside the {_memory.Geometry.CapacityBytes} bytes of the store.";
        ulong hash = store.Index.HashOf(entry.Id);
        var own = new IndexWord(hash, state.Generation, index);
        int found = 0;
        ObjectIndex.CandidateWalk walk = store.Index.Walk(hash);
        while (walk.Next(out IndexWord word, out _))
            found += word == own ? 1 : 0;
        if (found != 1)
            return Still(at, state, $"Object {entry.Id} (entry {index}) has {found} index words instead of 1.");
        var spill = new SpillPlace(entry.SpillPlace);
        if (spilled && !spill.IsPlace)
            return Still(at, state, $"E3: object {entry.Id} (entry {index}) is Spilled, its spill word 0x{spill.Value:x} names no place on disk.");
        if (spill.IsPlace && store.Spill is { } space && CheckCopy(space, spill, needed, BlockOwner.Of(state.Generation, index)) is string problem)
            return Still(at, state, $"E3: object {entry.Id} (entry {index}) has its copy at {spill}, {problem}");
        if (needed == 0 || spilled)
            return null;
        BlockPlace place = entry.Block;
        if (place.Count == 0 || !_memory.Chunks.Contains(place))
            return Still(at, state, $"E1: object {entry.Id} (entry {index}) names block {place.Index:x} with {place.Count} words, which does not exist.");
        if (!IsInUse(place))
            return Still(at, state, $"E1: object {entry.Id} (entry {index}) names block {place.Index:x} with {place.Count} words in a chunk that has no such block.");
        ulong owner = BlockOwner.Of(state.Generation, index);
        for (long i = 0; i < place.Count; i++)
        {
            ulong value = Volatile.Read(ref place.IsLarge ? ref *_memory.Chunks.Grain((long)place.FirstGrain + i) : ref *_memory.Chunks.Word((long)place.Index));
            if (value != owner)
                return Still(at, state, $"E1: block word {i} of object {entry.Id} (entry {index}) holds 0x{value:x} instead of 0x{owner:x}: the block is lost or doubly owned.");
        }
        long expected = ExpectedOffset(place);
        if (expected != entry.DataOffset)
            return Still(at, state, $"E1: object {entry.Id} (entry {index}) lies at {entry.DataOffset}, its block at {expected}.");
        return store.Allocator.BlockBytesAt(place) < needed ? Still(at, state, $"E1: object {entry.Id} (entry {index}) needs {needed} bytes, its block has {store.Allocator.BlockBytesAt(place)}.") : null;
    }

    /// <summary>Whether the words of a place are in use by their chunks: others may have no page, and reading a hole takes one from the system or, when it has none, ends in a signal.</summary>
    private bool IsInUse(in BlockPlace place)
    {
        if (!place.IsLarge)
            return (int)(place.Index % ChunkMap.WordsPerChunk) < ChunkMap.BlockCountOf(_memory.Chunks.ReadWord((long)place.Index / ChunkMap.WordsPerChunk));
        for (long chunk = (long)place.FirstGrain / ChunkMap.GrainsPerChunk; chunk <= ((long)place.FirstGrain + place.Count - 1) / ChunkMap.GrainsPerChunk; chunk++)
            if (_memory.Chunks.ReadWord(chunk).Class != ChunkWord.LargeClass)
                return false;
        return true;
    }

    private long ExpectedOffset(in BlockPlace place)
    {
        if (place.IsLarge)
            return (long)place.FirstGrain * ChunkMap.GrainBytes;
        long chunk = (long)place.Index / ChunkMap.WordsPerChunk;
        ChunkWord word = _memory.Chunks.ReadWord(chunk);
        return word.Class < SizeClasses.Count ? chunk * ChunkMap.ChunkBytes + (long)place.Index % ChunkMap.WordsPerChunk * SizeClasses.BytesOf(word.Class) : -1;
    }

    private string? CheckIndexWord(ulong* place)
    {
        var word = new IndexWord(Volatile.Read(ref *place));
        if (word.IsEmpty)
            return null;
        if (word.Entry >= (uint)_memory.Geometry.ObjectCountMax)
            return $"Index word 0x{word.Value:x} names entry {word.Entry}; there are {_memory.Geometry.ObjectCountMax}.";
        var state = new StateWord(Volatile.Read(ref _memory.Entries[word.Entry].State));
        bool gone = state.Generation != word.Generation || state.State == ObjectState.Free;
        return gone && Volatile.Read(ref *place) == word.Value
            ? $"I1: index word 0x{word.Value:x} names generation {word.Generation} of entry {word.Entry}, which is {state.State} in generation {state.Generation}."
            : null;
    }

    private void SuspectChunks(ChunkMap map, string where, Func<uint, long, int, string?> lies)
    {
        for (long chunk = 0; chunk < map.ChunkCount; chunk++)
        {
            long c = chunk;
            Suspect(() => CheckChunk(map, where, c, lies));
        }
    }

    /// <summary>Every block that has an owner belongs to an object that is there.</summary>
    /// <param name="map">Of the memory, or of a spill file.</param>
    /// <param name="where">Which one, for people.</param>
    /// <param name="chunk">In it.</param>
    /// <param name="lies">Where the object of that entry lies instead, for people; null when it has the block. Asked only about objects that are there.</param>
    private string? CheckChunk(ChunkMap map, string where, long chunk, Func<uint, long, int, string?> lies)
    {
        ChunkWord word = map.ReadWord(chunk);
        if (word.State > ChunkState.Punching || word.Value >> 24 != 0)
            return $"Chunk {chunk}{where} has word 0x{word.Value:x}, which does not exist.";
        if (word.State == ChunkState.Slab && word.Class >= SizeClasses.Count)
            return $"Chunk {chunk}{where} is a slab of class {word.Class}; there are {SizeClasses.Count}.";
        int blocks = ChunkMap.BlockCountOf(word);
        for (int i = 0; i < blocks; i++)
        {
            ulong* place = map.Word(chunk * ChunkMap.WordsPerChunk + i);
            ulong value = Volatile.Read(ref *place);
            if (value == 0)
                continue;
            uint entry = BlockOwner.EntryOf(value), generation = BlockOwner.GenerationOf(value);
            if (entry >= (uint)_memory.Geometry.ObjectCountMax)
                return $"B1: block word {i} of chunk {chunk}{where} names entry {entry}; there are {_memory.Geometry.ObjectCountMax}.";
            var state = new StateWord(Volatile.Read(ref _memory.Entries[entry].State));
            bool gone = state.Generation != generation || state.State == ObjectState.Free;
            string? elsewhere = gone ? "" : lies(entry, chunk, i);
            if (elsewhere is not null && Volatile.Read(ref *place) == value && Volatile.Read(ref _memory.Entries[entry].State) == state.Value && (gone || lies(entry, chunk, i) is not null))
                return $"B1: block {i} of chunk {chunk}{where} is leaked: it names generation {generation} of entry {entry}, which is {state.State} in generation {state.Generation}{elsewhere}.";
        }
        return null;
    }

    private string? LiesInMemory(uint entry, long chunk, int block)
    {
        ObjectEntry* at = _memory.Entries + entry;
        return new StateWord(Volatile.Read(ref at->State)).State switch
        {
            ObjectState.Spilled => " and on disk",
            ObjectState.Sealed when !Covers(at->Block, chunk, block, _memory.Chunks.ReadWord(chunk)) => " with another block",
            _ => null,
        };
    }

    /// <summary>A block of a spill file may also be that of a copy which is being written.</summary>
    private string? LiesOnDisk(int directory, uint entry, long chunk, int block)
    {
        SpillDirectory spill = store.Spill!.Directory(directory);
        ObjectEntry* at = _memory.Entries + entry;
        var copy = new SpillPlace(Volatile.Read(ref at->SpillPlace));
        long imageBytes = ObjectEntry.BytesNeeded(at->PayloadBytes, at->TailBytes);
        return copy.IsClaim || (copy.IsPlace && copy.Directory == directory && spill.TryBlockOf(copy, imageBytes, out BlockPlace place) && Covers(place, chunk, block, spill.Map.ReadWord(chunk))) ? null : $" with a copy: {copy}";
    }

    /// <summary>What is wrong with the blocks of an object's copy on disk, or null.</summary>
    private static string? CheckCopy(SpillSpace space, SpillPlace place, long imageBytes, ulong owner)
    {
        if (place.Directory >= space.DirectoryCount || !space.Directory(place.Directory).TryBlockOf(place, imageBytes, out BlockPlace block))
            return $"where no block of {imageBytes} bytes is";
        ChunkMap map = space.Directory(place.Directory).Map;
        for (long i = 0; i < block.Count; i++)
        {
            ulong value = Volatile.Read(ref block.IsLarge ? ref *map.Grain((long)block.FirstGrain + i) : ref *map.Word((long)block.Index));
            if (value != owner)
                return $"whose block word {i} holds 0x{value:x} instead of 0x{owner:x}: the block is lost or doubly owned.";
        }
        return null;
    }

    private static bool Covers(in BlockPlace place, long chunk, int block, ChunkWord word)
    {
        long index = chunk * (place.IsLarge ? ChunkMap.GrainsPerChunk : ChunkMap.WordsPerChunk) + block;
        return place.IsLarge == (word.Class == ChunkWord.LargeClass)
            && (place.IsLarge ? (ulong)index >= place.FirstGrain && (ulong)index < place.FirstGrain + place.Count : (ulong)index == place.Index);
    }

    private void LookAtObject(uint index, bool checksum)
    {
        var state = new StateWord(Volatile.Read(ref _memory.Entries[index].State));
        if (state.State != ObjectState.Sealed || !store.TryPinEntry(index, state.Generation, out PlasmaObject obj))
            return;
        using (obj)
        {
            _objects++;
            _payloadBytes += obj.Length;
            if (!checksum || !state.HasChecksum)
                return;
            _checksums++;
            if (!obj.VerifyChecksum())
            {
                string problem = string.Create(CultureInfo.InvariantCulture, $"Checksum of object {obj.Id} (entry {index}, {obj.Length} bytes) does not match: payload or metadata changed after the seal.");
                _suspicions.Add(() => problem);
            }
        }
    }

    /// <summary>A finding about a sealed entry counts only while the entry is still what it was.</summary>
    private static string? Still(ObjectEntry* entry, StateWord state, string problem) => Volatile.Read(ref entry->State) == state.Value ? problem : null;
}
