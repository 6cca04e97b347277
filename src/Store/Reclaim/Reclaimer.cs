using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma.Reclaim;

/// <summary>Frees condemned entries that nobody reads. Anyone may finish anybody's entry, several at once, and any number of times.</summary>
internal sealed unsafe class Reclaimer : IBlockOwners
{
    /// <summary>Announcements that one search collects.</summary>
    private const int AnnouncedMax = 64;

    /// <summary>Words of a table of owners that a stack has room for: 4 KiB.</summary>
    private const int TableOnStack = 512;

    private readonly StoreMemory _memory;
    private readonly ParticipantTable _participants;
    private readonly SlotScan _scan;
    private readonly ObjectIndex _index;
    private readonly WaitWords _waits;
    private Look? _lastLook;

    internal Reclaimer(StoreMemory memory, ParticipantTable participants, SlotScan scan, ObjectIndex index, WaitWords waits)
    {
        (_memory, _participants, _scan, _index, _waits) = (memory, participants, scan, index, waits);
        SpaceWord = memory.Wait(WaitWord.SpaceIndex);
    }

    /// <summary>Set once, before use: the allocator asks this object whose words are dead.</summary>
    internal BlockAllocator Allocator { get; set; } = null!;

    /// <summary>Where copies lie on disk; set once, before use, or null when this store has no such place.</summary>
    internal SpillSpace? Spill { get; set; }

    /// <summary>Where creators sleep that found no memory.</summary>
    internal ulong* SpaceWord { get; }

    /// <inheritdoc/>
    public bool IsDead(ulong blockWord)
    {
        uint entry = BlockOwner.EntryOf(blockWord);
        if (entry >= (uint)_memory.Geometry.ObjectCountMax)
            return true; // No entry of that number: nobody's.
        var state = new StateWord(Volatile.Read(ref _memory.Entries[entry].State));
        return state.Generation != BlockOwner.GenerationOf(blockWord) || state.State == ObjectState.Free;
    }

    /// <summary>Frees one entry that is Condemned in <paramref name="generation"/>, unless somebody reads it. Returns bytes freed; <paramref name="pinned"/> says why not.</summary>
    /// <remarks><paramref name="isUnpublished"/>: the caller knows that the index word is gone, for example because it has removed it.</remarks>
    internal long Finish(BlockCache? cache, uint entryIndex, uint generation, bool isUnpublished, out bool pinned)
    {
        // OBSERVE condemn: the caller has seen, or made, the state Condemned before this scan; pins that are validated later see it too.
        // When readers of other users make a look dear, the entry counts as pinned until FinishAll looks for many at once.
        pinned = _scan.IsCostly || _scan.IsPinned(generation, entryIndex);
        if (pinned)
            return 0;
        long freed = Free(cache, entryIndex, generation, isUnpublished);
        _waits.Wake(SpaceWord);
        return freed;
    }

    /// <summary>As <see cref="Finish"/> for any number of entries with one scan of all slots; those that are finished are set to 0.</summary>
    internal long FinishBatch(BlockCache? cache, Span<ulong> owners)
    {
        int length = UnreadOwners.TableLength(owners.Length);
        Span<ulong> table = length <= TableOnStack ? stackalloc ulong[length] : new ulong[length];
        var unread = new UnreadOwners(owners, table);

        // OBSERVE condemn: each entry was condemned, by whomever, before this fence; pins that are validated later see that.
        Interlocked.MemoryBarrier();
        _scan.Visit(ref unread);
        long freed = 0;
        bool any = false;
        foreach (ref ulong owner in owners)
        {
            if (!unread.Contains(owner))
                continue;
            any = true;
            freed += Free(cache, BlockOwner.EntryOf(owner), BlockOwner.GenerationOf(owner));
            owner = 0;
        }
        if (any)
            _waits.Wake(SpaceWord); // Also for objects without memory: a record is free.
        return freed;
    }

