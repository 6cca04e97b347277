using System.Runtime.InteropServices;
using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;

namespace FastPlasma.Participants;

/// <summary>The participants of the own domain: the mapped pins file, the own block, the own life token, and probes of others.</summary>
/// <remarks>
/// Order of life: token first, block second, token last. <see cref="ProbeLock"/> serializes everything that locks through the probe descriptor, because locks of one
/// description do not conflict with each other; it is never taken twice by one thread, so no recovery starts another.
/// </remarks>
internal sealed unsafe class ParticipantTable : IDisposable
{
    private readonly SharedFile _pinsFile;
    private readonly MappedView _view;
    private readonly LifeTokens _token;
    private readonly LifeTokens _probe;
    private readonly SharedFile _lockFile;
    private readonly byte* _base;

    private ParticipantTable(SharedFile pinsFile, MappedView view, LifeTokens token, SharedFile probe, int domain, int max)
    {
        (_pinsFile, _view, _token, _lockFile, _probe, Domain, Max) = (pinsFile, view, token, probe, new LifeTokens(probe), domain, max);
        _base = view.Pointer;
    }

    internal int Domain { get; }

    internal int Max { get; }

    /// <summary>Slot chunks that a participant of this domain may use. Fewer for readers, because writers read all of them at each scan.</summary>
    internal int ChunkMax => Domain == 0 ? ParticipantBlock.ChunkCountMax : ParticipantBlock.ReaderChunkCountMax;

    /// <summary>Own place in the domain.</summary>
    internal int Index { get; private set; } = -1;

    /// <summary>Own block.</summary>
    internal ParticipantBlock* Own => Block(Index);

    /// <summary>Held while anything is locked through the probe descriptor.</summary>
    internal Lock ProbeLock { get; } = new();

    internal SharedFile PinsFile => _pinsFile;

    /// <summary>A description of the domain's lock file for one purpose of its own.</summary>
    internal LifeTokens OpenTokens() => new(_lockFile.Reopen(writable: true));

    /// <summary>The domain's lock file.</summary>
    internal string LockPath => _token.Path;

    /// <summary>Blocks at or above were never used. OBSERVE participant high.</summary>
    internal int High => Math.Clamp(Volatile.Read(ref ((PinsHeader*)_base)->ParticipantHigh), 0, Max);

    // SAFETY: index is below Max, the view has room for Max blocks.
    internal ParticipantBlock* Block(int index) => (ParticipantBlock*)(_base + PinsHeader.SizeBytes + (long)index * ParticipantBlock.SizeBytes);

    internal static SlotChunk* Chunk(ParticipantBlock* block, int chunk) => (SlotChunk*)((byte*)block + ParticipantBlock.SlotsOffset + (long)chunk * SlotChunk.SizeBytes);

    internal static ulong* Counters(SlotChunk* chunk) => (ulong*)chunk;

    internal static PinSlot* Slots(SlotChunk* chunk) => (PinSlot*)((byte*)chunk + SlotChunk.CountersBytes);

    internal static ulong* Hints(ParticipantBlock* block) => (ulong*)((byte*)block + ParticipantBlock.HintsOffset);

    internal static NodeRecord* Requests(ParticipantBlock* block) => (NodeRecord*)((byte*)block + ParticipantBlock.RequestsOffset);

    internal static ulong* Condemned(ParticipantBlock* block) => (ulong*)((byte*)block + ParticipantBlock.CondemnedOffset);

    /// <summary>Adds to a counter of the block: of what happens so seldom, and takes so long, that one exchange more does not matter.</summary>
    internal static void CountSpill(ParticipantBlock* block, SpillCounter counter, long amount) => Interlocked.Add(ref block->SpillCounts[(int)counter], amount);

    /// <summary>Slot chunks of a block at or above were never used. OBSERVE chunk high.</summary>
    internal static int ChunkHigh(ParticipantBlock* block) => Math.Clamp(Volatile.Read(ref block->ChunkHigh), 0, ParticipantBlock.ChunkCountMax);

    /// <summary>Maps the domain's pins file; takes over the two files. <see cref="Attach"/> follows.</summary>
    internal static ParticipantTable Open(StoreFiles files)
    {
        Span<byte> head = stackalloc byte[128];
        int read = files.Pins.ReadAt(0, head);
        PinsHeader header = default;
        head[..Math.Min(read, head.Length)].CopyTo(MemoryMarshal.AsBytes(new Span<PinsHeader>(ref header)));
        int limit = files.Domain == 0 ? StoreGeometry.ParticipantCountMax : StoreGeometry.ReaderParticipantCountMax;
        if (header.Magic != PinsHeader.MagicValue || header.StoreUuid != files.Uuid || header.Domain != files.Domain || header.ParticipantMax != limit)
            throw new PlasmaFormatException($"{files.Pins.Path} is not the pins file of domain {files.Domain} of this store.");
        long bytes = PinsHeader.SizeBytes + (long)limit * ParticipantBlock.SizeBytes;
        if (files.Pins.Facts().SizeBytes < bytes)
            throw new PlasmaFormatException($"{files.Pins.Path} is {files.Pins.Facts().SizeBytes} bytes long, {bytes} are needed: truncated or damaged.");
        MappedView? view = null;
        SharedFile? token = null;
        try
        {
            view = MappedView.Map(files.Pins, 0, bytes, writable: true);
            view.ExcludeFromFork();
            token = files.Lock.Reopen(writable: true);
            return new ParticipantTable(files.Pins, view, new LifeTokens(token), files.Lock.Reopen(writable: true), files.Domain, limit);
        }
        catch
        {
            token?.Dispose();
            view?.Dispose();
            throw;
        }
    }

