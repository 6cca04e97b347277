using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer.Nodes;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma top</summary>
internal static class TopCommand
{
    private static readonly TimeSpan KeyPollTime = TimeSpan.FromMilliseconds(50), IntervalMin = TimeSpan.FromMilliseconds(10);

    private static readonly Option<int?> Count = new("--count", "-n") { Description = "End after this many intervals. Default: q or Ctrl-C ends it.", HelpName = "N" };

    private static readonly Option<TimeSpan?> Interval = new("--interval", "-i")
    {
        Description = "Time between two samples. Default 1s.",
        HelpName = "DURATION",
        CustomParser = static result => Sizes.ParseDuration(result),
    };

    internal static Command Create() => new StoreCommand(
        "top", "Watch a store: memory, rates by operation and the attached processes. With --json one line per interval.",
        "fastplasma top",
        "fastplasma top --count 10 --json > rates.jsonl")
    {
        Count, Interval,
    }.Runs(Run);

    private static int Run(Call call)
    {
        int count = call.Value(Count) ?? int.MaxValue;
        TimeSpan interval = call.Value(Interval) ?? TimeSpan.FromSeconds(1);
        if (count < 1)
            throw CliException.Usage($"--count is {count}; it has to be at least 1");
        if (interval < IntervalMin)
            throw CliException.Usage($"--interval is {Sizes.Duration(interval)}; it has to be at least {Sizes.Duration(IntervalMin)}");

        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        if (call.Json || call.Context.OutTerminal is not { Profile.Capabilities.Ansi: true } terminal)
        {
            Watch(call, store, count, interval, sample => Print(call, sample));
            return ExitCodes.Ok;
        }

        new LiveDisplay(terminal, View(Sample.First(store))) { Overflow = VerticalOverflow.Crop }.Start(live =>
            Watch(call, store, count, interval, sample =>
            {
                live.UpdateTarget(View(sample));
                live.Refresh();
            }));
        return ExitCodes.Ok;
    }

    private static void Watch(Call call, PlasmaStore store, int count, TimeSpan interval, Action<Sample> show)
    {
        bool readsKeys = call.Context.InputIsTerminal && !call.Json;
        Sample sample = Sample.First(store);
        for (; count > 0; count--)
        {
            long began = Stopwatch.GetTimestamp();
            while (interval - Stopwatch.GetElapsedTime(began) is { Ticks: > 0 } left)
            {
                call.Cancellation.WaitHandle.WaitOne(left < KeyPollTime ? left : KeyPollTime);
                if (call.Cancellation.IsCancellationRequested || call.Context.IsOutputClosed())
                    return;
                while (readsKeys && Console.KeyAvailable)
                {
                    if (Console.ReadKey(intercept: true).KeyChar is 'q' or 'Q')
                        return;
                }
            }

            sample = sample.Next(store);
            show(sample);
        }
    }

    private static void Print(Call call, Sample sample)
    {
        if (call.Json)
        {
            call.WriteLine(JsonSerializer.Serialize(new TopJson(sample.Time, sample.Seconds, sample.Stats, sample.Rates!, sample.Node), CliJson.Lines.TopJson));
        }
        else
        {
            call.WriteLine($"{sample.Time:yyyy-MM-ddTHH:mm:ssZ}  {Summary(sample.Stats)}");
            if (sample.Node is { } node)
                call.WriteLine($"node service: {NodesCommand.Line(node)}");
            Rates(sample).WritePlain(call.Context.Output);
            StatCommand.Participants(sample.Stats, sample.Time).WritePlain(call.Context.Output);
            call.WriteLine();
        }

        call.Context.Output.Flush();
    }

    private static string Summary(StoreStats stats) =>
        $"{TextTable.Printable(stats.Name)}: used {Sizes.Bytes(stats.UsedBytes)} of {Sizes.Bytes(stats.CapacityBytes)} ({StatCommand.Percent(stats.UsedBytes, stats.CapacityBytes)}), "
        + $"{Sizes.Count(stats.SealedCount)} objects, {Sizes.Count(stats.CreatingCount)} being created, {Sizes.Count(stats.CondemnedCount)} condemned, largest free run {Sizes.Bytes(stats.LargestFreeRunBytes)}\n"
        + $"evictable {Sizes.Bytes(stats.EvictableBytes)}, to keep {Sizes.Bytes(stats.KeepBytes)}, pinned {Sizes.Bytes(stats.PinnedBytes)}, condemned {Sizes.Bytes(stats.CondemnedBytes)}; {StatCommand.Queue(stats, DateTimeOffset.UtcNow)}"
        + (StatCommand.Disk(stats) is { } disk ? $"\non disk: {disk}" : "");

    private static Rows View(Sample sample)
    {
        StoreStats stats = sample.Stats;
        BreakdownChart memory = new BreakdownChart { Width = 78, ShowTags = true, ValueFormatter = static (value, _) => Sizes.Bytes(value) }
            .AddItem("sealed", Math.Max(0, stats.UsedBytes - stats.CreatingBytes - stats.CondemnedBytes), Color.Green)
            .AddItem("creating", stats.CreatingBytes, Color.Yellow)
            .AddItem("condemned", stats.CondemnedBytes, Color.Red)
            .AddItem("free", Math.Max(0, stats.CapacityBytes - stats.UsedBytes), Color.Grey);
        return new Rows(
            new Text(Summary(stats)),
            memory,
            new Text(sample.Node is { } node ? $"node service: {NodesCommand.Line(node)}" : ""),
            Rates(sample).ToRenderable(),
            StatCommand.Participants(stats, sample.Time).ToRenderable(),
            new Text("q or Ctrl-C ends", new Style(decoration: Decoration.Dim)));
    }

    private static TextTable Rates(Sample sample)
    {
        var table = new TextTable("OPERATION", ">PER SECOND", ">PAYLOAD/s", ">COPIED IN USER SPACE/s");
        // The view opens before there is a difference to show.
        foreach (RateJson rate in sample.Rates ?? RateJson.Between(sample.Stats.Store, sample.Stats.Store, 1))
            table.Add(rate.Operation, Sizes.Count(rate.PerSecond), Sizes.Bytes(rate.BytesPerSecond), Sizes.Bytes(rate.CopiedBytesPerSecond));
        return table;
    }

    /// <summary>The store at one moment, with the rates since the moment before.</summary>
    private sealed record Sample(StoreStats Stats, NodeReport? Node, DateTimeOffset Time, long Ticks, double Seconds, RateJson[]? Rates)
    {
        internal static Sample First(PlasmaStore store) => new(store.Stats(), NodeAccess.Look(store, CancellationToken.None), DateTimeOffset.UtcNow, Stopwatch.GetTimestamp(), 0, null);

        internal Sample Next(PlasmaStore store)
        {
            StoreStats stats = store.Stats();
            long ticks = Stopwatch.GetTimestamp();
            double seconds = Stopwatch.GetElapsedTime(Ticks, ticks).TotalSeconds;
            return new(stats, NodeAccess.Look(store, CancellationToken.None), DateTimeOffset.UtcNow, ticks, seconds, RateJson.Between(Stats.Store, stats.Store, seconds));
        }
    }
}
