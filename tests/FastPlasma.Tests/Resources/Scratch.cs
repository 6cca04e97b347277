using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>A store under a name of its own, destroyed with everything at the end.</summary>
internal sealed class ScratchStore : IDisposable
{
    private readonly string? _directory;

    internal ScratchStore(long capacityBytes = 16 << 20, string? directory = null, PlasmaOptions? options = null)
    {
        _directory = directory;
        Name = NewName();
        Store = PlasmaStore.Create(Name, (options ?? new PlasmaOptions()) with { CapacityBytes = capacityBytes, Directory = directory });
    }

    internal string Name { get; }

    internal PlasmaStore Store { get; }

    internal static string NewName() => $"fptest-{Guid.NewGuid():N}"[..24];

    public void Dispose()
    {
        Store.Dispose();
        PlasmaStore.Destroy(Name, _directory);
    }
}

/// <summary>A folder for files, removed at the end.</summary>
internal sealed class ScratchDirectory : IDisposable
{
    internal string Path { get; } = Directory.CreateTempSubdirectory("fptest-").FullName;

    internal string File(string name, byte[] content)
    {
        string path = System.IO.Path.Combine(Path, name);
        System.IO.File.WriteAllBytes(path, content);
        return path;
    }

    /// <summary>A lock file's tokens, each time with a description of their own.</summary>
    internal LifeTokens OpenTokens()
    {
        if (SharedFile.TryOpen(Path, "lock", writable: true) is { } file)
            return new LifeTokens(file);
        return new LifeTokens(SharedFile.Create(Path, "lock", 0x180));
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>A file system of its own in a temporary folder, unmounted at the end.</summary>
internal sealed partial class TempMount : IDisposable
{
    private const ulong ReadOnlyFlag = 1, RemountFlag = 32;
    private const int DetachFlag = 2;

    private readonly string _type;

    /// <param name="type">tmpfs, hugetlbfs or another type that needs no device.</param>
    /// <param name="options">Options of mount(8).</param>
    /// <param name="fallbackType">Type to take, without options, where the kernel does not know the first.</param>
    internal TempMount(string type, string options, string? fallbackType = null)
    {
        _type = type;
        if (mount("fastplasma-test", Path, type, 0, options) == 0)
            return;
        if (fallbackType is not null && Marshal.GetLastPInvokeError() == Libc.EINVAL && mount("fastplasma-test", Path, _type = fallbackType, 0, "") == 0)
            return;
        int errno = Marshal.GetLastPInvokeError();
        Directory.Delete(Path);
        Assert.Fail($"mount -t {type} -o {options}: {OsException.Describe(errno)}. These tests need the right to mount: run them as root with CAP_SYS_ADMIN (in a container: --privileged or --cap-add SYS_ADMIN).");
    }

    internal string Path { get; } = Directory.CreateTempSubdirectory("fptest-mnt-").FullName;

    internal long UsedBytes
    {
        get
        {
            var drive = new DriveInfo(Path);
            return drive.TotalSize - drive.TotalFreeSpace;
        }
    }

    internal void MakeReadOnly() => Remount(RemountFlag | ReadOnlyFlag);

    internal void MakeWritable() => Remount(RemountFlag);

    private void Remount(ulong flags)
    {
        if (mount("fastplasma-test", Path, _type, flags, "") != 0)
            Assert.Fail($"remount {Path}: {OsException.Describe(Marshal.GetLastPInvokeError())}");
    }

    public void Dispose()
    {
        // Detached: what a store of a failed test still maps does not keep the mount in the way.
        if (umount2(Path, DetachFlag) == 0)
            Directory.Delete(Path);
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string source, string target, string type, ulong flags, string options);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);
}

/// <summary>Waiting on conditions, with a watchdog.</summary>
internal static class Poll
{
    internal static void Until(Func<bool> condition, TimeSpan deadline, string what)
    {
        long began = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(began) < deadline, string.Create(CultureInfo.InvariantCulture, $"within {deadline.TotalSeconds} s this did not happen: {what}"));
            Thread.Yield();
        }
    }
}
