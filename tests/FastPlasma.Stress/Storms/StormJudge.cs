using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Participants;

namespace FastPlasma.Stress.Storms;

/// <summary>Judges a store in which nobody does anything: ledger against objects, block words against records, slots, and the store's own verification.</summary>
internal sealed unsafe class StormJudge(PlasmaStore store, Ledger ledger, long seed, StormFigures figures)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly Dictionary<ObjectId, int> _keys = Enumerable.Range(0, Ledger.KeepCount + Ledger.ContestedCount).ToDictionary(key => Payload.IdOf(seed, key));

    /// <summary>Everything dead is recovered, nobody holds anything: from here on only sealed objects may take anything.</summary>
    internal void Run()
    {
        figures.BeginJudgement();
        JudgeSlots();
        JudgeMemory();
        JudgeObjects();
        foreach (string problem in store.Verify().Problems)
        {
            // Blocks are counted by JudgeMemory, to the byte; whatever else is wrong concerns an object.
            if (!problem.StartsWith("B1", StringComparison.Ordinal))
                figures.AddLost(problem);
            else if (figures.LeakedBytes == 0)
                figures.AddLeak(1, problem);
        }
    }

    /// <summary>Deletes everything and looks whether anything is still taken.</summary>
    internal void RunEmpty()
    {
        figures.BeginJudgement();
        foreach (ObjectInfo info in store.List())
            if (info.IsSealed && store.Delete(info.Id) is var status and not PlasmaStatus.Ok)
                figures.AddLost($"object {info.Id} is listed as sealed; a delete says {status}");
        store.Maintain();
        SpinWait.SpinUntil(IsAtRest, s_patience); // The spiller of this process sees at its next round that there is nothing left to move.
        JudgeSlots();
        JudgeMemory();
        JudgeDisk();
        StoreStats stats = store.Stats();
        figures.Counts = stats.Store;
        if (stats is not { UsedBytes: 0, SealedCount: 0, CreatingCount: 0, CondemnedCount: 0 })
            figures.AddLeak(Math.Max(1, stats.UsedBytes), $"after deleting everything {stats.UsedBytes} bytes are used, {stats.SealedCount} objects sealed, {stats.CreatingCount} creating, {stats.CondemnedCount} condemned");
    }

    /// <summary>Whether nothing moves between memory and disk, and nothing is kept for who has asked for it to be brought back: the spillers of processes that rest come to rest by themselves.</summary>
    internal bool IsAtRest()
    {
        var slots = new SlotCount();
        store.Scan.Visit(ref slots);
        if (slots.Moves > 0 || (store.HasSpill && slots.Count > 0))
            return false;
        for (int e = 0; e < store.ObjectCountMax; e++)
            if (new StateWord(Volatile.Read(ref store.Memory.Entries[e].State)).State is ObjectState.Unloading or ObjectState.Emptying or ObjectState.Restoring)
                return false;
        return true;
    }

    /// <summary>With everything deleted no block on disk belongs to anybody.</summary>
    private void JudgeDisk()
    {
        for (int d = 0; d < (store.Spill?.DirectoryCount ?? 0); d++)
        {
            ChunkMap map = store.Spill!.Directory(d).Map;
            for (long chunk = 0; chunk < map.ChunkCount; chunk++)
            {
                ChunkWord word = map.ReadWord(chunk);
                if (word.IsTransient)
                    figures.AddLeak(ChunkMap.ChunkBytes, $"chunk {chunk} of spill directory {d} is {word.State} by participant {word.Participant}");
                for (int i = 0; i < ChunkMap.BlockCountOf(word); i++)
                    if (Volatile.Read(ref *map.Word(chunk * ChunkMap.WordsPerChunk + i)) is var owner && owner != 0)
                        figures.AddLeak(ChunkMap.GrainBytes, $"block {i} of chunk {chunk} of spill directory {d} belongs to 0x{owner:x} although everything is deleted");
            }
        }
    }

    private void JudgeSlots()
    {
        ParticipantTable participants = store.Participants;
        for (int k = 0; k < participants.High; k++)
        {
            ParticipantBlock* block = participants.Block(k);
            if (Volatile.Read(ref block->Attached) != 0 && !participants.IsAlive(k))
                figures.AddLeak(ParticipantBlock.HeadBytes, $"participant {k} (process {block->ProcessId}) is dead and not recovered");
        }
        var slots = new SlotCount();
        store.Scan.Visit(ref slots);
        if (slots.Count > 0)
            figures.AddLeak(slots.Count * PinSlot.SizeBytes, $"{slots.Count} slots are taken although nobody holds anything");
    }

    private void JudgeMemory()
    {
        long sealedBytes = 0, records = 0;
        for (int e = 0; e < store.ObjectCountMax; e++)
        {
            ObjectEntry* entry = store.Memory.Entries + e;
            var state = new StateWord(Volatile.Read(ref entry->State));
            if (state.State == ObjectState.Sealed)
                sealedBytes += store.Allocator.BlockBytesAt(entry->Block);
            else if (state.State is not (ObjectState.Free or ObjectState.Spilled) && ++records > 0)
                figures.AddLeak(ObjectEntry.SizeBytes, $"record {e} is {state.State} in generation {state.Generation}, by participant {state.Participant}");
        }
        long taken = 0;
        ChunkMap map = store.Allocator.Map;
        for (long chunk = 0; chunk < map.ChunkCount; chunk++)
        {
            ChunkWord word = map.ReadWord(chunk);
            if (word.IsTransient)
                figures.AddLeak(ChunkMap.ChunkBytes, $"chunk {chunk} is {word.State} by participant {word.Participant}");
            long bytes = word.Class < SizeClasses.Count ? SizeClasses.BytesOf(word.Class) : ChunkMap.GrainBytes;
            for (int i = 0; i < ChunkMap.BlockCountOf(word); i++)
                taken += Volatile.Read(ref *map.Word(chunk * ChunkMap.WordsPerChunk + i)) != 0 ? bytes : 0;
        }
        figures.UsedBytesMax = Math.Max(figures.UsedBytesMax, taken);
        if (taken != sealedBytes)
            figures.AddLeak(Math.Abs(taken - sealedBytes), $"{taken} bytes of blocks are taken, sealed objects have {sealedBytes}");
    }

    private void JudgeObjects()
    {
        var seen = new Dictionary<int, int>();
        foreach (ObjectInfo info in store.List())
        {
            if (!info.IsSealed)
                continue; // Counted as a record.
            if (!_keys.TryGetValue(info.Id, out int key))
                figures.AddLeak(info.BlockBytes, $"object {info.Id} was sealed by nobody");
            else if (++CollectionsMarshal.GetValueRefOrAddDefault(seen, key, out _) > 1)
                figures.AddLost($"there are two objects of key {key}");
        }
        for (int key = Ledger.KeepCount + Ledger.ContestedCount - 1; key >= 0; key--) // What may be evicted comes first: to bring the others back from disk takes memory.
        {
            KeyWord word = key < Ledger.KeepCount ? ledger.Read(key) : new KeyWord(KeyState.Unknown, 0, 0);
            ObjectId id = Payload.IdOf(seed, key);
            bool found = store.TryGet(id, out PlasmaObject obj);
            if (!found && store.Contains(id))
            {
                PlasmaStatus status = store.TryGet(id, s_patience, out obj);
                found = status == PlasmaStatus.Ok;
                if (!found)
                    figures.AddLost($"key {key} is on disk, and a get says {status}: {store.DescribeAbsence(id)}");
            }
            using (obj)
            {
                if (found != seen.ContainsKey(key))
                    figures.AddLost($"key {key} is {(found ? "found and not listed" : "listed and not found")}");
                if (found)
                    JudgeObject(key, word, obj);
                else if (word.State == KeyState.Sealed)
                    figures.AddLost($"key {key}, nonce {word.Nonce} is sealed and gone");
                if (word.State is KeyState.Creating or KeyState.Deleting)
                    throw new InvalidOperationException($"Key {key} is {word} although nobody works: the ledger itself is wrong.");
            }
        }
    }

    private void JudgeObject(int key, KeyWord word, in PlasmaObject obj)
    {
        figures.ObjectsVerified++;
        if (Payload.Verify(seed, key, obj.Span, out uint nonce) is string problem)
            figures.AddLost(problem);
        else if (key < Ledger.KeepCount && word.State == KeyState.Absent)
            figures.AddLeak(Math.Max(1, obj.Length), $"key {key}, nonce {nonce} is there although it was deleted or never made");
        else if (key < Ledger.KeepCount && nonce != word.Nonce)
            figures.AddLost($"key {key} has nonce {nonce}, the ledger says {word.State} {word.Nonce}");
    }

    private struct SlotCount : ISlotVisitor
    {
        internal int Count { get; private set; }

        internal int Moves { get; private set; }

        public static bool WantsNames => false;

        public void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            Count++;
            Moves += word.Kind is SlotKind.Copy or SlotKind.Unload or SlotKind.Restore ? 1 : 0;
        }

        public readonly void VisitUnreadable() => throw new InvalidOperationException("A storm has no foreign domains.");
    }
}
