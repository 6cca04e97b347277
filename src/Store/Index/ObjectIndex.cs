using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Index;

/// <summary>What an insertion came to.</summary>
internal enum InsertResult
{
    /// <summary>The entry is Creating; the id is ours.</summary>
    Committed,

    /// <summary>A committed entry of the id was seen.</summary>
    Exists,

    /// <summary>Somebody aborted us; take a new generation and try again.</summary>
    Lost,

    /// <summary>No place in either bucket or the stash.</summary>
    Full,
}

/// <summary>Two-choice buckets: the word of an id is in one of two 64-byte buckets of eight words, or in the stash, and never moves.</summary>
/// <remarks>Invariant I1: a word is removed before its entry becomes Free, so a word always names an entry of its own generation or one whose removal is under way. Proofs:
/// docs/concurrency.md, sections 2 and 3.</remarks>
internal sealed unsafe class ObjectIndex
{
    /// <summary>How often a tentative rival at a lower place is looked at before it is aborted; some microseconds.</summary>
    private const int RivalSpins = 64;

    private const int InsertRounds = 64;

    private readonly StoreMemory _memory;
    private readonly BucketTable _table;
    private readonly ulong* _stash;
    private readonly uint* _stashUsed;

    internal ObjectIndex(StoreMemory memory)
    {
        _memory = memory;
        _table = new BucketTable(memory);
        _stash = memory.Stash;
        _stashUsed = &memory.Header->StashUsed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong HashOf(in ObjectId id) => _table.HashOf(in id);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal CandidateWalk Walk(ulong hash) => new(this, hash);

    /// <summary>Whether a word may be in the stash.</summary>
    /// <remarks>OBSERVE stash: who looks after its own word was stored sees the mark of a rival's word there, or the rival sees its word.</remarks>
    internal bool StashInUse => Volatile.Read(ref *_stashUsed) != 0;

    /// <summary>Words that may belong to an id, one after the other: both buckets, then the stash if it was ever used.</summary>
    internal ref struct CandidateWalk
    {
        private readonly ObjectIndex _index;
        private readonly ulong _hash;
        private ulong* _at;
        private uint _matches;
        private int _stage;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal CandidateWalk(ObjectIndex index, ulong hash)
        {
            _index = index;
            _hash = hash;
            _at = index._table.First(hash);
            _matches = BucketTable.Match(_at, hash);
            _stage = 0;
        }

        /// <summary>Next word with the tag; <paramref name="place"/> is where it stands.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal bool Next(out IndexWord word, out ulong* place)
        {
            while (true) // Ends: two buckets of eight and a stash of fixed size.
            {
                while (_matches != 0)
                {
                    place = _at + BitOperations.TrailingZeroCount(_matches);
                    _matches &= _matches - 1;
                    word = new IndexWord(Volatile.Read(ref *place)); // OBSERVE word.
                    if (!word.IsEmpty && word.HasTagOf(_hash))
                        return true;
                }
                if (_stage == 0)
                {
                    _stage = 1;
                    _at = _index._table.Second(_hash);
                    _matches = BucketTable.Match(_at, _hash);
                    continue;
                }
                if (_stage == 1 && !_index.StashInUse)
                {
                    word = default;
                    place = null;
                    return false;
                }
                int stage = _stage; // A copy: the address of a field would keep the whole walk in memory instead of registers.
                place = _index.NextInStash(_hash, ref stage, out word);
                _stage = stage;
                return place is not null;
            }
        }
    }

    /// <summary>The next place of the stash whose word has the tag, or null; <paramref name="stage"/> - 1 is the place where to begin.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private ulong* NextInStash(ulong hash, ref int stage, out IndexWord word)
    {
        while (stage - 1 < StoreGeometry.StashCount)
        {
            ulong* place = _stash + (stage++ - 1);
            word = new IndexWord(Volatile.Read(ref *place));
            if (!word.IsEmpty && word.HasTagOf(hash))
                return place;
        }
        word = default;
        return null;
    }

    /// <summary>Whether an entry carries an id in a generation, for one who holds no pin on it: state, id, barrier, state again. False also when it is not in that generation.</summary>
    internal static bool CarriesId(ObjectEntry* entry, uint generation, in ObjectId id, out StateWord state)
    {
        state = new StateWord(Volatile.Read(ref entry->State));
        if (state.Generation != generation)
            return false;
        bool same = ObjectId.Same(in entry->Id, in id);
        Volatile.ReadBarrier(); // OBSERVE word: the id is read before State is read again; else it could be that of a later generation.
        state = new StateWord(Volatile.Read(ref entry->State));
        return same && state.Generation == generation;
    }

    /// <summary>How many words may belong to an id, at least; more than there are when some may be in the stash. Most misses, creates and deletes can stop here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal int CountCandidates(ulong hash) => StashInUse
        ? int.MaxValue
        : BitOperations.PopCount(BucketTable.Match(_table.First(hash), hash)) + BitOperations.PopCount(BucketTable.Match(_table.Second(hash), hash));

    /// <summary>A committed or tentative entry of an id, if there is one now.</summary>
    internal bool TryFindCommitted(in ObjectId id, ulong hash, out StateWord state, out uint entryIndex)
    {
        state = default;
        entryIndex = 0;
        if (CountCandidates(hash) == 0)
            return false;
        CandidateWalk walk = Walk(hash);
        while (walk.Next(out IndexWord word, out _))
        {
            if (!CarriesId(_memory.Entry(word.Entry), word.Generation, id, out StateWord seen) || !(seen.IsCommitted || seen.State == ObjectState.Tentative))
                continue;
            state = seen;
            entryIndex = word.Entry;
            if (seen.IsCommitted)
                return true; // A tentative one counts only if there is no committed one behind it.
        }
        return state.State == ObjectState.Tentative;
    }

    /// <summary>Makes a Tentative entry findable and commits it to Creating, unless a rival does so first.</summary>
    /// <param name="id">Already in the entry.</param>
    /// <param name="hash">Of the id.</param>
    /// <param name="own">Word of the entry.</param>
    /// <param name="rival">On Exists: the state of the committed entry.</param>
    internal InsertResult Insert(in ObjectId id, ulong hash, IndexWord own, out StateWord rival)
    {
        rival = default;
        ObjectEntry* entry = _memory.Entry(own.Entry);
        ulong tentative = Volatile.Read(ref entry->State);
        ulong* place = null;
        for (int round = 0; place is null; round++)
        {
            if (round == InsertRounds)
                return InsertResult.Full;
            if (TryPlace(hash, own, out place))
                break;

            // Both buckets are full. Perhaps with rivals for the same id: then there is no need for the stash, which every later miss would pay for.
            InsertResult crowd = ResolveRivals(id, hash, own, place: null, ref rival, out bool anyRival);
            if (crowd == InsertResult.Exists)
                return crowd;
            if (!anyRival && !TryPlaceInStash(own, out place))
                return InsertResult.Full;
        }

        // CRASH index-placed: Tentative with a word; recovery aborts it.
        FailPoint.Pass("index-placed");
        // One candidate is our own word.
        if (CountCandidates(hash) != 1 && ResolveRivals(id, hash, own, place, ref rival, out _) == InsertResult.Exists)
            return InsertResult.Exists;

        // PUBLISH commit: full fence; fails when a rival has aborted us. OBSERVE in ResolveRivals of others.
        ulong creating = new StateWord(tentative).With(ObjectState.Creating).Value;
        return Interlocked.CompareExchange(ref entry->State, creating, tentative) == tentative ? InsertResult.Committed : InsertResult.Lost;
    }

    /// <summary>Removes an entry's word wherever it stands. Safe at any time for a generation that is Aborted or Condemned: such a word is never stored again.</summary>
    internal void Remove(ulong hash, IndexWord own)
    {
        // It stands in one place, and never in another.
        if (TryRemoveFrom(_table.First(hash), hash, own) || TryRemoveFrom(_table.Second(hash), hash, own) || !StashInUse)
            return;
        for (int i = 0; i < StoreGeometry.StashCount; i++)
            if (Volatile.Read(ref _stash[i]) == own.Value)
                Interlocked.CompareExchange(ref _stash[i], 0, own.Value);
    }

    private static bool TryRemoveFrom(ulong* bucket, ulong hash, IndexWord own)
    {
        for (uint matches = BucketTable.Match(bucket, hash); matches != 0; matches &= matches - 1)
        {
            ulong* place = bucket + BitOperations.TrailingZeroCount(matches);
            if (Volatile.Read(ref *place) != own.Value)
                continue;
            Interlocked.CompareExchange(ref *place, 0, own.Value);
            return true;
        }
        return false;
    }

    private InsertResult ResolveRivals(in ObjectId id, ulong hash, IndexWord own, ulong* place, ref StateWord rival, out bool anyRival)
    {
        anyRival = false;
        CandidateWalk walk = Walk(hash);
        while (walk.Next(out IndexWord word, out ulong* rivalPlace))
        {
            if (word == own)
                continue;
            ObjectEntry* other = _memory.Entry(word.Entry);
            if (!CarriesId(other, word.Generation, id, out StateWord state))
                continue;
            for (int spin = 0; state.State == ObjectState.Tentative && state.Generation == word.Generation; spin++)
            {
                anyRival = true;

                // The lower place wins at once; the higher waits a little, then wins too: a stopped rival delays nobody for long. Bounded by RivalSpins.
                bool weAreLower = place is not null && place < rivalPlace;
                if (!weAreLower && spin < RivalSpins)
                    Thread.SpinWait(32);
                else
                    Interlocked.CompareExchange(ref other->State, state.With(ObjectState.Aborted).Value, state.Value);
                state = new StateWord(Volatile.Read(ref other->State)); // OBSERVE commit: ours or theirs came first.
            }
            if (state.Generation == word.Generation && state.IsCommitted)
            {
                rival = state;
                return InsertResult.Exists;
            }
        }
        return InsertResult.Committed;
    }

    private bool TryPlace(ulong hash, IndexWord own, out ulong* place)
    {
        ulong* first = _table.First(hash), second = _table.Second(hash);
        bool secondFirst = BitOperations.PopCount(BucketTable.Empty(second)) > BitOperations.PopCount(BucketTable.Empty(first)); // The emptier bucket keeps both from filling up.
        if (!secondFirst && TryStore(_table.Home(hash), own, out place))
            return true;
        return TryPlaceIn(secondFirst ? second : first, own, out place) || TryPlaceIn(secondFirst ? first : second, own, out place);
    }

    private bool TryPlaceInStash(IndexWord own, out ulong* place)
    {
        // PUBLISH stash: before the first word, and never taken back; else somebody could overlook the word. OBSERVE in StashInUse.
        Interlocked.Exchange(ref _memory.Header->StashUsed, 1);
        for (int i = 0; i < StoreGeometry.StashCount; i++)
            if (TryStore(_stash + i, own, out place))
                return true;
        place = null;
        return false;
    }

    private static bool TryPlaceIn(ulong* bucket, IndexWord own, out ulong* place)
    {
        for (uint empty = BucketTable.Empty(bucket); empty != 0; empty &= empty - 1)
            if (TryStore(bucket + BitOperations.TrailingZeroCount(empty), own, out place))
                return true;
        place = null;
        return false;
    }

    private static bool TryStore(ulong* at, IndexWord own, out ulong* place)
    {
        place = at;

        // PUBLISH word: full fence; id and sizes are in the entry. OBSERVE in Next, in CarriesId and in TryPin.
        return Volatile.Read(ref *at) == 0 && Interlocked.CompareExchange(ref *at, own.Value, 0) == 0;
    }
}
