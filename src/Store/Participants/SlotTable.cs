using System.Runtime.CompilerServices;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Participants;

/// <summary>One thread's private view of a store: its slot chunk, its allocator hints, its free entries. Never touched by two threads at once.</summary>
internal sealed unsafe class ThreadSlots
{
    internal const int EntryCacheMax = 64;

    internal readonly PlasmaStore Owner;
    internal readonly BlockCache Blocks = new();
    internal readonly uint[] FreeEntries = new uint[EntryCacheMax];

    internal ulong* Counters;
    internal int Chunk = -1;

    /// <summary>Number, address and sequence of the slot that is tried first: the one used last.</summary>
    internal int Slot;
    internal PinSlot* Pin;
    internal long* Sequence;
    internal int FreeEntryCount;
    internal uint EntryCursor;

    /// <summary>Where the thread takes records for objects that may be evicted, in the order of all threads, and where its stretch of them ends.</summary>
    internal long CandidateCursor, CandidateEnd;

    /// <summary>A search of all records has found none free: from now on a short one comes first.</summary>
    internal bool RecordsAreShort;

    /// <summary>Calls of this thread in progress; the closer of the store waits for 0 behind a process-wide barrier.</summary>
    internal int Busy;

    /// <summary>The object that this thread last waited for in vain, and what its node service said of it (NodeReason).</summary>
    internal ObjectId LateId;
    internal int LateReason;

    /// <summary>Why that object could not be brought back from disk, if it is there.</summary>
    internal string? LateText;

    internal AwayReason LateAway;

    internal ThreadSlots(PlasmaStore owner) => Owner = owner;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Count(Counter counter, long amount = 1) => Counters[(int)counter] += (ulong)amount; // One writer; readers may be late.
}

/// <summary>What kept an object from being brought back from disk.</summary>
internal enum AwayReason
{
    /// <summary>It was not brought in time: there was no memory, the disk has not answered, or somebody else has it in hand.</summary>
    Time = 0,

    /// <summary>Its copy is missing, damaged or unreadable.</summary>
    Disk = 1,
}

/// <summary>The slots of this participant: which are taken, by process-private sequences that make a second release do nothing.</summary>
/// <remarks>
/// A slot number is chunk * 64 + place. Its sequence: 4v+1 free, 4v+2 held, 4v+4 being released, 4v+5 free again; odd means free. Free → held by the thread that has the chunk; held →
/// releasing by compare-exchange, so exactly one release wins; releasing → free by that one. A held slot whose memory is pinned for an API that wants an address is kept: the sequence has <see cref="KeptBit"/> besides,
/// so that the fast looks at it fail and the slow ones decide; the release of its handle adds <see cref="EndedBit"/>, and whoever keeps it last releases it. A creation takes its slot as "being released", so that nobody can end it before it is handed out
/// (held), or at all: a put keeps it to itself. A fork wipes the sequences in the child: there no slot is free, and no handle of the parent holds one,
/// at no cost to the parent. The memory is used again for later attachments, whose versions go on rising: what a handle of an ended attachment carries never comes again.
/// </remarks>
internal sealed unsafe class SlotTable
{
    internal const int SlotsPerChunkStride = 64;
    internal const long FreeBit = 1, PhaseMask = 3, Held = 2, ToHeld = 1, ToReleasing = 2, ToFree = 3, FirstFree = 1;
    internal const long KeptBit = 1L << 62, EndedBit = 1L << 61;
    internal const byte CheckStride = SlotsPerChunkStride >= SlotChunk.SlotCount ? 0 : -1;

    private const int ProbesBeforeGrowth = 16;

    private static readonly Lock s_sequencesLock = new();
    private static readonly Stack<nint> s_sequences = [];
    private static int s_sequencesOf;

    // What the system said when it last refused a page for more slots.
    private string? _growthError;

    private readonly ParticipantBlock* _block;
    private readonly ParticipantTable _table;
    private readonly long* _sequence; // Slot numbers are made here, so no bounds check is needed.
    private readonly byte* _firstChunk;
    private readonly int[] _chunkTaken = new int[ParticipantBlock.ChunkCountMax];
    private readonly List<(Thread Owner, ThreadSlots Slots)> _threads = [];
    private readonly Lock _growth = new();
    private readonly Dictionary<int, int> _keepers = []; // How often each kept slot is kept; also the lock of kept slots' sequences.
    private int _chunkHigh; // The block's, kept where it can be read when the block is unmapped, and where others cannot damage it.
    private int _next;

    internal SlotTable(ParticipantTable table)
    {
        _table = table;
        _block = table.Own;
        _firstChunk = (byte*)ParticipantTable.Chunk(_block, 0);
        _sequence = TakeSequences();
        _chunkHigh = ParticipantTable.ChunkHigh(_block);
        for (int chunk = 0; chunk < _chunkHigh; chunk++)
            MakeFree(chunk);
    }

