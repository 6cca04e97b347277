namespace FastPlasma.Native;

/// <summary>A word that tells a process from its forked children, and memory that a child does not get: nonzero here, filled with zeroes there.</summary>
/// <remarks>
/// The kernel clears the pages for the child (MADV_WIPEONFORK, madvise(2)), so looking at the word costs a load of a line that nobody writes, and no handler has to run in the child. A kernel
/// before 4.14 refuses; then nothing is detected, and a child that touches a store ends by a signal, because it has none of the mappings.
/// </remarks>
internal static unsafe class ForkMark
{
    private const nuint PageBytes = 4096;

    private static int s_count;

    /// <summary>The word; never unmapped.</summary>
    internal static readonly int* Word = (int*)MapWiped(PageBytes);

    /// <summary>Value of the word in this process, given at the first call in it.</summary>
    internal static int OfThisProcess()
    {
        if (Volatile.Read(ref *Word) == 0)
            Interlocked.CompareExchange(ref *Word, Interlocked.Increment(ref s_count), 0);
        return Volatile.Read(ref *Word);
    }

    /// <summary>Private zeroed memory that a forked child finds zeroed again, and so never shares with its parent: what a disk writes to it meanwhile is the parent's.</summary>
    internal static void* MapWiped(nuint bytes)
    {
        nint address = Libc.mmap(0, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (address == -1)
            throw OsException.FromLastError("mmap", $"{bytes} bytes of private memory");
        _ = Libc.madvise(address, bytes, Libc.MADV_WIPEONFORK);
        return (void*)address;
    }

    /// <summary>Gives memory of <see cref="MapWiped"/> back.</summary>
    internal static void Unmap(void* memory, nuint bytes)
    {
        if (memory != null)
            _ = Libc.munmap((nint)memory, bytes);
    }
}
