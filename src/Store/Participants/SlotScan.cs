using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Participants;

/// <summary>Who announces something: place in its domain, and what the block says to show.</summary>
internal readonly record struct SlotOwner(int Domain, int Index, int ProcessId, ulong PidNamespace, string? CommandName);

/// <summary>Looks at announcements.</summary>
internal interface ISlotVisitor
{
    /// <summary>Whether <see cref="SlotOwner.CommandName"/> is wanted, which costs a string per participant.</summary>
    static abstract bool WantsNames { get; }

    /// <summary>A slot that was not free when it was read.</summary>
    void Visit(in SlotOwner owner, SlotWord word, long since);

    /// <summary>A domain whose pins file cannot be opened: anything may be pinned there.</summary>
    void VisitUnreadable();
}

/// <summary>Walks the slots of all attached participants of all domains. Foreign domains are read, never mapped: their users could truncate the file under us.</summary>
internal sealed unsafe class SlotScan : IDisposable
{
    private const int ReadBytes = 16 * SlotChunk.SizeBytes;

    /// <summary>From so many bytes of foreign slots on, a look is too dear for one entry: about 3 µs.</summary>
    private const long CostlyBytes = 16 << 10;

    /// <summary>Bytes that could be read in the time of a system call that reads few.</summary>
    private const int CallBytes = 2 << 10;

    private readonly StoreMemory _memory;
    private readonly StoreFiles _files;
    private readonly ParticipantTable _own;
    private readonly SharedFile?[] _foreignPins = new SharedFile?[DomainRecord.CountMax];
    private readonly SharedFile?[] _foreignLocks = new SharedFile?[DomainRecord.CountMax];
    private readonly Lock _opening = new();
    private long _foreignBytes; // What the last look at the foreign domains cost.

    internal SlotScan(StoreMemory memory, StoreFiles files, ParticipantTable own) => (_memory, _files, _own) = (memory, files, own);

    /// <summary>Domains in the table; a clamped number from shared memory.</summary>
    internal int DomainCount => (int)Math.Min(Volatile.Read(ref _memory.Header->DomainCount), DomainRecord.CountMax);

    /// <summary>Whether participants exist that cannot announce sleepers.</summary>
    internal bool HasForeignDomains => Volatile.Read(ref _memory.Header->DomainCount) > 1;

    /// <summary>Whether readers of other users have made the last look long: then one look should serve many entries. They decide that, up to 4 MiB for each of them.</summary>
    internal bool IsCostly => Volatile.Read(ref _foreignBytes) > CostlyBytes;

    internal void Visit<TVisitor>(ref TVisitor visitor)
        where TVisitor : ISlotVisitor, allows ref struct
    {
        VisitOwn(ref visitor);
        if (_own.Domain == 0) // A reader's view ends at its own domain.
            VisitForeign(ref visitor);
    }

    /// <summary>Only the own domain: for announcements that readers of other users do not make.</summary>
    internal void VisitOwn<TVisitor>(ref TVisitor visitor)
        where TVisitor : ISlotVisitor, allows ref struct
    {
        int high = _own.High;
        for (int k = 0; k < high; k++)
        {
            ParticipantBlock* block = _own.Block(k);

            // Not attached: no pin of it has been validated, because attaching is published before the first pin (docs/concurrency.md, 2).
            if (Volatile.Read(ref block->Attached) == 0)
                continue;
            var owner = new SlotOwner(_own.Domain, k, block->ProcessId, block->PidNamespace, TVisitor.WantsNames ? ParticipantTable.CommandNameOf(block) : null);
            int chunks = ParticipantTable.ChunkHigh(block);
            for (int c = 0; c < chunks; c++)
                VisitChunk(ref visitor, owner, ParticipantTable.Chunk(block, c), foreign: false);
        }
    }

    private void VisitForeign<TVisitor>(ref TVisitor visitor)
        where TVisitor : ISlotVisitor, allows ref struct
    {
        int domains = DomainCount;
        long bytes = 0;
        for (int d = 1; d < domains; d++)
            bytes += VisitForeign(ref visitor, d);
        Volatile.Write(ref _foreignBytes, bytes);
    }