    /// <summary>For the chunk's first use in this memory.</summary>
    private void MakeFree(int chunk)
    {
        for (int i = 0; i < SlotChunk.SlotCount; i++)
            if (_sequence[chunk * SlotsPerChunkStride + i] == 0)
                _sequence[chunk * SlotsPerChunkStride + i] = FirstFree;
    }

    // SAFETY: slot numbers come from TryAcquire and never leave the process; chunk is below ChunkHigh, whose pages are reserved.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal PinSlot* Slot(int slot) =>
        (PinSlot*)(_firstChunk + (uint)slot / SlotsPerChunkStride * SlotChunk.SizeBytes + SlotChunk.CountersBytes) + (uint)slot % SlotsPerChunkStride;

    /// <summary>Of slot 0; a process-private word for each slot.</summary>
    internal long* Sequences => _sequence;

    /// <summary>Whether a handle still holds its slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsHeld(int slot, long sequence) => Volatile.Read(ref _sequence[slot]) == sequence;

    /// <summary>Makes <see cref="ThreadSlots.Slot"/> a free one; false when all slots of the participant are taken. Last in, first out: get, release, get meets the same line again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryReady(ThreadSlots thread) => IsReady(thread) || TryAdvance(thread);

    /// <summary>Whether <see cref="ThreadSlots.Slot"/> is free.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsReady(ThreadSlots thread) => (Volatile.Read(ref *thread.Sequence) & FreeBit) != 0;

    /// <summary>Takes the slot that <see cref="TryReady"/> found. Returns the sequence that its release needs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static long Hold(ThreadSlots thread) => *thread.Sequence += ToHeld;

    /// <summary>Takes a free slot of the thread's chunk; false when all slots of the participant are taken.</summary>
    internal bool TryAcquire(ThreadSlots thread, out int slot, out long sequence)
    {
        bool ready = TryReady(thread);
        slot = thread.Slot;
        sequence = ready ? Hold(thread) : 0;
        return ready;
    }

    /// <summary>As <see cref="TryAcquire"/>, but nobody else can release the slot before <see cref="HandOut"/>.</summary>
    internal bool TryReserve(ThreadSlots thread, out int slot, out long sequence)
    {
        bool ready = TryReady(thread);
        slot = thread.Slot;
        sequence = 0;
        if (!ready)
            return false;
        sequence = _sequence[slot] + ToHeld;
        Volatile.Write(ref _sequence[slot], sequence + ToReleasing);
        return true;
    }

    /// <summary>From here on whoever has <paramref name="sequence"/> may release the slot. What it announces stays what it is until then.</summary>
    internal void HandOut(int slot, long sequence) => Volatile.Write(ref _sequence[slot], sequence);

    /// <summary>First half of a release: true for exactly one caller per acquire.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryBeginRelease(int slot, long sequence) => TryBeginRelease(_sequence + slot, sequence);

    /// <inheritdoc cref="TryBeginRelease(int, long)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryBeginRelease(long* place, long sequence) => Interlocked.CompareExchange(ref *place, sequence + ToReleasing, sequence) == sequence;

    /// <summary>Second half: the slot word is cleared already.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void EndRelease(int slot, long sequence) => EndRelease(_sequence + slot, sequence);

    /// <inheritdoc cref="EndRelease(int, long)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void EndRelease(long* place, long sequence) => Volatile.Write(ref *place, sequence + ToFree);

    /// <summary>Whether a handle still holds its slot, which may be kept besides: by one look, because two could fall on either side of a change between held and kept.</summary>
    internal bool IsHeldOrKept(int slot, long sequence) => (Volatile.Read(ref _sequence[slot]) & ~KeptBit) == sequence;

    /// <summary>Keeps a held slot beyond the release of its handle, until <see cref="EndKeeping"/> as often as this. False when the handle was released.</summary>
    internal bool TryKeep(int slot, long sequence)
    {
        lock (_keepers)
        {
            if (Volatile.Read(ref _sequence[slot]) != (sequence | KeptBit) && Interlocked.CompareExchange(ref _sequence[slot], sequence | KeptBit, sequence) != sequence)
                return false;
            _keepers[slot] = _keepers.GetValueOrDefault(slot) + 1;
            return true;
        }
    }

