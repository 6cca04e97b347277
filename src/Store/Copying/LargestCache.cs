using System.Runtime.Intrinsics.X86;

namespace FastPlasma.Copying;

/// <summary>Size of the largest cache that this processor reports.</summary>
internal static class LargestCache
{
    // Both leaves describe one cache per sub-leaf in the same layout: Intel's leaf 4 (Intel SDM, CPUID "Deterministic Cache Parameters") and AMD's
    // 8000_001Dh (AMD64 APM volume 3, "Cache Properties"). A processor that has only one of them returns cache type 0 for the other.
    private const int IntelLeaf = 4;
    private const int AmdLeaf = unchecked((int)0x8000_001D);
    private const int ExtendedRangeLeaf = unchecked((int)0x8000_0000);

    /// <summary>More sub-leaves than any processor has caches; ends the loop on a hypervisor that answers every sub-leaf.</summary>
    private const int SubLeafCountMax = 16;

    /// <summary>Bytes of the largest data or unified cache, shared or not; 0 where the processor does not say, as on arm64.</summary>
    internal static ulong Bytes
    {
        get
        {
            if (!X86Base.IsSupported)
                return 0;
            ulong bytes = X86Base.CpuId(0, 0).Eax >= IntelLeaf ? Largest(IntelLeaf) : 0;
            bool hasAmdLeaf = (uint)X86Base.CpuId(ExtendedRangeLeaf, 0).Eax >= unchecked((uint)AmdLeaf);
            return hasAmdLeaf ? Math.Max(bytes, Largest(AmdLeaf)) : bytes;
        }
    }

    private static ulong Largest(int leaf)
    {
        const uint typeMask = 0x1F, typeNone = 0, typeInstruction = 2;
        ulong largest = 0;
        for (int subLeaf = 0; subLeaf < SubLeafCountMax; subLeaf++)
        {
            (int eax, int ebx, int ecx, _) = X86Base.CpuId(leaf, subLeaf);
            uint type = (uint)eax & typeMask;
            if (type == typeNone)
                break;
            if (type == typeInstruction)
                continue;
            ulong line = ((uint)ebx & 0xFFF) + 1, partitions = (((uint)ebx >> 12) & 0x3FF) + 1, ways = ((uint)ebx >> 22) + 1, sets = (ulong)(uint)ecx + 1;
            largest = Math.Max(largest, line * partitions * ways * sets);
        }

        return largest;
    }
}
