using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Native;

/// <summary>What the kernel says about an open file.</summary>
internal readonly record struct FileFacts(bool IsRegular, uint OwnerUid, uint GroupGid, uint Mode, long SizeBytes, long AllocatedBytes, ulong LinkCount);

/// <summary>One open file of a store: a shm_open name, a file in another directory, or a memfd. Owns its descriptor.</summary>
internal sealed unsafe class SharedFile : IDisposable
{
    /// <summary>Where shm_open names live on Linux.</summary>
    internal const string SharedMemoryDirectory = "/dev/shm";

    /// <summary>Reserving in pieces of this size keeps one fallocate call short, so that a signal cannot make it start all over again for ever.</summary>
    private const long ReservePieceBytes = 64L << 20;

    private const int StandardErrorDescriptor = 2;

    private readonly SafeFileHandle _handle;
    private volatile bool _bypassesCache;

    private SharedFile(int fd, string path)
    {
        Path = path;
        _handle = new SafeFileHandle(AboveStandard(fd), ownsHandle: true);
    }

    /// <summary>The descriptor, or another for the same file: in a process that has closed its standard input, output or error this one would take its place, and a message of anybody there would be written into the store.</summary>
    private int AboveStandard(int fd)
    {
        if (fd > StandardErrorDescriptor)
            return fd;
        int above = Libc.fcntl(fd, Libc.F_DUPFD_CLOEXEC, StandardErrorDescriptor + 1);
        OsException? refused = above < 0 ? OsException.FromLastError("fcntl", Path) : null;
        _ = Libc.close(fd);
        return refused is null ? above : throw refused;
    }

    internal string Path { get; }

    internal int Descriptor => (int)_handle.DangerousGetHandle();

    /// <summary>Creates a file that must not exist yet. Symbolic links are not followed.</summary>
    /// <exception cref="OsException">EEXIST and whatever open(2) says.</exception>
    internal static SharedFile Create(string directory, string name, uint mode)
    {
        int fd = OpenDescriptor(directory, name, Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL, mode);
        return fd >= 0 ? new SharedFile(fd, Combine(directory, name)) : throw OsException.FromLastError("create", Combine(directory, name));
    }

    /// <summary>Opens an existing file; null when there is none. Symbolic links are refused.</summary>
    /// <exception cref="OsException">EACCES, ELOOP (a symbolic link) and whatever open(2) says.</exception>
    internal static SharedFile? TryOpen(string directory, string name, bool writable)
    {
        int fd = OpenDescriptor(directory, name, writable ? Libc.O_RDWR : Libc.O_RDONLY, 0);
        if (fd >= 0)
            return new SharedFile(fd, Combine(directory, name));
        return Marshal.GetLastPInvokeError() == Libc.ENOENT ? null : throw OsException.FromLastError("open", Combine(directory, name));
    }

    /// <summary>As <see cref="TryOpen"/>, but a missing file is an error, and so is a pipe, a device or a folder in its place.</summary>
    internal static SharedFile Open(string directory, string name, bool writable)
    {
        SharedFile file = TryOpen(directory, name, writable) ?? throw new OsException("open", Combine(directory, name), Libc.ENOENT);
        if (file.Facts().IsRegular)
            return file;
        file.Dispose();
        throw new OsException("open", $"{Combine(directory, name)} (not a regular file)", Libc.EINVAL);
    }

    /// <summary>An unnamed memory file, for stores inside one process.</summary>
    internal static SharedFile CreateAnonymous(string label)
    {
        int fd = Libc.memfd_create(label, Libc.MFD_CLOEXEC);
        return fd >= 0 ? new SharedFile(fd, $"memfd:{label}") : throw OsException.FromLastError("memfd_create", label);
    }

    /// <summary>A second, independent open file description of the same file: what locks need, which never conflict with themselves.</summary>
    internal SharedFile Reopen(bool writable)
    {
        string path = $"/proc/self/fd/{Descriptor}";
        int fd = Libc.open(path, (writable ? Libc.O_RDWR : Libc.O_RDONLY) | Libc.O_CLOEXEC, 0);
        return fd >= 0 ? new SharedFile(fd, Path) : throw OsException.FromLastError("reopen", Path);
    }

    internal static string Combine(string directory, string name) => System.IO.Path.Combine(directory, name);

    internal FileFacts Facts()
    {
        if (Libc.statx(Descriptor, "", Libc.AT_EMPTY_PATH, Libc.STATX_BASIC_STATS, out Libc.Statx stat) != 0)
            throw OsException.FromLastError("statx", Path);
        return new FileFacts((stat.Mode & Libc.S_IFMT) == Libc.S_IFREG, stat.Uid, stat.Gid, (uint)stat.Mode & Libc.ALLPERMS, stat.Size, stat.Blocks * 512, stat.LinkCount);
    }