    /// <summary>The opposite of <see cref="TryKeep"/>. True when this was the last and the handle was released meanwhile: the release has begun, and the caller ends it.</summary>
    /// <exception cref="InvalidOperationException">It is not kept.</exception>
    internal bool EndKeeping(int slot, long sequence)
    {
        lock (_keepers)
        {
            if (!_keepers.TryGetValue(slot, out int count) || (Volatile.Read(ref _sequence[slot]) & ~EndedBit) is var word && word != 0 && word != (sequence | KeptBit))
                throw new InvalidOperationException("The memory is not pinned.");
            if (count > 1)
            {
                _keepers[slot] = count - 1;
                return false;
            }
            _keepers.Remove(slot);

            // Neither succeeds in a forked child, whose sequences are wiped.
            if (Interlocked.CompareExchange(ref _sequence[slot], sequence, sequence | KeptBit) == (sequence | KeptBit))
                return false;
            long ended = sequence | KeptBit | EndedBit;
            return Interlocked.CompareExchange(ref _sequence[slot], sequence + ToReleasing, ended) == ended;
        }
    }

    /// <summary>First half of a release that did not begin at once: of a handle that was released before nothing, of one that is kept only the mark. True when its keeping has just ended, and the release has begun after all.</summary>
    internal bool TryBeginReleaseKept(int slot, long sequence)
    {
        if (!IsHeldOrKept(slot, sequence))
            return false;
        lock (_keepers)
            return Interlocked.CompareExchange(ref _sequence[slot], sequence | KeptBit | EndedBit, sequence | KeptBit) != (sequence | KeptBit) && TryBeginRelease(slot, sequence);
    }

    /// <summary>Gives a newcomer its chunk.</summary>
    /// <exception cref="PlasmaException">All slots are taken.</exception>
    internal void Register(ThreadSlots thread)
    {
        lock (_growth)
        {
            // Threads say no good-bye: whoever comes next takes over what they left.
            foreach ((Thread owner, ThreadSlots ended) in _threads)
                if (!owner.IsAlive)
                    Abandon(ended.Chunk);
            _threads.RemoveAll(static t => !t.Owner.IsAlive);
        }
        if (!TrySwapChunk(thread))
            throw TooManyPins();
        lock (_growth)
            _threads.Add((Thread.CurrentThread, thread));
    }

    /// <summary>At the end of the attachment: no slot is held, and no call will take one.</summary>
    internal void GiveSequencesBack()
    {
        lock (s_sequencesLock)
            s_sequences.Push((nint)_sequence);
    }

    private static long* TakeSequences()
    {
        lock (s_sequencesLock)
        {
            if (s_sequencesOf != ForkMark.OfThisProcess())
            {
                s_sequencesOf = ForkMark.OfThisProcess();
                s_sequences.Clear(); // Wiped by the fork: their versions would begin again.
            }
            return s_sequences.TryPop(out nint used) ? (long*)used : (long*)ForkMark.MapWiped(ParticipantBlock.ChunkCountMax * SlotsPerChunkStride * sizeof(long));
        }
    }

    /// <summary>Says why there is no slot: what is held, or threads, or the system.</summary>
    internal PlasmaException TooManyPins()
    {
        string reason;
        if (Volatile.Read(ref _growthError) is { } error)
        {
            reason = $"the system refused a page for more: {error}";
        }
        else
        {
            int threads;
            lock (_growth)
                threads = _threads.Count;
            reason = $"{CountHeld()} of {_table.ChunkMax * SlotChunk.SlotCount} are held and {threads} threads, of {_table.ChunkMax} at most, keep {SlotChunk.SlotCount} each for themselves; dispose objects that are no longer read, or use fewer threads";
        }
        return new PlasmaException(PlasmaStatus.TooManyPins, $"No pin slot of this attachment is free: {reason}.");
    }

    /// <summary>Frees a chunk for the next thread.</summary>
    private void Abandon(int chunk)
    {
        if (chunk >= 0)
            Volatile.Write(ref _chunkTaken[chunk], 0);
    }

    /// <summary>Whether any call is in progress or any handle is open. Exact once new calls are refused and a process-wide barrier has passed.</summary>
    internal bool AnyInUse()
    {
        lock (_growth)
        {
            foreach ((_, ThreadSlots thread) in _threads)
                if (Volatile.Read(ref thread.Busy) != 0)
                    return true;
        }
        return CountHeld() > 0;
    }

    internal int CountHeld()
    {
        int held = 0, high = Volatile.Read(ref _chunkHigh) * SlotsPerChunkStride;
        for (int slot = 0; slot < high; slot++)
            if (slot % SlotsPerChunkStride < SlotChunk.SlotCount && (Volatile.Read(ref _sequence[slot]) & FreeBit) == 0)
                held++;
        return held;
    }

