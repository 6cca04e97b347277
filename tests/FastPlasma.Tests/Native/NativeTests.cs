using System.Diagnostics;
using System.Runtime.InteropServices;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>Promises of the operating-system layer.</summary>
public sealed unsafe class NativeTests
{
    // ---- life tokens -------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_token_conflicts_with_another_description_and_not_with_its_own()
    {
        using var scratch = new ScratchDirectory();
        using LifeTokens own = scratch.OpenTokens(), other = scratch.OpenTokens();
        Assert.True(own.TryAcquire(3));
        Assert.True(own.TryAcquire(3));
        Assert.False(own.IsHeldElsewhere(3));
        Assert.True(other.IsHeldElsewhere(3));
        Assert.False(other.TryAcquire(3));
        Assert.True(other.TryAcquire(2));
        Assert.True(other.TryAcquire(4));
        own.Release(3);
        Assert.False(other.IsHeldElsewhere(3));
        Assert.True(other.TryAcquire(3));
    }

    [Fact]
    public void Closing_the_description_gives_all_its_tokens_back()
    {
        using var scratch = new ScratchDirectory();
        using LifeTokens probe = scratch.OpenTokens();
        using (LifeTokens own = scratch.OpenTokens())
        {
            Assert.True(own.TryAcquire(0));
            Assert.True(own.TryAcquire(255));
            Assert.True(probe.IsHeldElsewhere(0) && probe.IsHeldElsewhere(255));
        }
        Assert.False(probe.IsHeldElsewhere(0));
        Assert.False(probe.IsHeldElsewhere(255));
    }

    [Fact]
    public void Closing_another_descriptor_of_the_file_leaves_a_token_alone()
    {
        // Classic POSIX locks of a process fall when it closes any descriptor of the file; open-file-description locks must not.
        using var scratch = new ScratchDirectory();
        using LifeTokens own = scratch.OpenTokens(), probe = scratch.OpenTokens();
        Assert.True(own.TryAcquire(7));
        scratch.OpenTokens().Dispose();
        using (SharedFile.Open(scratch.Path, "lock", writable: true))
        {
        }
        using (File.OpenRead(System.IO.Path.Combine(scratch.Path, "lock")))
        {
        }
        Assert.True(probe.IsHeldElsewhere(7));
    }

    [Fact]
    public void The_token_of_a_killed_process_is_free_within_100_ms()
    {
        using var store = new ScratchStore();
        using Process holder = CliProcess.Start("wait", "never", "--timeout", "60s", "--store", store.Name);
        try
        {
            string lockFile = Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{store.Name}.*.lock.w").Single();
            using var probe = new LifeTokens(SharedFile.Open(SharedFile.SharedMemoryDirectory, System.IO.Path.GetFileName(lockFile), writable: true));
            Poll.Until(() => probe.IsHeldElsewhere(1), TimeSpan.FromSeconds(20), "the child attaches as participant 1");
            holder.Kill();
            long killed = Stopwatch.GetTimestamp();
            Poll.Until(() => !probe.IsHeldElsewhere(1), TimeSpan.FromSeconds(5), "the token falls");
            TimeSpan took = Stopwatch.GetElapsedTime(killed);
            Assert.True(took < TimeSpan.FromMilliseconds(100), $"the token fell after {took.TotalMilliseconds:0} ms");
            Assert.True(probe.TryAcquire(1));
        }
        finally
        {
            CliProcess.End(holder);
        }
    }

    // ---- files and mappings ------------------------------------------------------------------------------------------------

    [Fact]
    public void Views_for_huge_pages_begin_at_2_MiB_and_show_the_file()
    {
        using SharedFile file = SharedFile.CreateAnonymous("view");
        file.SetSize(6 << 20);
        file.Reserve(0, 6 << 20);
        for (int i = 0; i < 8; i++)
        {
            using MappedView write = MappedView.Map(file, 0, 6 << 20, writable: true, hugeAligned: true), read = MappedView.Map(file, 0, 6 << 20, writable: false, hugeAligned: true);
            Assert.Equal(0ul, (ulong)write.Pointer % (ulong)MappedView.HugePageBytes);
            Assert.Equal(0ul, (ulong)read.Pointer % (ulong)MappedView.HugePageBytes);
            write.Pointer[(6 << 20) - 1] = (byte)i;
            Assert.Equal((byte)i, read.Pointer[(6 << 20) - 1]);
            Assert.Equal(6 << 20, read.Bytes);
        }
    }

    [Fact]
    public void Aligned_views_leave_no_address_space_behind()
    {
        using SharedFile file = SharedFile.CreateAnonymous("leftover");
        file.SetSize(2 << 20);
        const int Rounds = 100;
        long before = VirtualBytes();
        for (int i = 0; i < Rounds; i++)
            MappedView.Map(file, 0, 2 << 20, writable: true, hugeAligned: true).Dispose();
        long grown = VirtualBytes() - before;
        Assert.False(File.ReadAllText("/proc/self/maps").Contains("memfd:leftover", StringComparison.Ordinal), "a view is still mapped");

        // Other tests map and unmap at the same time, so this is only a bound: a leaked head or tail of 2 MiB each round would be twice that.
        Assert.True(grown < 1L << 40, $"{grown} bytes of address space more");
    }