    /// <summary>Takes the first free place. <paramref name="repair"/> is called, under the token, when its last owner has left something; false from it means "try another place".</summary>
    /// <exception cref="PlasmaException">All places are taken.</exception>
    internal void Attach(StoreAccess access, Func<int, bool> repair)
    {
        for (int index = 0; index < Max; index++)
        {
            if (!_token.TryAcquire(index))
                continue;
            bool kept = false;
            try
            {
                ParticipantBlock* block = Block(index);

                // CRASH attach-token: the token falls, the block is as it was.
                FailPoint.Pass("attach-token");
                _pinsFile.Reserve(PinsHeader.SizeBytes + (long)index * ParticipantBlock.SizeBytes, ParticipantBlock.HeadBytes + ChunkMap.PageBytes);
                if (Volatile.Read(ref block->Attached) != 0 && !repair(index))
                    continue;
                AtomicMax(ref ((PinsHeader*)_base)->ParticipantHigh, index + 1); // PUBLISH participant high: before the block says attached.
                block->Access = (int)access;
                block->AttachCount++;
                block->ProcessId = OsIdentity.ProcessId;
                block->PidNamespace = OsIdentity.PidNamespace;
                block->AttachedAt = DateTime.UtcNow.Ticks;
                var name = new Span<byte>(block->CommandName, ParticipantBlock.CommandNameBytes);
                name.Clear();
                Encoding.UTF8.TryGetBytes(OsIdentity.CommandName, name[..(ParticipantBlock.CommandNameBytes - 1)], out _);

                NodeMailbox.EmptyRecords(block);

                // PUBLISH attach: full fence. From here on scans look at this block; no pin precedes it. OBSERVE in SlotScan.
                Interlocked.Exchange(ref block->Attached, 1);
                // CRASH attach-announced: a participant that holds nothing; recovery clears the mark.
                FailPoint.Pass("attach-announced");
                Index = index;
                kept = true;
                return;
            }
            finally
            {
                if (!kept)
                    _token.Release(index);
            }
        }
        throw new PlasmaException(PlasmaStatus.TooManyPins, $"All {Max} participants of domain {Domain} are taken ({_pinsFile.Path}).");
    }

    /// <summary>Says good-bye: the caller has emptied the block, and scans pass it over from here on. The token falls when the descriptors are closed.</summary>
    internal void MarkDetached() => Interlocked.Exchange(ref Own->Attached, 0);

    /// <summary>Whether a participant's token is held: a pure look that takes nothing.</summary>
    internal bool IsAlive(int index) => index == Index || _probe.IsHeldElsewhere(index);

    /// <summary>Runs <paramref name="recover"/> under the token of a dead participant. False when it is alive, or somebody else recovers it, or there is nothing to do.</summary>
    internal bool TryRecover(int index, Action<int> recover)
    {
        if (index == Index || index < 0 || index >= High || ProbeLock.IsHeldByCurrentThread)
            return false;
        lock (ProbeLock)
        {
            if (Volatile.Read(ref Block(index)->Attached) == 0 || !_probe.TryAcquire(index))
                return false;
            try
            {
                // Again under the token: another process may have recovered it and a new one come and gone.
                if (Volatile.Read(ref Block(index)->Attached) == 0)
                    return false;
                recover(index);
                return true;
            }
            finally
            {
                _probe.Release(index);
            }
        }
    }

    internal static string CommandNameOf(ParticipantBlock* block)
    {
        var bytes = new ReadOnlySpan<byte>(block->CommandName, ParticipantBlock.CommandNameBytes);
        int end = bytes.IndexOf((byte)0);
        string name = Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
        return name.Any(char.IsControl) ? string.Concat(name.Select(static c => char.IsControl(c) ? '?' : c)) : name; // It is shown in messages and on terminals, and its process can write anything.
    }

    internal static void AtomicMax(ref int word, int value)
    {
        for (int old = Volatile.Read(ref word); value > old; old = Volatile.Read(ref word)) // Ends: the word only rises.
            if (Interlocked.CompareExchange(ref word, value, old) == old)
                return;
    }

    public void Dispose()
    {
        _view.Dispose();
        CloseFiles();
    }

    /// <summary>Without the mapping, which a forked child does not have. Its parent's token stays held by the parent's descriptor.</summary>
    internal void CloseFiles()
    {
        _pinsFile.Dispose();
        _probe.Dispose();
        _token.Dispose(); // Last: it says that all the rest is done.
    }
}
