using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>The calls of the C library. Names, constants and argument order are those of the man pages (sections 2 and 3).</summary>
internal static unsafe partial class Libc
{
    private const string Name = "libc";

    internal const int O_RDONLY = 0, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000, O_PATH = 0x200000;

    // O_NOFOLLOW and O_DIRECTORY differ between x64 and arm64 (asm-generic/fcntl.h against arch/arm64/include/uapi/asm/fcntl.h).
    internal static int O_NOFOLLOW => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x8000 : 0x20000;

    // As are these.
    internal static int O_DIRECTORY => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000;

    internal static int O_DIRECT => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    internal const int PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2;
    internal const int MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;
    internal const int MADV_DONTFORK = 10, MADV_HUGEPAGE = 14, MADV_DONTDUMP = 16, MADV_WIPEONFORK = 18, MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23, MADV_COLLAPSE = 25;
    internal const int FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2;
    internal const uint MFD_CLOEXEC = 1;
    internal const int F_GETFL = 3, F_SETFL = 4, F_OFD_GETLK = 36, F_OFD_SETLK = 37, F_DUPFD_CLOEXEC = 1030;
    internal const short F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2;
    internal const int FUTEX_WAIT = 0, FUTEX_WAKE = 1;
    internal const int EIO = 5, EROFS = 30, EDQUOT = 122, ESTALE = 116, ENOTDIR = 20, ENOSYS = 38;
    internal const int EINTR = 4, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EEXIST = 17, EINVAL = 22, EFBIG = 27, ERANGE = 34, ENOSPC = 28, ENOENT = 2, EPERM = 1, ELOOP = 40, ENODATA = 61, ETIMEDOUT = 110, EOPNOTSUPP = 95;

    internal const int MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100, MSG_NOSIGNAL = 0x4000;

    internal const int RLIMIT_FSIZE = 1;
    internal const int AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_EMPTY_PATH = 0x1000;
    internal const uint STATX_BASIC_STATS = 0x7FF;
    internal const int S_IFMT = 0xF000, S_IFREG = 0x8000, ALLPERMS = 0xFFF;

    internal static long SYS_futex => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 98 : 202;

    /// <summary>struct flock of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 32)]
    internal struct Flock
    {
        [FieldOffset(0)] internal short Type;
        [FieldOffset(2)] internal short Whence;
        [FieldOffset(8)] internal long Start;
        [FieldOffset(16)] internal long Length;
        [FieldOffset(24)] internal int Pid;
    }

    /// <summary>struct statx, the same on every architecture (linux/stat.h); struct stat is not.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct Statx
    {
        [FieldOffset(16)] internal uint LinkCount;
        [FieldOffset(20)] internal uint Uid;
        [FieldOffset(24)] internal uint Gid;
        [FieldOffset(28)] internal ushort Mode;
        [FieldOffset(40)] internal long Size;
        [FieldOffset(48)] internal long Blocks;
        [FieldOffset(136)] internal uint DeviceMajor;
        [FieldOffset(140)] internal uint DeviceMinor;
    }

    /// <summary>struct statfs of 64-bit Linux with glibc: what is needed of it.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 120)]
    internal struct Statfs
    {
        [FieldOffset(0)]
        internal long Type;
    }

    /// <summary>struct statvfs of 64-bit Linux with glibc.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Statvfs
    {
        internal ulong BlockBytes;
        internal ulong FragmentBytes;
        internal ulong Blocks;
        internal ulong BlocksFree;
        internal ulong BlocksAvailable;
        internal ulong Files;
        internal ulong FilesFree;
        internal ulong FilesAvailable;
        internal ulong FileSystemId;
        internal ulong Flags;
        internal ulong NameMax;
        private fixed int _spare[6];
    }

    /// <summary>struct msghdr of 64-bit Linux with glibc; without address and control data.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Msghdr
    {
        internal nint Name;
        internal uint NameBytes;
        internal IoPart* Parts;
        internal nuint PartCount;
        internal nint Control;
        internal nuint ControlBytes;
        internal int Flags;
    }

    /// <summary>Beginning of struct passwd and struct group, as far as they are alike: name, password, number.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    internal struct NamedId
    {
        [FieldOffset(16)] internal uint Id;
    }

    /// <summary>struct timespec of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Timespec
    {
        internal long Seconds;
        internal long Nanoseconds;
    }

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int shm_open(string name, int flags, uint mode);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int open(string path, int flags, uint mode);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int memfd_create(string name, uint flags);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int close(int fd);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int ftruncate(int fd, long length);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int getrlimit(int resource, ulong* softAndHard);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint mmap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int munmap(nint address, nuint length);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int madvise(nint address, nuint length, int advice);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fcntl(int fd, int command, Flock* argument);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint pread(int fd, void* buffer, nuint count, long offset);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint pwrite(int fd, void* buffer, nuint count, long offset);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint preadv(int fd, IoPart* parts, int count, long offset);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint pwritev(int fd, IoPart* parts, int count, long offset);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fdatasync(int fd);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fsync(int fd);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fstatvfs(int fd, out Statvfs stat);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fstatfs(int fd, out Statfs stat);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint fgetxattr(int fd, string name, void* value, nuint size);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int fsetxattr(int fd, string name, void* value, nuint size, int flags);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int statx(int directory, string path, int flags, uint mask, out Statx stat);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fchmod(int fd, uint mode);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial int fchown(int fd, uint uid, uint gid);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int link(string from, string to);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int unlink(string path);

    [LibraryImport(Name, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int rename(string from, string to);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint getrandom(void* buffer, nuint bytes, uint flags);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint sendmsg(int socket, Msghdr* message, int flags);

    [LibraryImport(Name, SetLastError = true)]
    internal static partial nint recvmsg(int socket, Msghdr* message, int flags);

    [LibraryImport(Name)]
    internal static partial uint geteuid();

    [LibraryImport(Name)]
    internal static partial int getpid();

    /// <summary>Returns 0 or an errno; <paramref name="result"/> is null when there is none of that name.</summary>
    [LibraryImport(Name, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int getpwnam_r(string name, out NamedId entry, byte* buffer, nuint bufferBytes, out NamedId* result);

    /// <inheritdoc cref="getpwnam_r"/>
    [LibraryImport(Name, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int getgrnam_r(string name, out NamedId entry, byte* buffer, nuint bufferBytes, out NamedId* result);

    [LibraryImport(Name, EntryPoint = "syscall", SetLastError = true)]
    internal static partial long futex(long number, uint* address, int operation, uint value, Timespec* timeout, void* address2, uint value3);
}
