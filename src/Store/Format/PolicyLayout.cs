using System.Runtime.InteropServices;

namespace FastPlasma.Format;

/// <summary>Words by which creators find room: where searches for victims stand, who waits for space, which entries are candidates and which of them were read.</summary>
/// <remarks><code>
/// off         bytes  field
///   0          1024  Hands       next entry to look at, for each size class, for large blocks and for any; hints
/// 1024         4096  Waiters     64 creators that wait for space (SpaceWaiter)
/// 5120   entries/8   Candidates  a bit for each entry, in words of 64 and whole lines: it may be one that a search for victims looks for
///        entries/8   Visited     a bit for each entry: it was read since a search passed it
/// </code></remarks>
internal static class PolicyLayout
{
    internal const int HandCount = 128, AnyHand = 127, LargeHand = 126, QuotaHand = 125, WaiterCount = 64, WaitersOffset = HandCount * sizeof(long), MapsOffset = WaitersOffset + WaiterCount * SpaceWaiter.SizeBytes;
    internal const byte CheckClassesFit = Allocator.SizeClasses.Count <= QuotaHand ? 0 : -1;

    /// <summary>Words of one of the two maps, in whole lines.</summary>
    internal static long WordCount(int objectCountMax) => (objectCountMax + 511L) / 512 * 8;

    internal static long SizeBytes(int objectCountMax) => MapsOffset + 2 * WordCount(objectCountMax) * sizeof(ulong);
}

/// <summary>One creator that waits for space.</summary>
/// <remarks><code>
/// off bytes field    written by
///   0    8  Word     compare-exchange 0 → ticket 52 | participant 12 → 0; a recoverer of the participant under its token
///   8    8  Bytes    its owner, after Word: memory wanted, to show
///  16    8  Since    its owner, after Word: coarse UTC ticks, to show
///  24   40  reserved, 0
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SpaceWaiter
{
    internal const int SizeBytes = 64, TicketShift = 12;
    internal const ulong ParticipantMask = (1UL << TicketShift) - 1;
    [FieldOffset(0)] internal ulong Word;
    [FieldOffset(8)] internal long Bytes;
    [FieldOffset(16)] internal long Since;

    internal static ulong Pack(ulong ticket, int participant) => (ticket << TicketShift) | (uint)participant;

    internal static int ParticipantOf(ulong word) => (int)(word & ParticipantMask);
}
