using System.Globalization;
using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>Life tokens: one byte of a lock file per participant, locked with an open-file-description lock that the kernel drops when the holder dies.</summary>
/// <remarks>
/// Each instance is one open file description. A lock never conflicts with locks of the same description, so a process holds its own token on one
/// instance and probes others on a second one. The descriptor is not duplicated and not inherited by another program, so nothing but death,
/// <see cref="Release"/> or <see cref="Dispose"/> ends a lock. A forked child shares the description, and keeps the lock until it ends, calls exec or disposes its copy. Source: fcntl(2), "Open file description locks".
/// </remarks>
internal sealed unsafe class LifeTokens : IDisposable
{
    private readonly SharedFile _file;

    /// <summary>Takes ownership of <paramref name="file"/>, which must be a description of its own, open for writing.</summary>
    internal LifeTokens(SharedFile file) => _file = file;

    internal string Path => _file.Path;

    /// <summary>Takes token <paramref name="index"/> unless somebody else holds it.</summary>
    internal bool TryAcquire(int index)
    {
        var request = new Libc.Flock { Type = Libc.F_WRLCK, Start = index, Length = 1 };
        if (Libc.fcntl(_file.Descriptor, Libc.F_OFD_SETLK, &request) == 0)
            return true;
        int errno = Marshal.GetLastPInvokeError();
        return errno is Libc.EAGAIN or Libc.EACCES ? false : throw new OsException("lock", $"byte {index} of {_file.Path}", errno);
    }

    /// <summary>Gives token <paramref name="index"/> back.</summary>
    internal void Release(int index)
    {
        var request = new Libc.Flock { Type = Libc.F_UNLCK, Start = index, Length = 1 };
        if (Libc.fcntl(_file.Descriptor, Libc.F_OFD_SETLK, &request) != 0)
            throw OsException.FromLastError("unlock", $"byte {index} of {_file.Path}");
    }

    /// <summary>Whether another description holds token <paramref name="index"/>. Only a hint: what it says may be over at once.</summary>
    internal bool IsHeldElsewhere(int index)
    {
        var request = new Libc.Flock { Type = Libc.F_WRLCK, Start = index, Length = 1 };
        if (Libc.fcntl(_file.Descriptor, Libc.F_OFD_GETLK, &request) != 0)
            throw OsException.FromLastError("query lock of", $"byte {index} of {_file.Path}");
        return request.Type != Libc.F_UNLCK;
    }

    /// <summary>Processes of this pid namespace that have a description with token <paramref name="index"/> of a lock file; those whose descriptors this user may not see are left out.</summary>
    internal static List<int> KeepersOf(string path, int index)
    {
        var keepers = new List<int>();
        string range = string.Create(CultureInfo.InvariantCulture, $" {index} {index}");
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(System.IO.Path.GetFileName(process), NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                continue;
            try
            {
                foreach (string descriptor in Directory.EnumerateFileSystemEntries($"{process}/fd"))
                    if (new FileInfo(descriptor).LinkTarget is { } target && (target == path || target == path + " (deleted)")
                        && File.ReadLines($"{process}/fdinfo/{System.IO.Path.GetFileName(descriptor)}").Any(line => line.Contains("OFDLCK", StringComparison.Ordinal) && line.EndsWith(range, StringComparison.Ordinal)))
                    {
                        keepers.Add(id);
                        break;
                    }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended meanwhile, or is another user's.
            }
        }
        return keepers;
    }

    public void Dispose() => _file.Dispose();
}