    /// <summary>Adds an entry that is still read to the own list, so that whoever is short of memory finds it; a full list asks for a walk of all entries instead.</summary>
    internal void Remember(uint entryIndex, uint generation)
    {
        if (!TryRemember(BlockOwner.Of(generation, entryIndex)))
            RequestWalk();
    }

    private bool TryRemember(ulong owner)
    {
        ulong* list = ParticipantTable.Condemned(_participants.Own);
        for (int i = 0; i < ParticipantBlock.CondemnedCount; i++)
            if (Volatile.Read(ref list[i]) == 0 && Interlocked.CompareExchange(ref list[i], owner, 0) == 0)
                return true;
        return false;
    }

    /// <summary>Asks for a walk over all entries: some condemned one is on no list.</summary>
    internal void RequestWalk() => Interlocked.Increment(ref _memory.Header->OrphansRequested);

    /// <summary>Finishes what anybody has condemned: from all lists, from announcements of deleters that stand still, and, when asked for, from a walk. Returns bytes freed.</summary>
    /// <remarks>One look at all slots for everything, because readers of other users decide how long it takes.</remarks>
    internal long FinishAll(BlockCache? cache)
    {
        List<ulong>? found = null; // Most often there is nothing.

        // Lists of the writers' participants (foreign ones condemn nothing).
        if (_participants.Domain == 0)
        {
            int high = _participants.High;
            for (int k = 0; k < high; k++)
            {
                ulong* list = ParticipantTable.Condemned(_participants.Block(k));
                for (int i = 0; i < ParticipantBlock.CondemnedCount; i++)
                {
                    ulong owner = Volatile.Read(ref list[i]);
                    if (owner == 0)
                        continue;
                    if (!IsCondemned(owner))
                        Interlocked.CompareExchange(ref list[i], 0, owner); // Finished by somebody: only now may the list forget it.
                    else
                        (found ??= []).Add(owner);
                }
            }
        }
        Span<ulong> announced = stackalloc ulong[AnnouncedMax];
        var condemnScan = new CondemnScan(announced);
        _scan.VisitOwn(ref condemnScan);
        for (int i = 0; i < condemnScan.Count; i++)
            if (IsCondemned(announced[i]))
                (found ??= []).Add(announced[i]);

        ulong requested = Volatile.Read(ref _memory.Header->OrphansRequested);
        bool walk = Volatile.Read(ref _memory.Header->OrphansDone) < requested;
        for (uint e = 0; walk && e < (uint)_memory.Geometry.ObjectCountMax; e++)
        {
            var state = new StateWord(Volatile.Read(ref _memory.Entries[e].State));
            if (state.State == ObjectState.Condemned)
                (found ??= []).Add(BlockOwner.Of(state.Generation, e));
        }
        long freed = found is null ? 0 : FinishFound(cache, CollectionsMarshal.AsSpan(found));
        if (walk)
        {
            RememberRead(found ?? []);
            RaiseDone(requested); // What was asked for meanwhile has a higher number and stays open.
        }
        return freed;
    }

    /// <summary>As <see cref="FinishBatch"/>. When readers of other users make a look dear, entries that one has found read are not looked for again before the clock has moved: a store full of such entries would look at every create.</summary>
    private long FinishFound(BlockCache? cache, Span<ulong> owners)
    {
        uint now = CoarseClock.Tick;
        if (_scan.IsCostly && Volatile.Read(ref _lastLook) is { } last && last.Tick == now && last.StillRead.IsSupersetOf(owners.ToArray()))
            return 0;
        long freed = FinishBatch(cache, owners);
        Volatile.Write(ref _lastLook, _scan.IsCostly ? new Look(now, [.. owners]) : null);
        return freed;
    }

