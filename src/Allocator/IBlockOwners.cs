namespace FastPlasma.Allocator;

/// <summary>What the allocator has to ask about the owners of its blocks.</summary>
internal interface IBlockOwners
{
    /// <summary>Whether the owner in a block word has ended, so that the word is a left-over of a crash and may be freed.</summary>
    bool IsDead(ulong blockWord);
}
