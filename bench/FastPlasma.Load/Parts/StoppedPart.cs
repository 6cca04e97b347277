using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Parts;

/// <summary>Creates and deletes without a pause, and tells in a shared page when it is inside an operation. Arguments: folder of the store, page, process id of the driver.</summary>
internal sealed unsafe class StoppedWriterPart : IPart
{
    internal const string PartName = "stopped-writer";
    private const int PayloadBytes = 4000, KeyCount = 64, FirstKey = 1 << 20;

    public string Name => PartName;

    /// <summary>Not 0 while it is inside an operation.</summary>
    internal static long* Busy(SharedPage page) => page.Word(0);

    /// <summary>While it is odd the writer rests between two operations.</summary>
    internal static long* Pause(SharedPage page) => page.Word(1);

    /// <summary>The pause in which the writer rests, or rested last.</summary>
    internal static long* Resting(SharedPage page) => page.Word(2);

    public void Run(ParentPipe parent, string[] arguments)
    {
        ChildSignals.DieWith(int.Parse(arguments[2], CultureInfo.InvariantCulture));
        using PlasmaStore store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = arguments[0] });
        using var page = new SharedPage(arguments[1]);
        byte[] payload = new byte[PayloadBytes];
        for (int i = 0; ; i++) // Ends with the process.
        {
            long pause = Volatile.Read(ref *Pause(page));
            if ((pause & 1) != 0)
            {
                Volatile.Write(ref *Resting(page), pause);
                while (Volatile.Read(ref *Pause(page)) == pause) // Ends with the pause or the process.
                    Thread.Sleep(1);
            }

            ObjectId id = HolderPart.Id(FirstKey + (i % KeyCount));
            Volatile.Write(ref *Busy(page), 1);
            store.Put(id, payload);
            if (store.Delete(id) is var status and not PlasmaStatus.Ok)
                throw new InvalidOperationException($"A delete of the own object answered {status}.");
            Volatile.Write(ref *Busy(page), 0);
        }
    }
}

/// <summary>Times gets one by one when it is told to. Argument: folder of the store.</summary>
internal sealed class StoppedReaderPart : IPart
{
    internal const string PartName = "stopped-reader", Ready = "ready";
    private const int WarmGets = 100_000, Stride = 617;

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        using PlasmaStore store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = arguments[0] });
        byte[] payload = new byte[HolderPart.PayloadBytes];
        ObjectId[] ids = [.. Enumerable.Range(0, HolderPart.ResidentCount).Select(HolderPart.Id)];
        foreach (ref readonly ObjectId id in ids.AsSpan())
            store.Put(id, payload);
        Time(store, ids, WarmGets);
        parent.Send(Ready);
        while (parent.Receive() is var line and not ParentPipe.Exit)
            parent.SendResult(Time(store, ids, int.Parse(line, CultureInfo.InvariantCulture)));
    }

    private static WorkResult Time(PlasmaStore store, ObjectId[] ids, int gets)
    {
        var latencies = new Latencies();
        int[] collections = [GC.CollectionCount(0), GC.CollectionCount(1), GC.CollectionCount(2)];
        long allocated = GC.GetAllocatedBytesForCurrentThread(), begin = Stopwatch.GetTimestamp();
        for (int i = 0, next = 0; i < gets; i++, next = (next + Stride) % ids.Length)
        {
            long start = Stopwatch.GetTimestamp();
            bool found = store.TryGet(ids[next], out PlasmaObject obj);
            long ticks = Stopwatch.GetTimestamp() - start;
            obj.Dispose();
            if (!found)
                throw new InvalidOperationException($"Resident object {next} is not there.");
            latencies.Record(ticks, 1);
        }

        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        return new WorkResult
        {
            Operations = gets,
            OperationsPerSecond = gets / seconds,
            AllocatedBytes = allocated,
            Collections = [.. collections.Select(static (before, generation) => GC.CollectionCount(generation) - before)],
            Pairs = latencies.ToPairs(),
        };
    }
}