    /// <summary>Whether anybody reads one entry, or moves it between memory and disk: the same look as <see cref="Visit"/>, for the most frequent question.</summary>
    internal bool IsPinned(uint generation, uint entry)
    {
        if (IsPinnedInOwn(generation, entry))
            return true;
        if (!HasForeignDomains || _own.Domain != 0)
            return false;
        var scan = new OneEntry(new SlotWord(SlotKind.Pin, generation, entry).Value);
        VisitForeign(ref scan);
        return scan.Found;
    }

    /// <summary>Whether anybody of the own domain pins one entry.</summary>
    internal bool IsPinnedInOwn(uint generation, uint entry)
    {
        ulong wanted = new SlotWord(SlotKind.Pin, generation, entry).Value;
        bool moves = _memory.Header->SpillDirectoryCount != 0; // Else nobody announces anything else that keeps an entry.
        int high = _own.High;
        for (int k = 0; k < high; k++)
        {
            ParticipantBlock* block = _own.Block(k);
            if (Volatile.Read(ref block->Attached) == 0)
                continue;
            int chunks = ParticipantTable.ChunkHigh(block);
            for (int c = 0; c < chunks; c++)
            {
                PinSlot* slots = ParticipantTable.Slots(ParticipantTable.Chunk(block, c));
                if (moves ? HasKeepingWord(slots, wanted) : HasWord(slots, wanted))
                    return true;
            }
        }
        return false;
    }

    /// <summary>Whether a slot of a chunk holds a word. Every delete asks this, so two or four slots are compared at a time; each word is read at once.</summary>
    internal static bool HasWord(PinSlot* slots, ulong wanted) => HasWord(slots, wanted, ulong.MaxValue);

