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
    private readonly ulong* _buckets;
    private readonly ulong* _stash;
    private readonly uint* _stashUsed;
    private readonly ulong _seed;
    private readonly uint _mask;

    internal ObjectIndex(StoreMemory memory)
    {
        _memory = memory;
        _buckets = memory.Buckets;
        _stash = memory.Stash;
        _stashUsed = &memory.Header->StashUsed;
        _seed = memory.HashSeed;
        _mask = (uint)memory.Geometry.BucketCount - 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong HashOf(in ObjectId id) => id.Hash(_seed);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal CandidateWalk Walk(ulong hash) => new(this, hash);

    /// <summary>Whether a word may be in the stash.</summary>
    /// <remarks>OBSERVE stash: who looks after its own word was stored sees the mark of a rival's word there, or the rival sees its word.</remarks>
    internal bool StashInUse => Volatile.Read(ref *_stashUsed) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* First(ulong hash) => _buckets + (long)FirstBucket(hash) * StoreGeometry.WordsPerBucket;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* Second(ulong hash) => _buckets + (long)SecondBucket(hash) * StoreGeometry.WordsPerBucket;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint FirstBucket(ulong hash) => (uint)hash & _mask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint SecondBucket(ulong hash)
    {
        uint first = FirstBucket(hash), second = (uint)(hash >> 32) & _mask;
        return second == first ? second ^ 1 : second;
    }

    /// <summary>Places of a bucket whose word has the hash's tag, as a bit mask. Each lane is read at once, so a word is either the old or the new one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Match(ulong* bucket, ulong hash) => Equal(bucket, 0xFFUL << IndexWord.TagShift, hash & (0xFFUL << IndexWord.TagShift));

    /// <summary>Places of a bucket that hold no word.</summary>
    private static uint Empty(ulong* bucket) => Equal(bucket, ulong.MaxValue, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Equal(ulong* bucket, ulong mask, ulong value)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<ulong> masks = Vector256.Create(mask), values = Vector256.Create(value);
            uint low = Vector256.Equals(Vector256.Load(bucket) & masks, values).ExtractMostSignificantBits();
            uint high = Vector256.Equals(Vector256.Load(bucket + 4) & masks, values).ExtractMostSignificantBits();
            return low | (high << 4);
        }
        uint equal = 0;
        for (int i = 0; i < StoreGeometry.WordsPerBucket; i++)
            if ((Volatile.Read(ref bucket[i]) & mask) == value)
                equal |= 1u << i;
        return equal;
    }

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
            _at = index.First(hash);
            _matches = Match(_at, hash);
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
                    _at = _index.Second(_hash);
                    _matches = Match(_at, _hash);
                    continue;
                }
                return NextInStash(out word, out place);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private bool NextInStash(out IndexWord word, out ulong* place)
        {
            // _stage - 1 is the next place of the stash.
            if (_stage > 1 || _index.StashInUse)
            {
                while (_stage - 1 < StoreGeometry.StashCount)
                {
                    place = _index._stash + (_stage++ - 1);
                    word = new IndexWord(Volatile.Read(ref *place));
                    if (!word.IsEmpty && word.HasTagOf(_hash))
                        return true;
                }
            }
            word = default;
            place = null;
            return false;
        }
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

    /// <summary>A committed or tentative entry of an id, if there is one now.</summary>
    internal bool TryFindCommitted(in ObjectId id, ulong hash, out StateWord state, out uint entryIndex)
    {
        state = default;
        entryIndex = 0;
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
        InsertResult result = ResolveRivals(id, hash, own, place, ref rival, out _);
        if (result == InsertResult.Exists)
            return result;

        // PUBLISH commit: full fence; fails when a rival has aborted us. OBSERVE in ResolveRivals of others.
        ulong creating = new StateWord(tentative).With(ObjectState.Creating).Value;
        return Interlocked.CompareExchange(ref entry->State, creating, tentative) == tentative ? InsertResult.Committed : InsertResult.Lost;
    }

    /// <summary>Removes an entry's word wherever it stands. Safe at any time for a generation that is Aborted or Condemned: such a word is never stored again.</summary>
    internal void Remove(ulong hash, IndexWord own)
    {
        CandidateWalk walk = Walk(hash);
        while (walk.Next(out IndexWord word, out ulong* place))
            if (word == own)
                Interlocked.CompareExchange(ref *place, 0, own.Value);
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
        ulong* first = First(hash), second = Second(hash);
        bool secondFirst = BitOperations.PopCount(Empty(second)) > BitOperations.PopCount(Empty(first)); // The emptier bucket keeps both from filling up.
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
        for (uint empty = Empty(bucket); empty != 0; empty &= empty - 1)
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