    /// <summary>The held slot of this process that announces <paramref name="word"/>, and the sequence that its release needs.</summary>
    /// <remarks>Several slots may name an entry: all but one belong to creations that lost it to another thread and go on to another entry. Those are not held yet.</remarks>
    internal bool TryFindHeld(SlotWord word, out int slot, out long sequence)
    {
        int high = Volatile.Read(ref _chunkHigh);
        for (int chunk = 0; chunk < high; chunk++)
        {
            PinSlot* slots = ParticipantTable.Slots(ParticipantTable.Chunk(_block, chunk));
            for (int i = 0; i < SlotChunk.SlotCount; i++)
            {
                if (Volatile.Read(ref slots[i].Word) != word.Value)
                    continue;
                slot = chunk * SlotsPerChunkStride + i;

                // First the sequence, then the word again: a slot announces one thing while it is held, so the sequence belongs to this announcement.
                sequence = Volatile.Read(ref _sequence[slot]);
                if ((sequence & PhaseMask) == Held && Volatile.Read(ref slots[i].Word) == word.Value)
                    return true;
            }
        }
        slot = -1;
        sequence = 0;
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryAdvance(ThreadSlots thread)
    {
        thread.Owner.ThrowIfForked(); // Nothing is free there.
        for (int round = 0; round < 2; round++)
        {
            int last = thread.Slot % SlotsPerChunkStride;
            for (int step = 0; step < SlotChunk.SlotCount; step++)
            {
                int place = (last + step) % SlotChunk.SlotCount;
                if ((Volatile.Read(ref _sequence[thread.Chunk * SlotsPerChunkStride + place]) & FreeBit) == 0)
                    continue;
                Prefer(thread, place);
                return true;
            }
            if (round == 0 && !TrySwapChunk(thread))
                break;
        }
        return false;
    }

    private void Prefer(ThreadSlots thread, int place)
    {
        thread.Slot = thread.Chunk * SlotsPerChunkStride + place;
        thread.Pin = Slot(thread.Slot);
        thread.Sequence = _sequence + thread.Slot;
    }

    /// <summary>Leaves the present chunk to others and takes one with a free slot: one of the next few, else a new one, else any.</summary>
    private bool TrySwapChunk(ThreadSlots thread)
    {
        int old = thread.Chunk;
        int high = Volatile.Read(ref _chunkHigh);
        if (TryTakeAmong(thread, Math.Min(high, ProbesBeforeGrowth), high) || TryGrow(thread) || TryTakeAmong(thread, high, high))
        {
            Abandon(old);
            return true;
        }
        return false;
    }

    private bool TryTakeAmong(ThreadSlots thread, int probes, int high)
    {
        for (int i = 0; i < probes; i++)
        {
            int chunk = (int)((uint)Interlocked.Increment(ref _next) % (uint)high);
            if (chunk == thread.Chunk || Interlocked.CompareExchange(ref _chunkTaken[chunk], 1, 0) != 0)
                continue;
            if (HasFreeSlot(chunk))
            {
                Use(thread, chunk);
                return true;
            }
            Abandon(chunk);
        }
        return false;
    }

    private bool TryGrow(ThreadSlots thread)
    {
        lock (_growth)
        {
            int chunk = _chunkHigh;
            if (chunk >= _table.ChunkMax)
                return false;
            if (chunk % SlotChunk.ChunksPerPage == 0)
            {
                long offset = PinsHeader.SizeBytes + (long)_table.Index * ParticipantBlock.SizeBytes + ParticipantBlock.SlotsOffset + (long)chunk * SlotChunk.SizeBytes;
                int errno = _table.PinsFile.TryReserve(offset, ChunkMap.PageBytes);
                if (errno != 0)
                {
                    // No exception from here: the calls above count themselves as running, and a get says TooManyPins.
                    Volatile.Write(ref _growthError, $"reserve {ChunkMap.PageBytes} bytes at {offset} of {_table.PinsFile.Path}: {OsException.Describe(errno)}");
                    return false;
                }
                Volatile.Write(ref _growthError, null);
            }
            Volatile.Write(ref _chunkTaken[chunk], 1);
            MakeFree(chunk);

            // PUBLISH chunk high: full fence, before the first slot of the chunk is filled; a scan that read the old mark ran after its condemn. OBSERVE in ParticipantTable.ChunkHigh.
            ParticipantTable.AtomicMax(ref _block->ChunkHigh, chunk + 1);
            Volatile.Write(ref _chunkHigh, chunk + 1);
            Use(thread, chunk);
            return true;
        }
    }

    private bool HasFreeSlot(int chunk)
    {
        for (int i = 0; i < SlotChunk.SlotCount; i++)
            if ((Volatile.Read(ref _sequence[chunk * SlotsPerChunkStride + i]) & FreeBit) != 0)
                return true;
        return false;
    }

    private void Use(ThreadSlots thread, int chunk)
    {
        SlotChunk* shared = ParticipantTable.Chunk(_block, chunk);
        thread.Counters = ParticipantTable.Counters(shared);
        thread.Chunk = chunk;
        Prefer(thread, 0);
    }
}
