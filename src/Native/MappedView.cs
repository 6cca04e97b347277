using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>One mapping of a shared file, aligned to 2 MiB when asked. Unmapped by <see cref="Dispose"/>, never by a finalizer: handles may still point into it.</summary>
internal sealed unsafe class MappedView : IDisposable
{
    internal const long HugePageBytes = 2L << 20;

    private const int CollapseAttempts = 16;

    private readonly string _path;
    private nint _base;

    private MappedView(nint address, long bytes, string path)
    {
        _base = address;
        Bytes = bytes;
        _path = path;
    }

    internal byte* Pointer => (byte*)_base;

    internal long Bytes { get; }

    /// <summary>Maps <paramref name="bytes"/> bytes of a file. Nothing is backed by mapping; what is touched must have been reserved.</summary>
    internal static MappedView Map(SharedFile file, long offset, long bytes, bool writable, bool hugeAligned = false)
    {
        int protection = writable ? Libc.PROT_READ | Libc.PROT_WRITE : Libc.PROT_READ;
        nint wanted = 0;
        int flags = Libc.MAP_SHARED | Libc.MAP_NORESERVE; // Else a view of hugetlbfs takes pages of the pool for its whole length.
        long slack = hugeAligned ? HugePageBytes : 0;
        nint area = 0;
        if (hugeAligned)
        {
            // Address space first, the file over its aligned part: only so is the view's address a multiple of 2 MiB.
            area = Libc.mmap(0, (nuint)(bytes + slack), Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
            if (area == -1)
                throw OsException.FromLastError("mmap", $"{bytes + slack} bytes of address space for {file.Path}");
            wanted = (nint)(((ulong)area + (ulong)HugePageBytes - 1) & ~((ulong)HugePageBytes - 1));
            flags |= Libc.MAP_FIXED;
        }

        nint address = Libc.mmap(wanted, (nuint)bytes, protection, flags, file.Descriptor, offset);
        if (address == -1)
        {
            OsException error = OsException.FromLastError("mmap", $"{bytes} bytes at {offset} of {file.Path}");
            if (hugeAligned)
                _ = Libc.munmap(area, (nuint)(bytes + slack));
            throw error;
        }
        if (hugeAligned)
        {
            long head = wanted - area;
            if (head > 0)
                _ = Libc.munmap(area, (nuint)head);
            if (slack - head > 0)
                _ = Libc.munmap(wanted + (nint)bytes, (nuint)(slack - head));
        }
        return new MappedView(address, bytes, file.Path);
    }

    /// <summary>Payload does not belong into core dumps.</summary>
    internal void ExcludeFromDump() => Advise(Libc.MADV_DONTDUMP);

    /// <summary>What a process announces in shared memory is not for its forked children to change: they do not get the mapping.</summary>
    internal void ExcludeFromFork() => Advise(Libc.MADV_DONTFORK);

    private void Advise(int advice)
    {
        if (Libc.madvise(_base, (nuint)Bytes, advice) != 0)
            throw OsException.FromLastError("madvise", $"{advice} for {_path}");
    }

    /// <summary>Asks for 2 MiB pages at faults; whether the kernel follows depends on the mount, so refusal is no error here.</summary>
    internal bool TryAdviseHugePages() => Libc.madvise(_base, (nuint)Bytes, Libc.MADV_HUGEPAGE) == 0;

    /// <summary>Makes one 2 MiB page of each populated 2 MiB of the range (kernel 6.1 or later). 0 or errno.</summary>
    /// <remarks>EAGAIN means that a page was in somebody's hands for the moment (madvise(2)); it is asked again some times before it counts.</remarks>
    internal int TryCollapse(long offset, long bytes)
    {
        for (int attempt = 1; ; attempt++) // Ends with success, another error or the last attempt.
        {
            if (Libc.madvise(_base + (nint)offset, (nuint)bytes, Libc.MADV_COLLAPSE) == 0)
                return 0;
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Libc.EAGAIN || attempt == CollapseAttempts)
                return errno;
            Thread.Sleep(attempt < CollapseAttempts / 2 ? 0 : 1);
        }
    }

    /// <summary>Fills this process's page table for a reserved range in one call, which is cheaper than a fault per page. 0 or errno (EINVAL before kernel 5.14).</summary>
    internal int TryPopulateWrite(long offset, long bytes) =>
        Libc.madvise(_base + (nint)offset, (nuint)bytes, Libc.MADV_POPULATE_WRITE) == 0 ? 0 : Marshal.GetLastPInvokeError();

    public void Dispose()
    {
        nint address = Interlocked.Exchange(ref _base, 0);
        if (address != 0 && Libc.munmap(address, (nuint)Bytes) != 0)
            throw OsException.FromLastError("munmap", _path);
    }
}
