using System.Numerics;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Participants;

namespace FastPlasma.Reclaim;

/// <summary>Which of some (entry, generation) nobody reads: a look at the slots takes out what pins name.</summary>
/// <remarks>An open hash table, so that a slot costs about the same however many owners are asked for: foreign readers may announce 229,376 pins each.</remarks>
internal readonly ref struct UnreadOwners : ISlotVisitor
{
    /// <summary>A place whose owner is read; no owner word looks like it, because there are fewer entries.</summary>
    private const ulong Taken = ulong.MaxValue;

    private readonly Span<ulong> _table;
    private readonly int _shift;

    /// <summary>A set of owner words; zeroes are none. <paramref name="table"/> is its memory, <see cref="TableLength"/> words, which are overwritten.</summary>
    internal UnreadOwners(ReadOnlySpan<ulong> owners, Span<ulong> table)
    {
        _table = table;
        _shift = 64 - BitOperations.Log2((uint)table.Length);
        table.Clear();
        foreach (ulong owner in owners)
            if (owner != 0)
                table[PlaceOf(owner)] = owner;
    }

    public static bool WantsNames => false;

    /// <summary>Words of memory for so many owners: a power of two, at most half full, so that every search meets an empty place.</summary>
    internal static int TableLength(int owners) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2 * owners, 16));

    /// <summary>Whether an owner is in the set and no pin of it was seen.</summary>
    internal bool Contains(ulong owner) => owner != 0 && _table[PlaceOf(owner)] == owner;

    public void Visit(in SlotOwner owner, SlotWord word, long since)
    {
        if (!word.Keeps)
            return;
        ref ulong place = ref _table[PlaceOf(BlockOwner.Of(word.Generation, word.Entry))];
        if (place != 0)
            place = Taken;
    }

    /// <summary>Anything may be read there: the set becomes empty.</summary>
    public void VisitUnreadable() => _table.Clear();

    /// <summary>The place of an owner, or the empty one where its search ends.</summary>
    private int PlaceOf(ulong owner)
    {
        int mask = _table.Length - 1;
        int place = (int)((owner * 0x9E3779B97F4A7C15) >> _shift);
        while (_table[place] != owner && _table[place] != 0) // Ends at an empty place.
            place = (place + 1) & mask;
        return place;
    }
}