    /// <summary>What a walk has found and could not finish goes to the own list, unless it is there; what has no room needs another walk.</summary>
    /// <remarks>Other lists do not count: who drops one may have asked for the very walk that this is, and clear the list when it is over.</remarks>
    private void RememberRead(List<ulong> found)
    {
        HashSet<ulong> listed = [.. new ReadOnlySpan<ulong>(ParticipantTable.Condemned(_participants.Own), ParticipantBlock.CondemnedCount)];
        foreach (ulong owner in found)
        {
            if (owner == 0 || listed.Contains(owner) || TryRemember(owner))
                continue;
            RequestWalk();
            return;
        }
    }

    /// <summary>An entry's own end: block words, words on disk, then Free. The index word is gone or goes first.</summary>
    internal long Free(BlockCache? cache, uint entryIndex, uint generation, bool isUnpublished = false)
    {
        ObjectEntry* entry = _memory.Entry(entryIndex);
        BlockPlace place = entry->Block;
        var spill = new SpillPlace(Volatile.Read(ref entry->SpillPlace));
        long imageBytes = spill.IsPlace ? ObjectEntry.BytesNeeded(entry->PayloadBytes, entry->TailBytes) : 0;
        ulong hash = isUnpublished ? 0 : _index.HashOf(in entry->Id);
        Volatile.ReadBarrier(); // OBSERVE: place and id are read before State; in another generation they are another object's.
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (state.Generation != generation || state.State is not (ObjectState.Condemned or ObjectState.Aborted))
            return 0;
        if (!isUnpublished)
            _index.Remove(hash, new IndexWord(hash, generation, entryIndex));

        // CRASH entry-unpublished, entry-blocks-freed, entry-copy-freed: the state still says Condemned or Aborted; whoever finishes next repeats this.
        FailPoint.Pass("entry-unpublished");
        long freed = _memory.Chunks.Contains(place) ? Allocator.Free(cache, place, BlockOwner.Of(generation, entryIndex)) : 0;
        FailPoint.Pass("entry-blocks-freed");
        if (spill.IsPlace && Spill is not null)
        {
            // As for the memory words: (e,g) never comes back, so a late repetition finds none of them.
            Spill.Free(spill, imageBytes, BlockOwner.Of(generation, entryIndex));
            FailPoint.Pass("entry-copy-freed");
        }

        // PUBLISH free entry: full fence; index word and block words are gone (E2). OBSERVE in the next TakeEntry.
        Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Free).Value & ~(StateWord.ParticipantMask | StateWord.MovableFlag | 0xFUL), state.Value);
        return freed;
    }

    private bool IsCondemned(ulong owner)
    {
        uint entry = BlockOwner.EntryOf(owner);
        if (entry >= (uint)_memory.Geometry.ObjectCountMax)
            return false;
        var state = new StateWord(Volatile.Read(ref _memory.Entries[entry].State));
        return state.Generation == BlockOwner.GenerationOf(owner) && state.State == ObjectState.Condemned;
    }

    private void RaiseDone(ulong value)
    {
        for (ulong old = Volatile.Read(ref _memory.Header->OrphansDone); value > old; old = Volatile.Read(ref _memory.Header->OrphansDone)) // Ends: it only rises.
            if (Interlocked.CompareExchange(ref _memory.Header->OrphansDone, value, old) == old)
                return;
    }

    /// <summary>What a look has found to be read, and when: the tick of the coarse clock at its beginning.</summary>
    private sealed record Look(uint Tick, HashSet<ulong> StillRead);

    /// <summary>Collects announcements of deleters and evictors.</summary>
    private ref struct CondemnScan(Span<ulong> found) : ISlotVisitor
    {
        private readonly Span<ulong> _found = found;

        internal int Count { get; private set; }

        public static bool WantsNames => false;

        public void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            if (word.Kind == SlotKind.Condemn && Count < _found.Length)
                _found[Count++] = BlockOwner.Of(word.Generation, word.Entry);
        }

        public readonly void VisitUnreadable()
        {
            // Only the own domain is visited.
        }
    }
}