    /// <summary>Whether there is something of that name, also a link that leads nowhere.</summary>
    /// <exception cref="OsException">That cannot be known.</exception>
    internal static bool Exists(string directory, string name)
    {
        if (Libc.statx(Libc.AT_FDCWD, Combine(directory, name), Libc.AT_SYMLINK_NOFOLLOW, Libc.STATX_BASIC_STATS, out _) == 0)
            return true;
        int errno = Marshal.GetLastPInvokeError();
        return errno == Libc.ENOENT ? false : throw new OsException("statx", Combine(directory, name), errno);
    }

    /// <summary>Owner of the file of that name, not of what a link there points to; null when there is none.</summary>
    internal static uint? OwnerOf(string path) => Libc.statx(Libc.AT_FDCWD, path, Libc.AT_SYMLINK_NOFOLLOW, Libc.STATX_BASIC_STATS, out Libc.Statx stat) == 0 ? stat.Uid : null;

    /// <summary>Number of the file system at a path, among those that are mounted now; 0 when there is nothing at the path.</summary>
    internal static ulong DeviceOf(string path) =>
        Libc.statx(Libc.AT_FDCWD, path, 0, Libc.STATX_BASIC_STATS, out Libc.Statx stat) == 0 ? ((ulong)stat.DeviceMajor << 32) | stat.DeviceMinor : 0;

    /// <summary>Whether the process may make files so long; beyond its limit the system would end it by SIGXFSZ.</summary>
    internal static bool MaySize(long bytes)
    {
        ulong* limit = stackalloc ulong[2]; // struct rlimit: soft, hard.
        return Libc.getrlimit(Libc.RLIMIT_FSIZE, limit) != 0 || (ulong)bytes <= limit[0];
    }

    internal void SetSize(long bytes)
    {
        // Beyond this limit the system call would end the process by SIGXFSZ.
        ulong* limit = stackalloc ulong[2]; // struct rlimit: soft, hard.
        if (Libc.getrlimit(Libc.RLIMIT_FSIZE, limit) == 0 && (ulong)bytes > limit[0])
            throw new OsException("ftruncate", $"{Path} to {bytes} bytes (RLIMIT_FSIZE is {limit[0]})", Libc.EFBIG);
        if (Libc.ftruncate(Descriptor, bytes) != 0)
            throw OsException.FromLastError("ftruncate", $"{Path} to {bytes} bytes");
    }

    internal void SetMode(uint mode)
    {
        if (Libc.fchmod(Descriptor, mode) != 0)
            throw OsException.FromLastError("fchmod", $"{Path} to {Convert.ToString(mode, 8)}");
    }

    internal void SetGroup(uint gid) => SetOwner(uint.MaxValue, gid);

    /// <summary>Gives the file to a user and a group; <see cref="uint.MaxValue"/> leaves one as it is.</summary>
    internal void SetOwner(uint uid, uint gid)
    {
        if (Libc.fchown(Descriptor, uid, gid) != 0)
            throw OsException.FromLastError("fchown", $"{Path} to user {(int)uid} group {(int)gid}");
    }

