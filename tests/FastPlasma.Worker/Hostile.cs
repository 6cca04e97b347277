using System.Globalization;
using System.Runtime.InteropServices;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma.Worker;

/// <summary>A reader that wants to do harm: everything that the kernel lets a user try with a store's files. Works beside the library, on the files themselves.</summary>
internal sealed unsafe partial class Hostile
{
    private const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2, Truncate = 0x200, ReadProtection = 1, WriteProtection = 2, Shared = 1;
    private const int PunchHole = 3, RemoveAdvice = 9, OfdSetLock = 37, SetLease = 1024, WriteLock = 1, ReadLock = 0, Wake = 1, Requeue = 3, Attach = 16;
    private const long PidfdOpenCall = 434, PidfdGetfdCall = 438;

    private const string LinkSuffix = "linked";

    private static readonly long FutexCall = Native.Libc.SYS_futex;

    private readonly string _meta, _data, _uid, _prefix;
    private readonly string[] _files;

    internal Hostile(string name)
    {
        _uid = geteuid().ToString(CultureInfo.InvariantCulture);
        _meta = $"/dev/shm/fastplasma.{name}";
        _files = [_meta, .. Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*")];
        _data = _files.Single(static f => f.EndsWith(".data", StringComparison.Ordinal));
        _prefix = _data[..^".data".Length];
    }

    private string OwnPins => $"{_prefix}.pins.{_uid}";

    private string OwnLock => $"{_prefix}.lock.{_uid}";

    /// <summary>Tries everything once. Returns what succeeded, as "what:file" or "what:who".</summary>
    internal string Try(int victim)
    {
        var done = new List<string>();
        foreach (string file in _files)
        {
            string label = file == _meta ? "meta" : file[(_prefix.Length + 1)..];
            Report("read", Close(open(file, ReadOnly, 0)));
            Report("write", Close(open(file, WriteOnly, 0)));
            Report("readwrite", Close(open(file, ReadWrite, 0)));
            Report("opentruncate", label.EndsWith(_uid, StringComparison.Ordinal) ? -1 : Close(open(file, WriteOnly | Truncate, 0)));
            Report("chmod", chmod(file, 0x1B6));
            Report("chown", chown(file, geteuid(), uint.MaxValue));
            Report("unlink", unlink(file));
            Report("rename", rename(file, file + ".stolen"));
            Report("link", link(file, $"{file}.{LinkSuffix}")); // Not ours to unlink: the other side has to.
            Report("truncate", label.EndsWith(_uid, StringComparison.Ordinal) ? -1 : truncate(file, 0));
            Report("setxattr", setxattr(file, "user.hostile", "x", 1, 0));
            Report("acl", setxattr(file, "system.posix_acl_access", "\x02\0\0\0", 4, 0));
            Report("utime", utimensat(-100, file, 0, 0));
            int fd = open(file, ReadOnly, 0);
            if (fd < 0)
                continue;
            if (!label.EndsWith(_uid, StringComparison.Ordinal))
            {
                Report("reopen", Close(open($"/proc/self/fd/{fd}", ReadWrite, 0)));
                Report("mapwrite", mmap(0, 4096, ReadProtection | WriteProtection, Shared, fd, 0));
                nint view = mmap(0, 4096, ReadProtection, Shared, fd, 0);
                Report("mprotect", mprotect(view, 4096, ReadProtection | WriteProtection));
                Report("remove", madvise(view, 4096, RemoveAdvice));
                Report("ftruncate", ftruncate(fd, 0));
                Report("fallocate", fallocate(fd, 0, 0, 4096));
                Report("punch", fallocate(fd, PunchHole, 0, 4096));
                Report("writelock", Lock(fd, WriteLock));
            }
            Report("lease", fcntl(fd, SetLease, WriteLock));
            Report("fchmod", fchmod(fd, 0x1B6));
            _ = close(fd);

            void Report(string what, nint result)
            {
                if (result >= 0)
                    done.Add($"{what}:{label}");
            }
        }
        OnProcess("kill", kill(victim, 19));
        OnProcess("ptrace", (nint)ptrace(Attach, victim, 0, 0));
        byte junk = 1;
        var local = new Vector { Base = &junk, Bytes = 1 };
        var remote = new Vector { Base = (void*)0x10000, Bytes = 1 };
        OnProcess("vmwrite", process_vm_writev(victim, &local, 1, &remote, 1, 0));
        OnProcess("procmem", Close(open($"/proc/{victim}/mem", ReadWrite, 0)));
        for (int fd = 0; fd < 64; fd++)
            OnProcess("procfd", Close(open($"/proc/{victim}/fd/{fd}", ReadWrite, 0)));
        int pidfd = (int)syscall(PidfdOpenCall, victim, 0, 0, 0, 0, 0);
        if (pidfd >= 0)
            OnProcess("getfd", (nint)syscall(PidfdGetfdCall, pidfd, 3, 0, 0, 0, 0));
        OnProcess("rmdir", rename("/dev/shm", "/dev/stolen"));
        OnProcess("chmoddir", chmod("/dev/shm", 0));
        return string.Join(';', done);

        void OnProcess(string what, nint result)
        {
            if (result >= 0)
                done.Add($"{what}:{victim}");
        }
    }

    /// <summary>Puts files of its own under names that the store's files could have.</summary>
    internal void Squat(string name, string otherUid)
    {
        foreach (string file in (string[])[$"{_prefix}.new", $"{_prefix}.pins.{otherUid}", $"{_prefix}.lock.{otherUid}", $"/dev/shm/fastplasma.{name}.{Guid.NewGuid():N}.new", $"/dev/shm/fastplasma.{name}.{Guid.NewGuid():N}.data"])
        {
            int fd = open(file, ReadWrite | 0x40, 0x180);
            if (fd < 0 || Lock(fd, WriteLock) < 0) // Kept open: the locks stay while this process lives.
                throw new IOException($"{file}: {Marshal.GetLastPInvokeError()}");
        }
    }

    internal void RemoveSquatted(string name)
    {
        foreach (string file in Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*"))
            _ = unlink(file);
    }

    /// <summary>The largest table of pins that a reader uid can have: all participants attached, all slots taken, by pins of all entries in the generations from one on.</summary>
    internal void Fill(int entryCount, uint generation)
    {
        int pins = Writable(OwnPins), locks = Writable(OwnLock);
        if (Lock(locks, WriteLock, 1) < 0) // Token 0 is held by the library.
            throw new IOException("The own lock file cannot be locked.");
        WriteInt(pins, 64, StoreGeometry.ReaderParticipantCountMax);
        int n = 0;
        byte[] slots = new byte[ParticipantBlock.ReaderChunkCountMax * SlotChunk.SizeBytes];
        for (int k = 0; k < StoreGeometry.ReaderParticipantCountMax; k++)
        {
            for (int at = 0; at < slots.Length; at += SlotChunk.SizeBytes)
                for (int slot = SlotChunk.CountersBytes; slot < SlotChunk.SizeBytes; slot += PinSlot.SizeBytes, n++)
                    BitConverter.TryWriteBytes(slots.AsSpan(at + slot), new SlotWord(SlotKind.Pin, generation + (uint)(n / entryCount), (uint)(n % entryCount)).Value);
            long block = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes;
            fixed (byte* p = slots)
                if (pwrite(pins, p, (nuint)slots.Length, block + ParticipantBlock.SlotsOffset) != slots.Length)
                    throw new IOException("The own pins file cannot be written.");
            WriteInt(pins, block + 64, ParticipantBlock.ReaderChunkCountMax);
            WriteInt(pins, block, 1);
        }
        // The descriptors stay open, so that the tokens stay held.
    }

    /// <summary>Does harm for ever: random words, lengths and holes in the own files, locks, wake-ups and requeues on every word of meta, a look at every page. Ends with the process.</summary>
    internal void Storm(int seed)
    {
        var random = new Random(seed);
        int pins = Writable(OwnPins), locks = Writable(OwnLock), meta = open(_meta, ReadOnly, 0), data = open(_data, ReadOnly, 0);
        long metaBytes = new FileInfo(_meta).Length, dataBytes = new FileInfo(_data).Length, pinsBytes = new FileInfo(OwnPins).Length;
        nint view = mmap(0, (nuint)metaBytes, ReadProtection, Shared, meta, 0), payload = mmap(0, (nuint)dataBytes, ReadProtection, Shared, data, 0);
        uint trap = 0;
        byte[] noise = new byte[8192];
        long[] interesting = [0, 1, 64, 1024, int.MaxValue, int.MinValue, -1];
        for (long sum = 0; ; sum++)
        {
            switch (random.Next(10))
            {
                case 0:
                    random.NextBytes(noise);
                    long at = random.Next(3) == 0 ? 0 : PinsHeader.SizeBytes + random.Next(64) * (long)ParticipantBlock.SizeBytes + random.Next(3) * 4096;
                    fixed (byte* p = noise)
                        _ = pwrite(pins, p, (nuint)random.Next(noise.Length), at);
                    break;
                case 1:
                    WriteInt(pins, 64, (int)interesting[random.Next(interesting.Length)]);
                    WriteInt(pins, PinsHeader.SizeBytes + random.Next(64) * (long)ParticipantBlock.SizeBytes + 64, (int)interesting[random.Next(interesting.Length)]);
                    WriteInt(pins, PinsHeader.SizeBytes + random.Next(64) * (long)ParticipantBlock.SizeBytes, random.Next(2));
                    break;
                case 2 when sum % 64 == 0:
                    _ = ftruncate(pins, random.Next(5) switch { 0 => 0, 1 => random.Next(10_000), 2 => 1L << 40, 3 => pinsBytes - 1, _ => pinsBytes });
                    break;
                case 3 when sum % 64 == 0:
                    _ = fallocate(pins, random.Next(2) * PunchHole, random.Next(64) * (long)ParticipantBlock.SizeBytes, 1 << 16);
                    break;
                case 4:
                    _ = Lock(locks, (short)random.Next(3), random.Next(70), 1 + random.Next(70));
                    _ = ftruncate(locks, random.Next(100));
                    _ = Lock(meta, ReadLock);
                    break;
                case 5:
                    sum += *(byte*)(view + random.NextInt64(metaBytes)) + *(byte*)(payload + random.NextInt64(dataBytes));
                    break;
                default:
                    for (int i = 0; i < 32; i++)
                    {
                        // Every word of meta is a futex for who can read it; the wait words begin behind the domain table.
                        nint word = view + 8192 + (random.Next(2) == 0 ? random.Next(WaitWord.HashedCount, WaitWord.Count) : random.Next(WaitWord.Count)) * WaitWord.StrideBytes;
                        _ = random.Next(4) == 0 ? syscall(FutexCall, word, Requeue, 0, int.MaxValue, (nint)(&trap), 0) : syscall(FutexCall, word, Wake, int.MaxValue, 0, 0, 0);
                    }
                    break;
            }
        }
    }

    /// <summary>As busy as <see cref="Storm"/>, with nobody's files: the control.</summary>
    internal static void Burn()
    {
        uint word = 0;
        while (true) // Ends with the process.
            _ = syscall(FutexCall, (nint)(&word), Wake, int.MaxValue, 0, 0, 0);
    }

    private static int Writable(string file) => open(file, ReadWrite, 0) is >= 0 and int fd ? fd : throw new IOException($"{file}: {Marshal.GetLastPInvokeError()}");

    private static void WriteInt(int fd, long offset, int value) => _ = pwrite(fd, (byte*)&value, sizeof(int), offset);

    private static int Lock(int fd, short type, long start = 0, long length = 0)
    {
        var request = new FileLock { Type = type, Start = start, Length = length };
        return fcntl(fd, OfdSetLock, (nint)(&request));
    }

    private static int Close(int fd) => fd < 0 ? -1 : close(fd);

    [StructLayout(LayoutKind.Explicit, Size = 32)]
    private struct FileLock
    {
        [FieldOffset(0)] internal short Type;
        [FieldOffset(8)] internal long Start;
        [FieldOffset(16)] internal long Length;
    }

    private struct Vector
    {
        internal void* Base;
        internal nuint Bytes;
    }

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc")]
    private static partial int close(int fd);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chmod(string path, uint mode);

    [LibraryImport("libc")]
    private static partial int fchmod(int fd, uint mode);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chown(string path, uint uid, uint gid);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlink(string path);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rename(string from, string to);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string from, string to);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int truncate(string path, long length);

    [LibraryImport("libc")]
    private static partial int ftruncate(int fd, long length);

    [LibraryImport("libc")]
    private static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setxattr(string path, string name, string value, nuint size, int flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int utimensat(int folder, string path, nint times, int flags);

    [LibraryImport("libc")]
    private static partial nint mmap(nint address, nuint bytes, int protection, int flags, int fd, long offset);

    [LibraryImport("libc")]
    private static partial int mprotect(nint address, nuint bytes, int protection);

    [LibraryImport("libc")]
    private static partial int madvise(nint address, nuint bytes, int advice);

    [LibraryImport("libc")]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport("libc")]
    private static partial nint pwrite(int fd, byte* bytes, nuint count, long offset);

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);

    [LibraryImport("libc")]
    private static partial long ptrace(long request, int process, nint address, nint data);

    [LibraryImport("libc")]
    private static partial nint process_vm_writev(int process, Vector* local, nuint localCount, Vector* remote, nuint remoteCount, nuint flags);

    [LibraryImport("libc")]
    private static partial long syscall(long number, nint a, nint b, nint c, nint d, nint e, nint f);
}
