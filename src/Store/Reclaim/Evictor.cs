using System.Numerics;
using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Participants;
using FastPlasma.Spill;

namespace FastPlasma.Reclaim;

/// <summary>Chooses objects that nobody reads, to be evicted or moved, as SIEVE does: a hand goes round the candidates from the oldest to the newest, passes those that were read since it came by the last time, and takes the others.</summary>
/// <remarks>There is a hand for each size class, one for large blocks, one for whoever wants bytes wherever they lie. docs/eviction.md compares the choice with LRU, FIFO and SIEVE itself.</remarks>
internal sealed unsafe class Evictor
{
    /// <summary>Victims for slab blocks that one choice takes, so that the next puts find room too: they share a look at the slots.</summary>
    private const int SlabBatchCount = 32;

    /// <summary>Bytes that such a batch is worth at most, but for its first.</summary>
    private const long SlabBatchBytes = 64 << 10;

    /// <summary>Objects of another hand, and of its own that are too small or too large, that a search for a block passes before it makes room of what it has passed.</summary>
    private const int StrangersMax = 512, NearMax = 64;

    /// <summary>Places that are tried for a block that no single object holds.</summary>
    private const int SeedsMax = 8;

    /// <summary>One of so many that were not read is passed all the same, the first time. In a loop over more than there is room for, what stays by this luck is read and stays for good, where plain SIEVE, like LRU, always drops what comes next;
    /// elsewhere it costs less than a hit in a hundred.</summary>
    private const uint SparedShare = 16;

    private readonly StoreMemory _memory;
    private readonly SlotScan _scan;

    private uint _unread;

    internal Evictor(StoreMemory memory, ParticipantTable participants, SlotScan scan)
    {
        (_memory, _scan) = (memory, scan);
        Map = new VictimMap(memory, participants, scan);
    }

    /// <summary>One object that may go, and the memory that its block takes.</summary>
    internal readonly record struct Victim(uint Entry, uint Generation, long Bytes);

    /// <summary>Whether an object may be chosen. <paramref name="entry"/> is shared memory: what it says may change, and whoever condemns or moves it finds that out.</summary>
    internal delegate bool MayGo(StateWord state, in ObjectEntry entry);

    /// <summary>What eviction chooses from.</summary>
    internal static readonly MayGo Evictable = static (StateWord state, in ObjectEntry _) => state.IsEvictable;

    /// <summary>What can be moved to disk, and nobody is writing a copy of: that may be stuck.</summary>
    internal static readonly MayGo Movable = static (StateWord state, in ObjectEntry entry) => state.IsMovable && !new SpillPlace(entry.SpillPlace).IsClaim;

    /// <summary>What can make room in one way or the other.</summary>
    internal static readonly MayGo EvictableOrMovable = static (StateWord state, in ObjectEntry entry) => state.IsCandidate && !new SpillPlace(entry.SpillPlace).IsClaim;

    internal VictimMap Map { get; }

    private bool AnyCandidate => Volatile.Read(ref _memory.Header->EvictableUsed) != 0; // Set before the first such object; a full store of objects to keep says so at once.

    /// <summary>Victims worth <paramref name="bytes"/>, wherever they lie; as many as there are when all together are less.</summary>
    /// <param name="bytes">Memory wanted.</param>
    /// <param name="mayGo">Which objects.</param>
    /// <param name="hand">A hand of <see cref="PolicyLayout"/>.</param>
    /// <param name="countMax">Most victims.</param>
    internal List<Victim> Choose(long bytes, MayGo mayGo, int hand = PolicyLayout.AnyHand, int countMax = int.MaxValue) =>
        Walk(hand, (in Seen seen) => seen.Bytes > 0 && mayGo(seen.State, in *seen.Entry) ? Fit.Yes : Fit.No, bytes, countMax, [], []);

    /// <summary>One object to take the record of; it may have no memory.</summary>
    internal List<Victim> ChooseRecord() => Walk(PolicyLayout.AnyHand, static (in Seen seen) => seen.State.IsEvictable ? Fit.Yes : Fit.No, long.MaxValue, 1, [], []);