    /// <summary>Backs a range with pages, so that touching it can raise no SIGBUS. 0 on success, else errno (ENOSPC, ENOMEM, ...).</summary>
    /// <remarks>What is backed already stays as it is; after a failure a part of the range may be backed.</remarks>
    internal int TryReserve(long offset, long bytes)
    {
        Debug.Assert(offset >= 0 && bytes >= 0);
        while (bytes > 0)
        {
            long piece = Math.Min(bytes, ReservePieceBytes);
            if (Libc.fallocate(Descriptor, 0, offset, piece) != 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno == Libc.EINTR)
                    continue; // Ends with the signals: the runtime sends a bounded number of them.
                return errno;
            }
            offset += piece;
            bytes -= piece;
        }
        return 0;
    }

    /// <summary>As <see cref="TryReserve"/>, with an exception.</summary>
    internal void Reserve(long offset, long bytes)
    {
        int errno = TryReserve(offset, bytes);
        if (errno != 0)
            throw new OsException("reserve", $"{bytes} bytes at {offset} of {Path}", errno);
    }

    /// <summary>Gives the pages of a range back to the system; it reads as zeroes afterwards. 0 or errno.</summary>
    internal int TryPunch(long offset, long bytes) =>
        Libc.fallocate(Descriptor, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, bytes) == 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>Reads at an offset without mapping; returns how much there was, which is less than asked for at the end of a truncated file.</summary>
    internal int ReadAt(long offset, Span<byte> buffer)
    {
        fixed (byte* p = buffer)
        {
            int done = 0;
            while (done < buffer.Length)
            {
                nint n = Libc.pread(Descriptor, p + done, (nuint)(buffer.Length - done), offset + done);
                if (n == 0)
                    break;
                if (n < 0)
                {
                    if (Marshal.GetLastPInvokeError() == Libc.EINTR)
                        continue;
                    throw OsException.FromLastError("read", $"{buffer.Length} bytes at {offset} of {Path}");
                }
                done += (int)n;
            }
            return done;
        }
    }

    internal void WriteAt(long offset, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* p = buffer)
        {
            nint written = Libc.pwrite(Descriptor, p, (nuint)buffer.Length, offset);
            if (written != buffer.Length)
                throw new OsException("write", $"{buffer.Length} bytes at {offset} of {Path}", written < 0 ? Marshal.GetLastPInvokeError() : Libc.ENOSPC);
        }
    }

    /// <summary>Numbers (statfs(2), f_type) of file systems on disks of this machine: ext2 to ext4, XFS, Btrfs, F2FS, bcachefs, ZFS, JFS, overlays of them.</summary>
    private static readonly long[] s_ownDisks = [0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0xCA451A4E, 0x2FC12FC1, 0x3153464A, 0x794C7630];

    /// <summary>Reads and writes pass by the page cache from now on (O_DIRECT), where the file system can: offsets, lengths and addresses are then multiples of 4 KiB. False where it cannot; everything works as before then.</summary>
    /// <remarks>Only on disks of this machine: there a process that is killed lives until the disk has done with its memory. A server's answer could come after its death, into memory that is somebody else's by then.</remarks>
    internal bool TryBypassCache()
    {
        if (Libc.fstatfs(Descriptor, out Libc.Statfs system) != 0 || !s_ownDisks.Contains(system.Type))
            return false;
        int flags = Libc.fcntl(Descriptor, Libc.F_GETFL, (nint)0);
        return _bypassesCache = flags >= 0 && Libc.fcntl(Descriptor, Libc.F_SETFL, flags | Libc.O_DIRECT) == 0;
    }

    /// <summary>The file system took O_DIRECT and refuses these sizes or addresses all the same (a medium with larger sectors): through the page cache from now on.</summary>
    private bool TryUseCache()
    {
        if (!_bypassesCache)
            return false;
        _bypassesCache = false;
        int flags = Libc.fcntl(Descriptor, Libc.F_GETFL, (nint)0);
        return flags >= 0 && Libc.fcntl(Descriptor, Libc.F_SETFL, flags & ~Libc.O_DIRECT) == 0;
    }

    /// <summary>Whether reads and writes pass by the page cache. If not, <see cref="TrySync"/> tells whether what was written is on the medium.</summary>
    internal bool BypassesCache => _bypassesCache;

    /// <summary>Reads into the parts, one after the other, from <paramref name="offset"/> on. 0 or errno; <paramref name="bytesRead"/> is less than asked for at the end of the file. The parts are used up.</summary>
    /// <param name="offset">In the file.</param>
    /// <param name="parts">Where to.</param>
    /// <param name="bytesRead">How many.</param>
    /// <param name="pieceBytes">Most bytes of one call to the system, a multiple of 4 KiB.</param>
    /// <param name="onPiece">Told after each call that was not the last.</param>
    internal int TryReadParts(long offset, Span<IoPart> parts, out long bytesRead, int pieceBytes = int.MaxValue, Action? onPiece = null) => Transfer(offset, parts, write: false, out bytesRead, pieceBytes, onPiece);

    /// <summary>Writes the parts, one after the other, from <paramref name="offset"/> on. 0 or errno, after which some of it may be written. The parts are used up.</summary>
    /// <inheritdoc cref="TryReadParts"/>
    internal int TryWriteParts(long offset, Span<IoPart> parts, int pieceBytes = int.MaxValue, Action? onPiece = null) => Transfer(offset, parts, write: true, out _, pieceBytes, onPiece);

    private int Transfer(long offset, Span<IoPart> parts, bool write, out long done, int pieceBytes, Action? onPiece)
    {
        done = 0;
        fixed (IoPart* all = parts)
        {
            for (int first = 0; first < parts.Length;) // Ends: each call gets on, or returns.
            {
                if (all[first].Bytes == 0)
                {
                    first++;
                    continue;
                }
                int count = 0;
                long asked = 0;
                while (count < Math.Min(parts.Length - first, SocketIo.PartCountMax) && asked < pieceBytes) // Ends with the parts.
                    asked += (long)all[first + count++].Bytes;
                nuint later = (nuint)Math.Max(asked - pieceBytes, 0); // Of the last part.
                IoPart* last = all + first + count - 1;
                last->Bytes -= later;
                nint n = write ? Libc.pwritev(Descriptor, all + first, count, offset + done) : Libc.preadv(Descriptor, all + first, count, offset + done);
                int errno = n < 0 ? Marshal.GetLastPInvokeError() : 0;
                last->Bytes += later;
                if (n < 0)
                {
                    if (errno == Libc.EINTR)
                        continue; // Ends with the signals: the runtime sends a bounded number of them.
                    if (errno == Libc.EINVAL && TryUseCache())
                        continue; // Once.
                    return errno;
                }
                if (n == 0)
                    return write ? Libc.EIO : 0;
                done += n;
                for (nuint left = (nuint)n; left > 0;) // Ends: the kernel took no more than there was.
                {
                    nuint taken = Math.Min(left, all[first].Bytes);
                    all[first].Address += taken;
                    all[first].Bytes -= taken;
                    left -= taken;
                    if (all[first].Bytes == 0)
                        first++;
                }
                if (later > 0)
                    onPiece?.Invoke();
            }
            return 0;
        }
    }

    /// <summary>Takes a shared or exclusive lock on byte <paramref name="at"/> for this open file description, or changes the one that it has; false when another description's lock is in the way. It ends with the description.</summary>
    internal bool TryLock(long at, bool exclusive)
    {
        var request = new Libc.Flock { Type = exclusive ? Libc.F_WRLCK : Libc.F_RDLCK, Start = at, Length = 1 };
        if (Libc.fcntl(Descriptor, Libc.F_OFD_SETLK, &request) == 0)
            return true;
        int errno = Marshal.GetLastPInvokeError();
        return errno is Libc.EAGAIN or Libc.EACCES ? false : throw new OsException("lock", $"byte {at} of {Path}", errno);
    }

    /// <summary>Gives a lock of <see cref="TryLock"/> back.</summary>
    internal void Unlock(long at)
    {
        var request = new Libc.Flock { Type = Libc.F_UNLCK, Start = at, Length = 1 };
        if (Libc.fcntl(Descriptor, Libc.F_OFD_SETLK, &request) != 0)
            throw OsException.FromLastError("unlock", $"byte {at} of {Path}");
    }

    /// <summary>What was written is on the medium when this returns. 0 or errno.</summary>
    internal int TrySync() => Libc.fdatasync(Descriptor) == 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>Size of the file system of this file, and what of it a user without privileges can still take. 0 or errno.</summary>
    internal int TryGetSpace(out long totalBytes, out long availableBytes)
    {
        int result = Libc.fstatvfs(Descriptor, out Libc.Statvfs stat);
        totalBytes = (long)(stat.Blocks * stat.FragmentBytes);
        availableBytes = (long)(stat.BlocksAvailable * stat.FragmentBytes);
        return result == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    /// <summary>Gives the file its final name in one step; false when that name is taken.</summary>
    internal static bool TryLink(string directory, string from, string to)
    {
        if (Libc.link(Combine(directory, from), Combine(directory, to)) == 0)
            return true;
        return Marshal.GetLastPInvokeError() is var errno && errno == Libc.EEXIST
            ? false
            : throw new OsException("link", $"{Combine(directory, from)} to {to}", errno);
    }

    /// <summary>Removes a name; false when there was none.</summary>
    internal static bool TryUnlink(string directory, string name)
    {
        if (Libc.unlink(Combine(directory, name)) == 0)
            return true;
        return Marshal.GetLastPInvokeError() is var errno && errno == Libc.ENOENT
            ? false
            : throw new OsException("unlink", Combine(directory, name), errno);
    }

    /// <summary>Gives a file another name in one step; a file that has that name loses it.</summary>
    internal static void Rename(string directory, string from, string to)
    {
        if (Libc.rename(Combine(directory, from), Combine(directory, to)) != 0)
            throw OsException.FromLastError("rename", $"{Combine(directory, from)} to {to}");
    }

    /// <summary>Names that were made, changed or removed in a folder are so on the medium when this returns.</summary>
    internal static void SyncFolder(string directory)
    {
        int fd = Libc.open(directory, Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0);
        if (fd < 0)
            throw OsException.FromLastError("open", directory);
        int errno = Libc.fsync(fd) == 0 ? 0 : Marshal.GetLastPInvokeError();
        _ = Libc.close(fd);
        if (errno is not (0 or Libc.EINVAL)) // Where folders cannot be synchronized, there is nothing to do.
            throw new OsException("fsync", directory, errno);
    }

    public void Dispose() => _handle.Dispose();

    private static int OpenDescriptor(string directory, string name, int flags, uint mode)
    {
        // Non-blocking means nothing for a regular file; a pipe that somebody put under the name would keep the opener waiting for ever.
        flags |= Libc.O_CLOEXEC | Libc.O_NOFOLLOW | Libc.O_NONBLOCK;
        return directory == SharedMemoryDirectory ? Libc.shm_open("/" + name, flags, mode) : Libc.open(Combine(directory, name), flags, mode);
    }
}
