using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma.Reclaim;

/// <summary>What is known of the objects that may have to go: which records hold one, which of them were read lately, and where the searches stand.</summary>
/// <remarks>
/// Records are handed out in ascending order around the table, so that their order is the order of age: the table is the queue of SIEVE (Zhang et al., NSDI 2024), a hand in it the place of a search. A get leaves a bit in its own
/// block; who looks for victims gathers the bits of all blocks into the map Visited first. A candidate bit that is set for nothing costs a look; one that is missing would keep an object for ever, so it is taken away with care (<see cref="Forget"/>).
/// </remarks>
internal sealed unsafe class VictimMap
{
    private readonly StoreMemory _memory;
    private readonly ParticipantTable _participants;
    private readonly SlotScan _scan;
    private readonly ulong* _candidates;
    private readonly ulong* _visited;
    private readonly long* _hands;
    private readonly int _words;
    private uint _foreignTick;

    internal VictimMap(StoreMemory memory, ParticipantTable participants, SlotScan scan)
    {
        (_memory, _participants, _scan) = (memory, participants, scan);
        _words = (int)PolicyLayout.WordCount(memory.Geometry.ObjectCountMax);
        _hands = (long*)memory.Policy;
        _candidates = (ulong*)(memory.Policy + PolicyLayout.MapsOffset);
        _visited = _candidates + _words;
    }

    /// <summary>Bits of a map.</summary>
    internal long BitCount => _words * 64L;

    /// <summary>Where a get of a candidate leaves its hint. Lossy: threads of one process may write over each other's, and entries share a bit in a store of more than 262,144.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Hint(ulong* hints, uint entry)
    {
        ulong* word = hints + (entry / 64 & (ParticipantBlock.HintCount - 1));
        ulong bit = 1UL << (int)(entry & 63), old = Volatile.Read(ref *word);
        if ((old & bit) == 0) // Readers of one hot object write nothing in most gets.
            Volatile.Write(ref *word, old | bit);
    }

    /// <summary>Makes an entry findable that is about to be sealed, and forgets what was read of its last generation.</summary>
    internal void Add(uint entry)
    {
        ulong* word = _candidates + entry / 64;
        ulong bit = 1UL << (int)(entry & 63);
        // PUBLISH candidate: after the entry was taken (full fence) with its flags, before it is sealed. OBSERVE in Forget.
        if ((Volatile.Read(ref *word) & bit) == 0)
            Interlocked.Or(ref *word, bit);
        ulong* visited = _visited + entry / 64;
        if ((Volatile.Read(ref *visited) & bit) != 0)
            Interlocked.And(ref *visited, ~bit);
    }

    /// <summary>Takes back the bit of an entry that was seen to hold no candidate, unless it has become one meanwhile.</summary>
    internal void Forget(uint entry)
    {
        ulong* word = _candidates + entry / 64;
        ulong bit = 1UL << (int)(entry & 63);
        Interlocked.And(ref *word, ~bit);
        // CRASH candidate-forgotten: a candidate taken at this moment has lost its bit; Rebuild finds it.
        FailPoint.Pass("candidate-forgotten");
        // OBSERVE candidate: whoever has taken the entry either sets the bit after this exchange or is seen here.
        var state = new StateWord(Volatile.Read(ref _memory.Entries[entry].State));
        if (state.State != ObjectState.Free && state.IsCandidate)
            Interlocked.Or(ref *word, bit);
    }

    /// <summary>Whether an entry was read since a search has passed it.</summary>
    internal bool IsVisited(uint entry) => (Volatile.Read(ref _visited[entry / 64]) >> (int)(entry & 63) & 1) != 0;

    /// <summary>As <see cref="IsVisited"/>, and it is passed now.</summary>
    internal bool TakeVisited(uint entry)
    {
        if (!IsVisited(entry))
            return false;
        Interlocked.And(ref _visited[entry / 64], ~(1UL << (int)(entry & 63)));
        return true;
    }