    /// <summary>Victims after which a block of <paramref name="blockBytes"/> can be had; none when that cannot be, or, unless <paramref name="everywhere"/>, when it would take a look at the whole store.</summary>
    /// <param name="blockBytes">Memory of the block.</param>
    /// <param name="inSlab">Whether it is a block of a size class.</param>
    /// <param name="countUnbacked">Whether memory that the system has not given yet can be had.</param>
    /// <param name="mayGo">Which objects.</param>
    /// <param name="everywhere">Look at all memory when the cheap way finds nothing.</param>
    internal List<Victim> ChooseForBlock(long blockBytes, bool inSlab, bool countUnbacked, MayGo mayGo, bool everywhere)
    {
        if (!AnyCandidate)
            return [];
        List<Victim> near = [], strangers = [];
        int hand = inSlab ? SizeClasses.ClassOf(blockBytes) : PolicyLayout.LargeHand;
        List<Victim> found = Walk(
            hand,
            (in Seen seen) =>
            {
                if (seen.Bytes == 0 || !mayGo(seen.State, in *seen.Entry))
                    return Fit.No;
                bool isLarge = seen.Entry->Block.IsLarge;
                if (inSlab == isLarge)
                    return Fit.Stranger;
                // Up to twice as large: a larger block for so small an object would be waste for as long as it lives.
                return seen.Bytes >= blockBytes && seen.Bytes <= 2 * blockBytes ? Fit.Yes : inSlab ? Fit.Stranger : Fit.Near;
            },
            inSlab ? Math.Max(blockBytes, SlabBatchBytes) : blockBytes, inSlab ? SlabBatchCount : 1, near, strangers);
        if (found.Count > 0)
            return found;
        var window = new EvictionWindow(_memory, Map, mayGo, blockBytes, wholeChunk: inSlab, countUnbacked);
        foreach (List<Victim> victims in window.Around(near).Concat(window.Around(strangers)))
        {
            if (!AllUnread(victims))
                continue;
            int next = near.FindIndex(seed => !victims.Contains(seed));
            if (next >= 0)
                Map.Set(hand, near[next].Entry); // Those that stay are the next one's.
            return victims;
        }
        return everywhere ? window.Anywhere(PinnedOwners()) : [];
    }

    /// <summary>What a search thinks of an object.</summary>
    private enum Fit
    {
        /// <summary>Not meant, and left as it is.</summary>
        No,

        /// <summary>Would do.</summary>
        Yes,

        /// <summary>The hand passes it, and room may be made around it.</summary>
        Near,

        /// <summary>Another hand's; room may be made around it.</summary>
        Stranger,
    }

    /// <summary>One candidate that a search has come to.</summary>
    private readonly ref struct Seen(StateWord state, ObjectEntry* entry, long bytes)
    {
        internal StateWord State { get; } = state;

        internal ObjectEntry* Entry { get; } = entry;

        internal long Bytes { get; } = bytes;
    }

    private delegate Fit Judge(in Seen seen);

