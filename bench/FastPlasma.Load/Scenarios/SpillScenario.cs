using System.Diagnostics;
using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What does it cost to work with more than there is memory for?</summary>
internal sealed class SpillScenario : IScenario
{
    private const long VolumeFull = 20L << 30, VolumeQuick = 2L << 30, CapacityFull = 2L << 30, CapacityQuick = 256L << 20, PacedCapacityFull = 1L << 30, PacedCapacityQuick = 128L << 20;
    private const int Threads = 4, PacedBytes = 1 << 20, SliceBytes = 1 << 30;

    public string Name => "spill";

    public string Question => "How fast does a working set of many times the store's memory go to disk and come back, and what does a put notice of it?";

    public string Method =>
        "One process puts 20 GiB (quick: 2 GiB) of objects of 64 KB to 64 MB into a store of 2 GiB (quick: 256 MiB) that spills to a directory below TMPDIR, and sees to it that all are on disk; then it gets all of them and checks every byte. Four threads each, so that the disk has work while bytes are checked. Ceiling: dd writes and reads as many bytes of one file there, " +
        "in pieces of 4 MiB past the page cache, after the puts and gets. Paced: objects of 1 MiB at a third of dd's rate, each timed from the moment at which it is due, into a store of 1 GiB (quick: 128 MiB) that has room for a third of them; ceiling: into one that has room for all of them.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        long volume = context.Pick(VolumeFull, VolumeQuick), capacity = context.Pick(CapacityFull, CapacityQuick);
        string disk = Directory.CreateTempSubdirectory("fastplasma-load-spill-").FullName;
        try
        {
            context.Guard(results, product, "", () =>
            {
                context.RequireMemory(2 * capacity);
                if (new DriveInfo(disk).AvailableFreeSpace < 3 * volume)
                    throw new PeerException($"{disk} has not three times {Units.Size(volume)} free", isLimit: true);
                string folder = context.Folder.CreateNext();
                double writeRate = Stream(context, results, product, folder, disk, volume, capacity);
                Paced(context, results, product, folder, disk, context.Pick(PacedCapacityFull, PacedCapacityQuick), (long)(writeRate / 3));
            });
        }
        finally
        {
            Directory.Delete(disk, recursive: true);
        }
        return results;
    }

    private static double Stream(LoadContext context, ScenarioResult results, IPeer product, string folder, string disk, long volume, long capacity)
    {
        double putSeconds = 0, getSeconds = 0, bytes = 0;
        int objects = 0;
        using (WorkerProcess store = WorkerProcess.StartPart(context, SpillPart.PartName, folder, "stream", Text(capacity), disk, Text(Threads)))
        {
            store.PartResult();
            for (long done = 0; done < volume; done += SliceBytes)
            {
                context.Report($"put {Units.Size(done)} of {Units.Size(volume)}");
                WorkResult put = Order(store, $"put {SliceBytes}");
                (putSeconds, bytes, objects) = (putSeconds + put.Seconds, bytes + put.Figures[0], objects + (int)put.Operations);
            }
            putSeconds += Order(store, "unload").Seconds;
            for (long done = 0; done < volume; done += SliceBytes)
            {
                context.Report($"got {Units.Size(done)} of {Units.Size(volume)}");
                getSeconds += Order(store, $"get {SliceBytes}").Seconds;
            }
        }
        PlasmaStore.Destroy("stream", folder);
        context.Report("dd");
        string file = Path.Combine(disk, "dd"), source = Path.Combine(folder, "dd-source");
        double writeRate, readRate;
        try
        {
            Dd(context, "if=/dev/urandom", $"of={source}", "bs=4M", $"count={(256 << 20) / (4 << 20)}");
            writeRate = Rate(volume, () =>
            {
                for (long at = 0; at < volume; at += 256 << 20)
                    Dd(context, $"if={source}", $"of={file}", "bs=4M", $"seek={at / (4 << 20)}", "oflag=direct", "conv=notrunc");
            });
            readRate = Rate(volume, () => Dd(context, $"if={file}", "of=/dev/null", "bs=4M", "iflag=direct"));
        }
        finally
        {
            File.Delete(file);
            File.Delete(source);
        }
        string name = $"{Units.Size(volume)} through {Units.Size(capacity)}";
        foreach ((string what, double rate, double seconds) in (ReadOnlySpan<(string, double, double)>)[("put", writeRate, putSeconds), ("get", readRate, getSeconds)])
        {
            results.Add(PeerList.Ceiling, $"{what} of {name}", FigureKind.OperationsPerSecond, MegabytesOf(rate), 1_000_000, "dd, bs=4M, direct");
            results.Add(product, $"{what} of {name}", FigureKind.OperationsPerSecond, MegabytesOf(bytes / seconds), 1_000_000, $"{objects} objects, every byte checked");
        }
        return writeRate;
    }

    private static void Paced(LoadContext context, ScenarioResult results, IPeer product, string folder, string disk, long capacity, long rate)
    {
        int count = (int)(3 * capacity / PacedBytes);
        foreach ((string peer, long memory, string where) in (ReadOnlySpan<(string, long, string)>)[(PeerList.Ceiling.Name, 4 * capacity, ""), (product.Name, capacity, disk)])
        {
            using (WorkerProcess store = WorkerProcess.StartPart(context, SpillPart.PartName, folder, "paced", Text(memory), where, Text(1)))
            {
                store.PartResult();
                context.Report($"paced puts, {peer}");
                WorkResult result = Order(store, $"pace {count} {PacedBytes} {rate}");
                results.Add(peer, "paced put of 1 MiB", FigureKind.P99Ns, Measurement.OfRounds([result]), PacedBytes, $"{result.Figures[0] / 1e6:0} MB were on disk at the end, {rate / 1e6:0} MB/s");
            }
            PlasmaStore.Destroy("paced", folder);
        }
    }

    private static WorkResult Order(WorkerProcess store, string line)
    {
        store.Say(line);
        return store.PartResult();
    }

    private static Measurement MegabytesOf(double bytesPerSecond) => Measurement.Of(new WorkResult { Operations = 1, OperationsPerSecond = bytesPerSecond / 1e6 });

    private static double Rate(long bytes, Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return bytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void Dd(LoadContext context, params string[] arguments)
    {
        context.Cancellation.ThrowIfCancellationRequested();
        using Process dd = Process.Start(new ProcessStartInfo("dd", arguments) { RedirectStandardError = true })!;
        string said = dd.StandardError.ReadToEnd();
        dd.WaitForExit();
        if (dd.ExitCode != 0)
            throw new PeerException($"dd {string.Join(' ', arguments)}: {said}", isLimit: false);
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