    /// <summary>The next word of candidates from a hand on, which is moved behind it, so that searches at the same time look at different ones; 0 when there is none within <paramref name="bitsLeft"/>.</summary>
    /// <param name="hand">Number of the hand.</param>
    /// <param name="bitsLeft">How far to look; reduced by what was passed.</param>
    /// <param name="first">Entry of the word's lowest bit.</param>
    /// <param name="end">Where the hand stands now.</param>
    internal ulong Next(int hand, ref long bitsLeft, out uint first, out long end)
    {
        while (bitsLeft > 0) // Ends: each round passes a word, or another search has moved the hand.
        {
            long at = Volatile.Read(ref _hands[hand]), bits = BitCount;
            long from = (long)((ulong)at % (ulong)bits);
            int start = (int)(from / 64), word = start;
            ulong found = Volatile.Read(ref _candidates[word]) & (ulong.MaxValue << (int)(from & 63));
            if (found == 0)
            {
                int left = (int)Math.Min(_words - word - 1, bitsLeft / 64);
                int empty = new ReadOnlySpan<ulong>(_candidates + word + 1, left).IndexOfAnyExcept(0UL);
                word += empty < 0 ? left : empty + 1;
                if (empty >= 0)
                    found = Volatile.Read(ref _candidates[word]);
            }
            end = (word + 1L) * 64 % bits;
            bitsLeft -= (word - start + 1L) * 64;
            if (Interlocked.CompareExchange(ref _hands[hand], end, at) != at || found == 0)
                continue;
            first = (uint)word * 64;
            return found;
        }
        first = 0;
        end = 0;
        return 0;
    }

    /// <summary>Puts a hand that stands at <paramref name="end"/> back to an entry behind which nothing was looked at.</summary>
    internal void PutBack(int hand, long end, uint next) => Interlocked.CompareExchange(ref _hands[hand], next, end);

    /// <summary>Moves a hand to an entry.</summary>
    internal void Set(int hand, uint next) => Volatile.Write(ref _hands[hand], next);

    /// <summary>Gathers what all participants have read since the last time.</summary>
    internal void Gather()
    {
        int hintWords = Math.Min(_words, ParticipantBlock.HintCount);
        int high = _participants.High;
        for (int k = 0; k < high; k++)
        {
            if (Volatile.Read(ref _participants.Block(k)->Attached) == 0)
                continue;
            ulong* hints = ParticipantTable.Hints(_participants.Block(k));
            var span = new ReadOnlySpan<ulong>(hints, hintWords);
            for (int i = 0; (i = Skip(span, i)) < hintWords; i++)
                Merge(i, Interlocked.Exchange(ref hints[i], 0));
        }

        // Files of other users can only be read: they clear their bits themselves, once a second, and are not read more than ten times as often.
        uint tick = CoarseClock.Tick;
        if (!_scan.HasForeignDomains || Volatile.Read(ref _foreignTick) == tick)
            return;
        Volatile.Write(ref _foreignTick, tick);
        ulong* buffer = stackalloc ulong[ParticipantBlock.HintCount];
        Span<byte> head = stackalloc byte[128];
        for (int d = 1; d < _scan.DomainCount; d++)
        {
            if (_scan.ForeignPins(d) is not { } pins || pins.ReadAt(0, head) < head.Length)
                continue;
            int readers = Math.Clamp(MemoryMarshal.Read<int>(head[64..]), 0, StoreGeometry.ReaderParticipantCountMax);
            for (int k = 0; k < readers; k++)
            {
                long at = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes;
                if (pins.ReadAt(at, head) < head.Length || MemoryMarshal.Read<int>(head) == 0)
                    continue;
                int read = pins.ReadAt(at + ParticipantBlock.HintsOffset, new Span<byte>(buffer, hintWords * sizeof(ulong))) / sizeof(ulong);
                var span = new ReadOnlySpan<ulong>(buffer, read);
                for (int i = 0; (i = Skip(span, i)) < read; i++)
                    Merge(i, buffer[i]);
            }
        }

        static int Skip(ReadOnlySpan<ulong> span, int from)
        {
            int next = span[from..].IndexOfAnyExcept(0UL);
            return next < 0 ? span.Length : from + next;
        }
    }

    private void Merge(int word, ulong bits)
    {
        for (; word < _words; word += ParticipantBlock.HintCount) // More than one only in a store of more entries than there are bits.
        {
            ulong news = bits & ~Volatile.Read(ref _visited[word]);
            if (news != 0)
                Interlocked.Or(ref _visited[word], news);
        }
    }

    /// <summary>A reader of another user clears its own bits: nobody else can.</summary>
    internal static void ClearHints(ParticipantBlock* own)
    {
        ulong* hints = ParticipantTable.Hints(own);
        for (int i = 0; i < ParticipantBlock.HintCount; i++)
            if (hints[i] != 0)
                Volatile.Write(ref hints[i], 0);
    }

    /// <summary>Sets the bits of all candidates again: the last effort of a creator that finds no victim, because a death may have lost one.</summary>
    internal void Rebuild()
    {
        for (uint e = 0; e < (uint)_memory.Geometry.ObjectCountMax; e++)
        {
            var state = new StateWord(Volatile.Read(ref _memory.Entries[e].State));
            ulong* word = _candidates + e / 64;
            ulong bit = 1UL << (int)(e & 63);
            if (state.State != ObjectState.Free && state.IsCandidate && (Volatile.Read(ref *word) & bit) == 0)
                Interlocked.Or(ref *word, bit);
        }
    }
}
