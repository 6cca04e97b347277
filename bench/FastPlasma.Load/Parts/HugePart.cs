using System.Diagnostics;
using System.Globalization;
using System.IO.MemoryMappedFiles;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Parts;

/// <summary>Puts objects into memory that nobody has touched, until it is used up. Arguments: a folder in memory; one of <see cref="Never"/>, <see cref="Auto"/>, <see cref="HugeTmpfs"/>, <see cref="Pool"/>, <see cref="Touch"/>; bytes. Stores lie in the folder.</summary>
internal sealed unsafe class HugePart : IPart
{
    internal const string PartName = "huge", Never = "never", Auto = "auto", HugeTmpfs = "tmpfs", Pool = "hugetlbfs", Touch = "touch";

    /// <summary>Size of one object.</summary>
    internal const int ObjectBytes = 16 << 20;

    private const int PageBytes = 4096;
    private const long CapacityQuantumBytes = 2L << 20;

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        long bytes = long.Parse(arguments[2], CultureInfo.InvariantCulture);
        byte[] payload = new byte[ObjectBytes];
        new Random(1).NextBytes(payload);
        while (parent.Receive() is not ParentPipe.Exit)
            parent.SendResult(arguments[1] == Touch ? FirstTouch(arguments[0], bytes) : Put(arguments[0], arguments[1], bytes, payload));
    }

    private static WorkResult Put(string folder, string kind, long bytes, byte[] payload)
    {
        string name = $"huge-{Guid.NewGuid():N}";
        var options = new PlasmaOptions
        {
            // One chunk more than the objects, for what the store itself may take; nothing is prepared ahead.
            CapacityBytes = bytes + CapacityQuantumBytes,
            Directory = folder,
            HugePages = kind switch { Never => HugePages.Never, Pool => HugePages.Require, _ => HugePages.Auto },
            PopulateAheadBytes = 0,
        };
        using PlasmaStore store = PlasmaStore.Create(name, options);
        try
        {
            var latencies = new Latencies();
            long timed = 0, count = bytes / ObjectBytes;
            for (int i = 0; i < count; i++)
            {
                ObjectId id = HolderPart.Id(i);
                long start = Stopwatch.GetTimestamp();
                store.Put(id, payload);
                long ticks = Stopwatch.GetTimestamp() - start;
                latencies.Record(ticks, 1);
                timed += ticks;
            }

            return new WorkResult
            {
                Operations = count,
                OperationsPerSecond = count * (double)Stopwatch.Frequency / timed,
                Pairs = latencies.ToPairs(),
                Figures = [store.Stats().HugePageBytes],
            };
        }
        finally
        {
            store.Dispose();
            PlasmaStore.Destroy(name, options.Directory);
        }
    }

    /// <summary>The ceiling: one byte is written to every page of a new mapped file, and nothing is copied.</summary>
    private static WorkResult FirstTouch(string folder, long bytes)
    {
        string path = Path.Combine(folder, $"touch-{Guid.NewGuid():N}");
        try
        {
            using var file = MemoryMappedFile.CreateFromFile(path, FileMode.CreateNew, mapName: null, bytes);
            using MemoryMappedViewAccessor view = file.CreateViewAccessor();
            byte* memory = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref memory);
            var latencies = new Latencies();
            long timed = 0, count = bytes / ObjectBytes;
            for (int i = 0; i < count; i++)
            {
                byte* from = memory + ((long)i * ObjectBytes);
                long start = Stopwatch.GetTimestamp();
                for (long offset = 0; offset < ObjectBytes; offset += PageBytes)
                    from[offset] = 1;
                long ticks = Stopwatch.GetTimestamp() - start;
                latencies.Record(ticks, 1);
                timed += ticks;
            }

            view.SafeMemoryMappedViewHandle.ReleasePointer();
            return new WorkResult { Operations = count, OperationsPerSecond = count * (double)Stopwatch.Frequency / timed, Pairs = latencies.ToPairs(), Figures = [0] };
        }
        finally
        {
            File.Delete(path);
        }
    }
}
