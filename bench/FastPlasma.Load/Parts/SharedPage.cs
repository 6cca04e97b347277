using System.IO.MemoryMappedFiles;

namespace FastPlasma.Load.Parts;

/// <summary>A page that the processes of a scenario share, in the run's folder: bare words, 128 bytes apart, so that no two of them lie on lines that a processor fetches together.</summary>
internal sealed unsafe class SharedPage : IDisposable
{
    private const int PageBytes = 4096, WordPitch = 128;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _page;

    /// <summary>Maps it; the first who does makes it.</summary>
    internal SharedPage(string path)
    {
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.OpenOrCreate, mapName: null, PageBytes);
        _view = _file.CreateViewAccessor(0, PageBytes);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _page);
    }

    /// <summary>A word by number, 0 at first.</summary>
    internal long* Word(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)(PageBytes / WordPitch), nameof(index));
        return (long*)(_page + (index * WordPitch));
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
