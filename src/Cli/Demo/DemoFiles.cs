namespace FastPlasma.Cli.Demo;

/// <summary>The files of a directory that the demo uses, and those that it leaves out.</summary>
internal sealed class DemoFiles
{
    /// <summary>Every consumer holds one pin on each file, and the pins of a process are limited (57,344).</summary>
    private const int FileCountMax = 50_000;

    private readonly List<DemoFile> _files = [];
    private readonly List<string> _skipped = [];
    private readonly string _root;

    private DemoFiles(string root) => _root = root;

    /// <summary>Files in ordinal order of their paths; every second one goes into the store in place.</summary>
    internal IReadOnlyList<DemoFile> Files => _files;

    /// <summary>Paths left out, each with the reason.</summary>
    internal IReadOnlyList<string> Skipped => _skipped;

    /// <summary>Sum of the lengths.</summary>
    internal long TotalBytes => _files.Sum(file => file.Bytes);

    /// <summary>Capacity that holds all files with room for rounding; memory is taken only as it is needed.</summary>
    internal long CapacityBytes => (64L << 20) + _files.Sum(file => file.Bytes + (file.Bytes / 4) + (64 << 10));

    /// <summary>Reads the tree below <paramref name="root"/>.</summary>
    internal static DemoFiles Scan(string root, CancellationToken cancellation)
    {
        DemoFiles found = new(Path.GetFullPath(root));
        found.ScanDirectory(new DirectoryInfo(found._root), cancellation);
        found._files.Sort((left, right) => string.CompareOrdinal(left.Path, right.Path));
        found.SkipBeyondMax();
        for (int i = 0; i < found._files.Count; i++)
        {
            // A byte array cannot hold more; such a file can only be read straight into the store.
            bool beyondArray = found._files[i].Bytes > Array.MaxLength;
            found._files[i] = found._files[i] with { InPlace = i % 2 == 1 || beyondArray };
        }

        return found;
    }

    private void ScanDirectory(DirectoryInfo directory, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        FileSystemInfo[] items;
        try
        {
            items = directory.GetFileSystemInfos();
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            Skip(directory, "unreadable directory");
            return;
        }

        foreach (FileSystemInfo item in items)
        {
            if (item.LinkTarget is not null)
                Skip(item, "symbolic link");
            else if (item is DirectoryInfo child)
                ScanDirectory(child, cancellation);
            else if (item is FileInfo file)
                AddFile(file);
        }
    }

    private void AddFile(FileInfo file)
    {
        try
        {
            // Pipes, sockets and devices have no length; opening one could block, so they are not even tried.
            if (file.Length == 0)
            {
                Skip(file, "empty or no regular file");
                return;
            }

            using var handle = File.OpenHandle(file.FullName);
            _files.Add(new DemoFile(Path.GetRelativePath(_root, file.FullName), RandomAccess.GetLength(handle), InPlace: false));
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            Skip(file, "unreadable");
        }
    }

    private void SkipBeyondMax()
    {
        if (_files.Count <= FileCountMax)
            return;
        _skipped.Add($"{_files.Count - FileCountMax} files beyond the first {FileCountMax}");
        _files.RemoveRange(FileCountMax, _files.Count - FileCountMax);
    }

    private void Skip(FileSystemInfo item, string reason) => _skipped.Add($"{Path.GetRelativePath(_root, item.FullName)}: {reason}");
}