    /// <summary>Goes on from a hand until the victims are worth <paramref name="bytes"/>, or their number is <paramref name="countMax"/>, at most twice round, and the rest of the word where it began: the first time may have found all of them read.</summary>
    private List<Victim> Walk(int hand, Judge judge, long bytes, int countMax, List<Victim> near, List<Victim> strangers)
    {
        var found = new List<Victim>();
        if (!AnyCandidate || bytes <= 0)
            return found;
        Map.Gather();
        long bitsLeft = 2 * Map.BitCount + 64, worth = 0;
        int nearPassed = 0, strangersPassed = 0;
        while (true) // Ends with the bits, or with what is wanted.
        {
            int known = found.Count;
            long hoped = worth;
            while (hoped < bytes && found.Count < countMax && nearPassed < NearMax && strangersPassed < StrangersMax)
            {
                ulong word = Map.Next(hand, ref bitsLeft, out uint first, out long end);
                if (word == 0)
                    break;
                for (; word != 0 && hoped < bytes && found.Count < countMax; word &= word - 1)
                {
                    uint e = first + (uint)BitOperations.TrailingZeroCount(word);
                    Fit fit = Look(e, judge, out Victim victim);
                    if (fit == Fit.Near && ++nearPassed > 0 && !Map.TakeVisited(e) && near.Count < SeedsMax)
                        near.Add(victim);
                    else if (fit == Fit.Stranger && ++strangersPassed > 0 && strangers.Count < SeedsMax && !Map.IsVisited(e))
                        strangers.Add(victim);
                    if (fit != Fit.Yes || Map.TakeVisited(e) || (bitsLeft > Map.BitCount + 64 && ++_unread % SparedShare == 0)) // The counter may lose counts between threads.
                        continue;
                    found.Add(victim);
                    hoped += Math.Max(victim.Bytes, 1);
                }
                if (word != 0)
                    Map.PutBack(hand, end, first + (uint)BitOperations.TrailingZeroCount(word)); // What was not looked at is the next one's.
            }
            RemoveRead(found, known);
            foreach (Victim victim in CollectionsMarshal.AsSpan(found)[known..])
                worth += Math.Max(victim.Bytes, 1);
            if (worth >= bytes || found.Count >= countMax || bitsLeft <= 0 || nearPassed >= NearMax || strangersPassed >= StrangersMax)
                return found;
        }
    }

    private Fit Look(uint e, Judge judge, out Victim victim)
    {
        victim = default;
        if (e >= (uint)_memory.Geometry.ObjectCountMax)
            return Fit.No; // Bits behind the last entry are never set, unless somebody damaged them.
        ObjectEntry* entry = _memory.Entries + e;
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (state.State == ObjectState.Free || !state.IsCandidate)
        {
            Map.Forget(e);
            return Fit.No;
        }
        if (state.State != ObjectState.Sealed)
            return Fit.No;

        // Torn when it changes meanwhile; whoever condemns it checks the generation, so that only makes the choice worse.
        victim = new Victim(e, state.Generation, BlockAllocator.BlockBytesAt(_memory.Chunks, entry->Block));
        return judge(new Seen(state, entry, victim.Bytes));
    }

    /// <summary>Takes those from <paramref name="start"/> on out of a list that anybody pins, or all of them when that cannot be known.</summary>
    private void RemoveRead(List<Victim> candidates, int start)
    {
        int count = candidates.Count - start;
        if (count == 0)
            return;
        ulong[] owners = new ulong[count];
        for (int i = 0; i < count; i++)
            owners[i] = BlockOwner.Of(candidates[start + i].Generation, candidates[start + i].Entry);
        var unread = new UnreadOwners(owners, new ulong[UnreadOwners.TableLength(count)]);
        _scan.Visit(ref unread);
        int kept = start;
        for (int i = 0; i < count; i++)
            if (unread.Contains(owners[i]))
                candidates[kept++] = candidates[start + i];
        candidates.RemoveRange(kept, candidates.Count - kept);
    }

    private bool AllUnread(List<Victim> victims)
    {
        int count = victims.Count;
        RemoveRead(victims, 0);
        return victims.Count == count;
    }

    private HashSet<ulong>? PinnedOwners()
    {
        var scan = new PinnedScan([]);
        _scan.Visit(ref scan);
        return scan.Unreadable ? null : scan.Owners;
    }

    /// <summary>Whether an announcement names an entry in its present generation.</summary>
    internal static bool IsPresent(StoreMemory memory, SlotWord word) =>
        word.Entry < (uint)memory.Geometry.ObjectCountMax && new StateWord(Volatile.Read(ref memory.Entries[word.Entry].State)).Generation == word.Generation;

    /// <summary>Collects what is pinned.</summary>
    private struct PinnedScan(HashSet<ulong> owners) : ISlotVisitor
    {
        internal HashSet<ulong> Owners { get; } = owners;

        internal bool Unreadable { get; private set; }

        public static bool WantsNames => false;

        public readonly void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            if (word.Keeps)
                Owners.Add(BlockOwner.Of(word.Generation, word.Entry));
        }

        public void VisitUnreadable() => Unreadable = true;
    }
}
