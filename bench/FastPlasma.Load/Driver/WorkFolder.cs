namespace FastPlasma.Load.Driver;

/// <summary>The run's folder in memory, with everything that peers put into files; removed at the end.</summary>
/// <remarks>A lock file, locked by the driver as long as it lives, tells a folder in use from one that a killed run has left; the next run removes those.</remarks>
internal sealed class WorkFolder : IDisposable
{
    private const string Prefix = "fastplasma-load-", LockName = "lock";
    private readonly FileStream _lock;
    private int _next;

    internal WorkFolder()
    {
        string root = Directory.Exists("/dev/shm") ? "/dev/shm" : System.IO.Path.GetTempPath();
        foreach (string left in Directory.EnumerateDirectories(root, Prefix + "*"))
            RemoveIfLeft(left);
        Path = Directory.CreateDirectory(System.IO.Path.Combine(root, $"{Prefix}{Environment.ProcessId}-{Guid.NewGuid():N}"[..32])).FullName;
        _lock = new FileStream(System.IO.Path.Combine(Path, LockName), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
    }

    /// <summary>Where it is.</summary>
    internal string Path { get; }

    /// <summary>Makes an empty folder in it.</summary>
    internal string CreateNext() => Directory.CreateDirectory(System.IO.Path.Combine(Path, $"{Interlocked.Increment(ref _next)}")).FullName;

    public void Dispose()
    {
        _lock.Dispose();
        if (Directory.Exists(Path)) // An orphaned worker may have been first.
            Directory.Delete(Path, recursive: true);
    }

    private static void RemoveIfLeft(string folder)
    {
        try
        {
            string path = System.IO.Path.Combine(folder, LockName);
            if (File.Exists(path))
                new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
            else if (DateTime.UtcNow - Directory.GetCreationTimeUtc(folder) < TimeSpan.FromMinutes(1))
                return; // Another run is about to lock it.
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // In use by another run, or another user's.
        }
    }
}
