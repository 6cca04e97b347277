using System.IO.MemoryMappedFiles;

namespace FastPlasma.Cli.Bench;

/// <summary>A page shared by the two processes of a wake scenario: the bare words of the ceiling, and their handshake.</summary>
internal sealed unsafe class SharedWords : IDisposable
{
    private const int PageBytes = 4096;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly string? _created;
    private readonly byte* _page;

    private SharedWords(string path, bool create)
    {
        _created = create ? path : null;
        _file = MemoryMappedFile.CreateFromFile(path, create ? FileMode.CreateNew : FileMode.Open, mapName: null, create ? PageBytes : 0);
        _view = _file.CreateViewAccessor(0, PageBytes);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _page);
    }

    /// <summary>Place of the file.</summary>
    internal string Path => _created ?? "";

    /// <summary>Incremented by the waker.</summary>
    internal uint* Sequence => (uint*)_page;

    /// <summary>Clock reading of the waker, just before it acts.</summary>
    internal long* WokenAt => (long*)(_page + 128);

    /// <summary>Step for which the sleeper is about to sleep.</summary>
    internal int* SleeperStep => (int*)(_page + 256);

    internal static SharedWords Create()
    {
        string directory = Directory.Exists("/dev/shm") ? "/dev/shm" : System.IO.Path.GetTempPath();
        return new SharedWords(System.IO.Path.Combine(directory, $"fastplasma-bench-words-{Guid.NewGuid():N}"), create: true);
    }

    /// <summary>Maps the page and removes its name: both processes have it now, and nothing stays behind when they are killed.</summary>
    internal static SharedWords Open(string path)
    {
        SharedWords words = new(path, create: false);
        if (!OperatingSystem.IsWindows())
            File.Delete(path);
        return words;
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        if (_created is not null)
            File.Delete(_created);
    }
}