    /// <summary>As <see cref="HasWord(PinSlot*, ulong)"/>, of a pin's word or one of the other kinds that keep the same entry.</summary>
    internal static bool HasKeepingWord(PinSlot* slots, ulong pin) => HasWord(slots, pin, SlotWord.KeepingMask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] // With a mask of ones nothing is left of the mask.
    private static bool HasWord(PinSlot* slots, ulong wanted, [System.Diagnostics.CodeAnalysis.ConstantExpected] ulong mask)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<ulong> wide = Vector512.Create(wanted), any = Vector512<ulong>.Zero;
            for (int i = 0; i < SlotChunk.SlotCount; i += 4)
                any |= Vector512.Equals(mask == ulong.MaxValue ? Vector512.Load((ulong*)(slots + i)) : Vector512.Load((ulong*)(slots + i)) & Vector512.Create(mask), wide);
            return (any & Vector512.Create(ulong.MaxValue, 0, ulong.MaxValue, 0, ulong.MaxValue, 0, ulong.MaxValue, 0)) != Vector512<ulong>.Zero;
        }
        if (!Vector256.IsHardwareAccelerated)
        {
            for (int i = 0; i < SlotChunk.SlotCount; i++)
                if ((Volatile.Read(ref slots[i].Word) & mask) == wanted)
                    return true;
            return false;
        }

        // A slot is a word and a time; only the lanes of words count.
        Vector256<ulong> words = Vector256.Create(ulong.MaxValue, 0, ulong.MaxValue, 0), values = Vector256.Create(wanted), found = Vector256<ulong>.Zero;
        for (int i = 0; i < SlotChunk.SlotCount; i += 2)
            found |= Vector256.Equals(mask == ulong.MaxValue ? Vector256.Load((ulong*)(slots + i)) : Vector256.Load((ulong*)(slots + i)) & Vector256.Create(mask), values);
        return (found & words) != Vector256<ulong>.Zero;
    }

    private struct OneEntry(ulong wanted) : ISlotVisitor
    {
        internal bool Found { get; private set; }

        public static bool WantsNames => false;

        public void Visit(in SlotOwner owner, SlotWord word, long since) => Found |= word.Value == wanted;

        public void VisitUnreadable() => Found = true;
    }

    // Optimized at once: a reader can make the first look of a process a long one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void VisitChunk<TVisitor>(ref TVisitor visitor, in SlotOwner owner, SlotChunk* chunk, bool foreign)
        where TVisitor : ISlotVisitor, allows ref struct
    {
        PinSlot* slots = ParticipantTable.Slots(chunk);
        for (int i = 0; i < SlotChunk.SlotCount; i++)
        {
            ulong word = Volatile.Read(ref slots[i].Word);
            if (word != 0 && (!foreign || new SlotWord(word).Kind == SlotKind.Pin)) // Readers create and delete nothing, whatever their slots say.
                visitor.Visit(owner, new SlotWord(word), slots[i].Since);
        }
    }

    /// <summary>Returns bytes read, and what the calls cost besides.</summary>
    private long VisitForeign<TVisitor>(ref TVisitor visitor, int domain)
        where TVisitor : ISlotVisitor, allows ref struct
    {
        if (ForeignPins(domain) is not { } pins)
        {
            visitor.VisitUnreadable();
            return 0;
        }
        Span<byte> head = stackalloc byte[128];
        byte* buffer = stackalloc byte[ReadBytes];
        long total = 0;
        if (pins.ReadAt(0, head) < head.Length)
            return total; // Truncated by its own user, who has lost its pins with it.
        int high = Math.Clamp(MemoryMarshal.Read<int>(head[64..]), 0, StoreGeometry.ReaderParticipantCountMax);
        for (int k = 0; k < high; k++)
        {
            long at = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes;
            total += CallBytes;
            if (pins.ReadAt(at, head) < head.Length)
                return total;
            ParticipantBlock block = default;
            head.CopyTo(new Span<byte>(&block, head.Length));
            if (block.Attached == 0)
                continue;
            var owner = new SlotOwner(domain, k, block.ProcessId, block.PidNamespace, TVisitor.WantsNames ? ParticipantTable.CommandNameOf(&block) : null);
            long bytes = (long)Math.Clamp(block.ChunkHigh, 0, ParticipantBlock.ReaderChunkCountMax) * SlotChunk.SizeBytes;
            for (long done = 0; done < bytes;)
            {
                int read = pins.ReadAt(at + ParticipantBlock.SlotsOffset + done, new Span<byte>(buffer, (int)Math.Min(ReadBytes, bytes - done)));
                for (int c = 0; c + SlotChunk.SizeBytes <= read; c += SlotChunk.SizeBytes)
                    VisitChunk(ref visitor, owner, (SlotChunk*)(buffer + c), foreign: true);
                total += read;
                if (read < SlotChunk.SizeBytes)
                    break;
                done += read / SlotChunk.SizeBytes * SlotChunk.SizeBytes;
            }
        }
        return total;
    }

    /// <summary>Opens the files of domains that were admitted since; early, because a destroyed store's names are gone.</summary>
    internal void OpenForeign()
    {
        if (_own.Domain != 0)
            return;
        for (int d = 1; d < DomainCount; d++)
            ForeignPins(d);
    }

    /// <summary>Pins file of a reader domain, or null when it cannot be opened.</summary>
    internal SharedFile? ForeignPins(int domain) => Open(_foreignPins, domain, _files.OpenReaderPins);

    /// <summary>Lock file of a reader domain for probing, or null when it cannot be opened.</summary>
    internal SharedFile? ForeignLock(int domain) => Open(_foreignLocks, domain, _files.OpenReaderLock);

    private SharedFile? Open(SharedFile?[] cache, int domain, Func<uint, SharedFile> open)
    {
        SharedFile? file = Volatile.Read(ref cache[domain]);
        if (file is not null)
            return file;
        lock (_opening)
        {
            if (cache[domain] is { } opened)
                return opened;
            try
            {
                return cache[domain] = open(_memory.Domains[domain].Uid);
            }
            catch (OsException)
            {
                return null; // Gone with a destroyed store, no rights, or not a file of ours: the callers take "anything may be pinned there".
            }
        }
    }

    public void Dispose()
    {
        foreach (SharedFile? file in _foreignPins)
            file?.Dispose();
        foreach (SharedFile? file in _foreignLocks)
            file?.Dispose();
    }
}
