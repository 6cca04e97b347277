namespace FastPlasma.Spill;

/// <summary>Value of an entry's SpillPlace word: whether a copy of the object is on disk, and where.</summary>
/// <remarks><code>
///  63             8 7       4 3   2 1   0
/// | offset / 4096   | directory | 0 | kind |    0 = no copy. kind: 1 claim, 2 place
/// | participant     |     0     | 0 |  1   |
/// </code>A claim says that a participant is writing the copy; only it, or who holds its token after its death, takes the claim away. The offset is that of the record in the directory's spill file. Every change is one compare-exchange.</remarks>
internal readonly record struct SpillPlace(ulong Value)
{
    internal const int DirectoryShift = 4, DirectoryBits = 4, OffsetShift = 8, DirectoryCountMax = 1 << DirectoryBits;
    private const ulong KindMask = 3, ClaimKind = 1, PlaceKind = 2;

    internal SpillPlace(int directory, long offset)
        : this(((ulong)offset / SpillRecord.AlignmentBytes << OffsetShift) | ((ulong)(uint)directory << DirectoryShift) | PlaceKind)
    {
    }

    /// <summary>There is no copy, and nobody is making one.</summary>
    internal static SpillPlace None => default;

    internal bool IsNone => Value == 0;

    internal bool IsClaim => (Value & KindMask) == ClaimKind;

    internal bool IsPlace => (Value & KindMask) == PlaceKind;

    /// <summary>Of a claim.</summary>
    internal int Participant => (int)(Value >> OffsetShift);

    internal int Directory => (int)(Value >> DirectoryShift) & (DirectoryCountMax - 1);

    /// <summary>Where the record begins in the directory's spill file. Not validated.</summary>
    internal long Offset => (long)(Value >> OffsetShift) * SpillRecord.AlignmentBytes;

    internal static SpillPlace Claim(int participant) => new(((ulong)(uint)participant << OffsetShift) | ClaimKind);

    public override string ToString() => IsNone ? "none" : IsClaim ? $"claimed by participant {Participant}" : $"directory {Directory} offset {Offset}";
}
