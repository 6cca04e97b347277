using System.Diagnostics;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Stress.Storms;

/// <summary>What the ledger knows about a key.</summary>
internal enum KeyState
{
    /// <summary>There is no object.</summary>
    Absent,

    /// <summary>The owner is creating it: it may be there or not.</summary>
    Creating,

    /// <summary>It was sealed and nobody has begun to delete it: it must be there, with the bytes of the nonce.</summary>
    Sealed,

    /// <summary>The owner is deleting it, or finding out whether it is there.</summary>
    Deleting,

    /// <summary>The owner died while creating or deleting: if it is there, it has the bytes of the nonce.</summary>
    Unknown,
}

/// <summary>Value of a key's word: nonce 32 | owner 28 | state 4. A nonce is never used twice, so neither is a word with Sealed in it.</summary>
internal readonly record struct KeyWord(ulong Value)
{
    internal KeyWord(KeyState state, int owner, uint nonce)
        : this(((ulong)nonce << 32) | ((ulong)(uint)owner << 4) | (ulong)state)
    {
    }

    internal KeyState State => (KeyState)(Value & 15);

    internal int Owner => (int)((uint)Value >> 4);

    internal uint Nonce => (uint)(Value >> 32);
}

/// <summary>Parts of an operation that a process may be in.</summary>
internal enum Operation
{
    None, Attach, Detach, Put, Create, Seal, Abort, Get, Release, Delete, Evict, Trim, WaitOne, WaitAny, Subscribe, ReadEvent, Maintain, Probe,
}

/// <summary>What is wrong, as a process saw it.</summary>
internal enum FaultKind
{
    /// <summary>A sealed object is gone, or its bytes are not its own.</summary>
    Lost = 1,

    /// <summary>An operation ended in a way that is not one of its outcomes.</summary>
    Error = 2,
}

/// <summary>What one process tells the parent. Written by the process except where noted.</summary>
/// <remarks><code>
/// off bytes field
///   0    8  OperationStart     Stopwatch ticks; 0 between operations
///   8    4  Operation
///  12    4  OperationBoundMs
///  16    8  Operations         ended
///  24    8  Gets               ended
///  32    8  StallTicks         longest get while another process was stopped and this one was not
///  40    4  Quiet              number of the pause in which it holds nothing
///  44    4  StopCount          parent: stops and continues of this process
///  48    4  FaultCount
///  52    4  FaultKind          of the first one
///  56    4  TextBytes
///  60    4  Away               gets whose object was on disk and did not come in time
///  64  960  Text               of the first one
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct ProcessRecord
{
    internal const int SizeBytes = 1024, TextBytesMax = SizeBytes - 64;
    [FieldOffset(0)] internal long OperationStart;
    [FieldOffset(8)] internal int Operation;
    [FieldOffset(12)] internal int OperationBoundMs;
    [FieldOffset(16)] internal long Operations;
    [FieldOffset(24)] internal long Gets;
    [FieldOffset(32)] internal long StallTicks;
    [FieldOffset(40)] internal int Quiet;
    [FieldOffset(44)] internal int StopCount;
    [FieldOffset(48)] internal int FaultCount;
    [FieldOffset(52)] internal int FaultKind;
    [FieldOffset(56)] internal int TextBytes;
    [FieldOffset(60)] internal int Away;
    [FieldOffset(64)] internal fixed byte Text[TextBytesMax];
}

/// <summary>The truth outside the store: a file in shared memory in which processes say what they have done. A store to it survives the death of its writer at the next instruction.</summary>
/// <remarks>
/// The rules that make it a judge: Creating is written before a create, Sealed after Seal has said Ok, Deleting before a delete. Only the owner of a word in Creating or Deleting
/// changes it; when the owner has died, the parent makes it Unknown.
/// </remarks>
internal sealed unsafe class Ledger : IDisposable
{
    /// <summary>Keys with a word here, whose objects nobody may drop.</summary>
    internal const int KeepCount = 384;

    /// <summary>The last of them is for planted faults only.</summary>
    internal const int PlantedKey = KeepCount - 1;

    /// <summary>Keys of evictable objects that everybody creates, deletes and evicts without asking.</summary>
    internal const int ContestedCount = 256;

    internal const int ProcessCountMax = 64, SampleCountMax = 1 << 16;

