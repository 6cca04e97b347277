using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace FastPlasma.Worker;

/// <summary>What a recorded call did.</summary>
internal enum CallKind
{
    None, Create, Put, Seal, Dispose, Abort, Get, Contains, Delete,
}

/// <summary>One call of a history: what was asked, what was answered, and when, on the clock that all processes share.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RecordedCall
{
    /// <summary>Answer of a get whose bytes are not those of one creation.</summary>
    internal const ulong TornContent = ulong.MaxValue;

    internal CallKind Kind;

    /// <summary>Number of the id.</summary>
    internal int Id;

    /// <summary>Before the call; 0 when it was never made.</summary>
    internal long Invoked;

    /// <summary>After the call; 0 when the process died in it.</summary>
    internal long Returned;

    /// <summary>Creation (<see cref="NameOf"/>) that the call makes or ends; of a get, the one whose bytes it read.</summary>
    internal ulong Name;

    internal PlasmaStatus Status;
    internal int Process;
    internal int Thread;
    internal int Number;

    /// <summary>Name of a creation by the call that makes it; fills the object's payload. Never 0.</summary>
    internal static ulong NameOf(int process, int thread, int round, int number) => ((ulong)(process + 1) << 48) | ((ulong)thread << 40) | ((ulong)(ushort)round << 24) | (uint)number;

    internal static int ProcessOf(ulong name) => (int)(name >> 48) - 1;
}

/// <summary>Place of a process's calls in a file that both sides map: written while the calls run at the cost of a store, and there also when the process is killed.</summary>
internal sealed unsafe class RecordFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly RecordedCall* _calls;

    internal RecordFile(string path, int callCount)
    {
        CallCount = callCount;
        long bytes = (long)callCount * sizeof(RecordedCall);
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.OpenOrCreate, null, bytes);
        _view = _file.CreateViewAccessor(0, bytes);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _calls = (RecordedCall*)start;
    }

    internal int CallCount { get; }

    internal Span<RecordedCall> Calls => new(_calls, CallCount);

    internal RecordedCall* At(int index) => index < CallCount ? _calls + index : throw new ArgumentOutOfRangeException(nameof(index));

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