    [Fact]
    public void A_range_behind_the_end_of_a_file_system_is_refused_with_ENOSPC()
    {
        using var mount = new TempMount("tmpfs", "size=4m");
        using SharedFile file = SharedFile.Create(mount.Path, "data", 0x180);
        file.SetSize(64 << 20);
        Assert.Equal(0, file.TryReserve(0, 2 << 20));
        Assert.Equal(Libc.ENOSPC, file.TryReserve(2 << 20, 16 << 20));
        OsException e = Assert.Throws<OsException>(() => file.Reserve(2 << 20, 16 << 20));
        Assert.Equal(Libc.ENOSPC, e.ErrorNumber);
        Assert.Contains("reserve 16777216 bytes at 2097152 of ", e.Message, StringComparison.Ordinal);
        Assert.Contains(mount.Path, e.Message, StringComparison.Ordinal);
        Assert.Contains("ENOSPC", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Punched_pages_are_given_back_and_read_as_zeroes()
    {
        using SharedFile file = SharedFile.CreateAnonymous("punch");
        file.SetSize(8 << 20);
        file.Reserve(0, 8 << 20);
        Assert.Equal(8 << 20, file.Facts().AllocatedBytes);
        file.WriteAt(2 << 20, [1, 2, 3]);
        Assert.Equal(0, file.TryPunch(2 << 20, 2 << 20));
        Assert.Equal(6 << 20, file.Facts().AllocatedBytes);
        Assert.Equal(8 << 20, file.Facts().SizeBytes);
        byte[] bytes = [9, 9, 9];
        Assert.Equal(3, file.ReadAt(2 << 20, bytes));
        Assert.Equal([0, 0, 0], bytes);
    }

    [Fact]
    public void Reading_beyond_the_end_gives_what_there_is()
    {
        using SharedFile file = SharedFile.CreateAnonymous("short");
        file.WriteAt(0, [1, 2, 3, 4, 5]);
        byte[] bytes = new byte[10];
        Assert.Equal(2, file.ReadAt(3, bytes));
        Assert.Equal(0, file.ReadAt(100, bytes));
    }

    [Fact]
    public void Symbolic_links_are_refused_and_missing_files_are_no_error()
    {
        using var scratch = new ScratchDirectory();
        scratch.File("lock", []);
        File.CreateSymbolicLink(System.IO.Path.Combine(scratch.Path, "link"), System.IO.Path.Combine(scratch.Path, "lock"));
        Assert.Equal(Libc.ELOOP, Assert.Throws<OsException>(() => SharedFile.TryOpen(scratch.Path, "link", writable: false)).ErrorNumber);
        Assert.Equal(Libc.EEXIST, Assert.Throws<OsException>(() => SharedFile.Create(scratch.Path, "link", 0x180)).ErrorNumber);
        Assert.Null(SharedFile.TryOpen(scratch.Path, "absent", writable: true));
        Assert.False(SharedFile.TryUnlink(scratch.Path, "absent"));
        Assert.True(SharedFile.TryLink(scratch.Path, "lock", "second"));
        Assert.False(SharedFile.TryLink(scratch.Path, "lock", "second"));
        Assert.True(SharedFile.TryUnlink(scratch.Path, "second"));
    }

    [Fact]
    public void A_pipe_is_opened_without_waiting_for_its_other_end()
    {
        using var scratch = new ScratchDirectory();
        Assert.Equal(0, Mono.Unix.Native.Syscall.mkfifo(System.IO.Path.Combine(scratch.Path, "pipe"), Mono.Unix.Native.FilePermissions.S_IRUSR | Mono.Unix.Native.FilePermissions.S_IWUSR));
        using SharedFile? pipe = SharedFile.TryOpen(scratch.Path, "pipe", writable: false);
        Assert.False(pipe!.Facts().IsRegular);
    }

    [Fact]
    public void Errors_name_operation_path_and_errno()
    {
        OsException missing = Assert.Throws<OsException>(() => SharedFile.Open("/nowhere", "x", writable: false));
        Assert.Equal("open /nowhere/x: ENOENT (No such file or directory)", missing.Message);
        using SharedFile file = SharedFile.CreateAnonymous("errors");
        OsException e = Assert.Throws<OsException>(() => MappedView.Map(file, 1, 4096, writable: false));
        Assert.Equal("mmap 4096 bytes at 1 of memfd:errors: EINVAL (Invalid argument)", e.Message);
        Assert.Equal("errno 9999", OsException.Describe(9999));
    }

    // ---- rights ------------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_granted_user_is_in_the_access_control_list_and_others_keep_theirs()
    {
        using SharedFile file = SharedFile.Create(SharedFile.SharedMemoryDirectory, $"fptest-acl-{Guid.NewGuid():N}", 0x180);
        try
        {
            file.SetMode(0x180);
            PosixAcl.Grant(file, 4242, PosixAcl.Read);
            Assert.Equal("u::6 u:4242:4 g::0 m::4 o::0", ReadAcl(file));
            PosixAcl.Grant(file, 17, PosixAcl.Read | PosixAcl.Write);
            PosixAcl.Grant(file, 4242, PosixAcl.Read);
            Assert.Equal("u::6 u:17:6 u:4242:4 g::0 m::6 o::0", ReadAcl(file));
            Assert.Equal(0u, file.Facts().Mode & 7);
        }
        finally
        {
            File.Delete(file.Path);
        }
    }

    [Fact]
    public void A_file_system_without_access_control_lists_says_so()
    {
        using var mount = new TempMount("tmpfs", "size=1m,noacl", fallbackType: "ramfs");
        using SharedFile file = SharedFile.Create(mount.Path, "f", 0x180);
        OsException e = Assert.Throws<OsException>(() => PosixAcl.Grant(file, 4242, PosixAcl.Read));
        Assert.Equal(Libc.EOPNOTSUPP, e.ErrorNumber);
        Assert.Contains(file.Path, e.Message, StringComparison.Ordinal);
    }

    // ---- futex -------------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_sleeper_on_a_read_only_view_is_woken_through_another_view()
    {
        using SharedFile file = SharedFile.CreateAnonymous("futex");
        file.SetSize(4096);
        file.Reserve(0, 4096);
        using MappedView write = MappedView.Map(file, 0, 4096, writable: true), read = MappedView.Map(file, 0, 4096, writable: false);
        uint* sleepAt = (uint*)read.Pointer;
        long took = 0;
        string? task = null;
        var sleeper = new Thread(() =>
        {
            Volatile.Write(ref task, new FileInfo("/proc/thread-self").LinkTarget);
            long began = Stopwatch.GetTimestamp();
            while (Volatile.Read(ref *sleepAt) == 0) // Ends with the write below; each sleep with the wake or after 10 s.
                Futex.Wait(sleepAt, 0, 10_000);
            took = Stopwatch.GetTimestamp() - began;
        });
        sleeper.Start();
        string inFutex = $"{Libc.SYS_futex} 0x{(nuint)sleepAt:x} ";
        Poll.Until(
            () => Volatile.Read(ref task) is { } t && File.ReadAllText($"/proc/{t}/syscall").StartsWith(inFutex, StringComparison.Ordinal),
            TimeSpan.FromSeconds(5), "the sleeper sleeps on the word");
        Volatile.Write(ref *(uint*)write.Pointer, 1);
        Futex.WakeAll((uint*)write.Pointer);
        Assert.True(sleeper.Join(TimeSpan.FromSeconds(5)), "nobody woke the sleeper");
        Assert.True(Stopwatch.GetElapsedTime(0, took) < TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void A_wait_ends_at_once_for_another_value_and_at_its_timeout_else()
    {
        uint word = 5;
        long began = Stopwatch.GetTimestamp();
        Futex.Wait(&word, 6, 10_000);
        Assert.True(Stopwatch.GetElapsedTime(began) < TimeSpan.FromSeconds(5));
        began = Stopwatch.GetTimestamp();
        Futex.Wait(&word, 5, 30);
        Assert.True(Stopwatch.GetElapsedTime(began) >= TimeSpan.FromMilliseconds(29));
    }

    [Fact]
    public void A_futex_on_an_unmapped_address_is_an_error_and_no_signal()
    {
        Assert.Equal(14 /* EFAULT */, Assert.Throws<OsException>(() => Futex.Wait((uint*)4096, 0, 1)).ErrorNumber);
        Assert.Throws<OsException>(() => Futex.WakeAll((uint*)1)); // Not aligned.
    }

    private static long VirtualBytes() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[0]) * Environment.SystemPageSize;

    private static string ReadAcl(SharedFile file)
    {
        byte[] value = new byte[4096];
        nint bytes;
        fixed (byte* p = value)
            bytes = Libc.fgetxattr(file.Descriptor, "system.posix_acl_access", p, (nuint)value.Length);
        Assert.True(bytes > 4, $"no list: errno {Marshal.GetLastPInvokeError()}");
        Assert.Equal(2, BitConverter.ToInt32(value));
        var entries = new List<string>();
        for (int at = 4; at < bytes; at += 8)
        {
            (ushort tag, ushort permissions, uint id) = (BitConverter.ToUInt16(value, at), BitConverter.ToUInt16(value, at + 2), BitConverter.ToUInt32(value, at + 4));
            string kind = tag switch { 1 or 2 => "u", 4 or 8 => "g", 16 => "m", 32 => "o", _ => $"?{tag}" };
            entries.Add($"{kind}:{(id == uint.MaxValue ? "" : id)}:{permissions}");
        }
        return string.Join(' ', entries);
    }
}