    private const int HeaderBytes = 4096, PauseOffset = 0, StoppedOffset = 4, NonceOffset = 8, SampleCountOffset = 64;
    private const int ProcessesOffset = HeaderBytes, KeysOffset = ProcessesOffset + ProcessCountMax * ProcessRecord.SizeBytes, SamplesOffset = KeysOffset + KeepCount * sizeof(ulong);
    private const int SizeBytes = SamplesOffset + SampleCountMax * sizeof(int);

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _base;

    private Ledger(MemoryMappedFile file)
    {
        _file = file;
        _view = file.CreateViewAccessor(0, SizeBytes);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _base);
    }

    /// <summary>Number of the pause that the parent wants; even numbers: none.</summary>
    internal ref int Pause => ref *(int*)(_base + PauseOffset);

    /// <summary>Processes that are stopped now.</summary>
    internal ref int Stopped => ref *(int*)(_base + StoppedOffset);

    internal static string PathOf(string store) => $"/dev/shm/fastplasma.{store}.ledger";

    internal static Ledger Create(string store) => new(MemoryMappedFile.CreateFromFile(
        new FileStream(PathOf(store), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite, 1), null, SizeBytes, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false));

    internal static Ledger Open(string store) => new(MemoryMappedFile.CreateFromFile(
        new FileStream(PathOf(store), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 1), null, SizeBytes, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false));

    // SAFETY for all of these: the view has SizeBytes bytes; the numbers are below the counts above.
    internal ProcessRecord* Process(int place) => (ProcessRecord*)(_base + ProcessesOffset) + place;

    private ulong* Key(int key) => (ulong*)(_base + KeysOffset) + key;

    internal KeyWord Read(int key) => new(Volatile.Read(ref *Key(key)));

    internal bool TryChange(int key, KeyWord from, KeyWord to) => Interlocked.CompareExchange(ref *Key(key), to.Value, from.Value) == from.Value;

    /// <summary>The end of what the caller owns; its word is still what it wrote.</summary>
    internal void Change(int key, KeyWord from, KeyWord to)
    {
        if (!TryChange(key, from, to))
            throw new InvalidOperationException($"Word of key {key} is {Read(key)} instead of {from}: the ledger itself is wrong.");
    }

    internal uint NextNonce() => (uint)Interlocked.Increment(ref *(int*)(_base + NonceOffset));

    /// <summary>What a dead process was creating or deleting may be there or not. The caller has reaped it.</summary>
    internal void Disown(int owner)
    {
        for (int key = 0; key < KeepCount; key++)
        {
            KeyWord word = Read(key);
            if (word.Owner == owner && word.State is KeyState.Creating or KeyState.Deleting)
                Change(key, word, new KeyWord(KeyState.Unknown, 0, word.Nonce));
        }
    }

    /// <summary>Work time of one recovery, in microseconds.</summary>
    internal void AddSample(int microseconds)
    {
        int i = Interlocked.Increment(ref *(int*)(_base + SampleCountOffset)) - 1;
        if ((uint)i < SampleCountMax)
            ((int*)(_base + SamplesOffset))[i] = microseconds;
    }

    internal double[] Samples()
    {
        int count = Math.Min(Volatile.Read(ref *(int*)(_base + SampleCountOffset)), SampleCountMax);
        var samples = new double[count];
        for (int i = 0; i < count; i++)
            samples[i] = ((int*)(_base + SamplesOffset))[i];
        return samples;
    }

    /// <summary>Tells the parent; only the first text of a process is kept.</summary>
    internal void Report(int place, FaultKind kind, string text)
    {
        ProcessRecord* process = Process(place);
        if (Volatile.Read(ref process->FaultCount) == 0)
        {
            process->FaultKind = (int)kind;
            Encoding.UTF8.TryGetBytes(text.Length > ProcessRecord.TextBytesMax / 3 ? text[..(ProcessRecord.TextBytesMax / 3)] : text, new Span<byte>(process->Text, ProcessRecord.TextBytesMax), out int bytes);
            process->TextBytes = bytes;
        }
        Volatile.Write(ref process->FaultCount, process->FaultCount + 1);
    }

    internal static string TextOf(ProcessRecord* process) => Encoding.UTF8.GetString(process->Text, Math.Clamp(process->TextBytes, 0, ProcessRecord.TextBytesMax));

    /// <summary>How long the present operation of a process has been under way, not counting what lies before <paramref name="since"/>; zero when there is none.</summary>
    internal static TimeSpan InOperation(ProcessRecord* process, long since)
    {
        long start = Volatile.Read(ref process->OperationStart);
        return start == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(Math.Max(start, since));
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
