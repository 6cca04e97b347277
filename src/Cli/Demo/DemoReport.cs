using System.Globalization;
using Spectre.Console;

namespace FastPlasma.Cli.Demo;

/// <summary>The result as tables and sentences.</summary>
internal static class DemoReport
{
    private const int SkippedShownMax = 5, FailuresShownMax = 20;

    internal static void Write(DemoResult result, IAnsiConsole console)
    {
        console.MarkupLineInterpolated($"[bold]{result.Files}[/] files, [bold]{Bytes(result.Bytes)}[/] from {result.Path}: 1 producer, {result.Consumers.Count} consumers, put in {result.PutSeconds:0.00} s");
        WriteSome(console, "skipped", result.Skipped, SkippedShownMax);
        if (result.Operations.Count > 0)
            WriteCopies(result, console);
        if (result.Consumers.Count > 0)
        {
            WriteProcesses(result, console);
            WriteMemory(result, console);
        }

        if (result.Consumers.Any(consumer => consumer.GetNs is not null))
            WriteLatencies(result, console);

        if (result.ReadersAtOnceMax > 0)
            console.MarkupLineInterpolated($"Readers at once: up to [bold]{result.ReadersAtOnceMax}[/] processes held the same object, without a lock and without a copy.");
        WriteSome(console, "failed", result.Failures, FailuresShownMax);
        console.MarkupLine(result.Ok
            ? $"[green]OK[/]: every file was verified (SHA-256 against the disk) in every consumer, in {result.Seconds.ToString("0.0", CultureInfo.InvariantCulture)} s."
            : "[red]FAILED[/]");
    }

    internal static void Write(DemoNodesResult result, IAnsiConsole console)
    {
        console.MarkupLineInterpolated($"[bold]{result.Files}[/] files, [bold]{Bytes(result.Bytes)}[/] from {result.Path}, put on one node and on all {result.Nodes.Count} in {result.ShareSeconds:0.00} s");
        WriteSome(console, "skipped", result.Skipped, SkippedShownMax);
        if (result.Operations.Count > 0)
        {
            WriteCopies(result.Operations, "How many copies occur on the way? (counted by stores and nodes)", console);
            Table table = new Table().Title("Nodes").RoundedBorder();
            table.AddColumn("node");
            table.AddColumn("address");
            foreach (string heading in (string[])["process", "objects verified", "received", "sent", "of it relayed"])
                table.AddColumn(heading, column => column.RightAligned());
            foreach (DemoNode node in result.Nodes)
                table.AddRow(node.Label, node.Endpoint.ToString(), $"{node.ProcessId}", Number(node.Verified), Bytes(node.ReceivedBytes), Bytes(node.SentBytes), Bytes(node.RelayedBytes));
            console.Write(table);
        }

        WriteSome(console, "failed", result.Failures, FailuresShownMax);
        console.MarkupLine(result.Ok
            ? $"[green]OK[/]: every object was verified (SHA-256) on every node, in {result.Seconds.ToString("0.0", CultureInfo.InvariantCulture)} s."
            : "[red]FAILED[/]");
    }

    private static void WriteCopies(DemoResult result, IAnsiConsole console)
    {
        WriteCopies(result.Operations, "How many copies occur when I get an object? (counted by the store)", console);
        console.MarkupLine("[grey]Reading a file is one copy by the kernel: into a buffer before put, or straight into the store's memory with create + seal.[/]");
    }

    private static void WriteCopies(IReadOnlyList<DemoOperation> operations, string title, IAnsiConsole console)
    {
        Table table = new Table().Title(title).RoundedBorder();
        table.AddColumn("operation");
        foreach (string heading in (string[])["objects", "payload", "copied in user space", "copies per object"])
            table.AddColumn(heading, column => column.RightAligned());
        foreach (DemoOperation operation in operations)
        {
            table.AddRow(
                operation.Operation, Number(operation.Count), Bytes(operation.PayloadBytes), Bytes(operation.CopiedBytes),
                $"[bold]{operation.CopiesPerObject.ToString("0.##", CultureInfo.InvariantCulture)}[/]");
        }

        console.Write(table);
    }

    private static void WriteProcesses(DemoResult result, IAnsiConsole console)
    {
        Table table = new Table().Title("Processes, while all consumers hold all objects").RoundedBorder();
        table.AddColumn("process");
        foreach (string heading in (string[])["files verified", "waited for", "sees (Rss)", "its share (Pss)"])
            table.AddColumn(heading, column => column.RightAligned());
        foreach (DemoProcess consumer in result.Consumers)
            table.AddRow(consumer.Role, Number(consumer.Verified), Number(consumer.Waited), Bytes(consumer.RssBytes), Bytes(consumer.PssBytes));
        if (result.Producer is { } producer)
            table.AddRow(producer.Role, "", "", Bytes(producer.RssBytes), Bytes(producer.PssBytes));
        table.AddRow("[bold]sum[/]", "", "", $"[bold]{Bytes(result.RssBytesSum)}[/]", $"[bold]{Bytes(result.PssBytesSum)}[/]");
        console.Write(table);
    }

    private static void WriteLatencies(DemoResult result, IAnsiConsole console)
    {
        Table table = new Table().Title("Latency").RoundedBorder();
        table.AddColumn("process");
        foreach (string heading in (string[])["get p50", "get p99", "wake p50", "wake p99"])
            table.AddColumn(heading, column => column.RightAligned());
        foreach (DemoProcess consumer in result.Consumers)
        {
            table.AddRow(
                consumer.Role, Nanoseconds(consumer.GetNs?.P50), Nanoseconds(consumer.GetNs?.P99),
                Microseconds(consumer.WakeNs?.P50), Microseconds(consumer.WakeNs?.P99));
        }

        console.Write(table);
        double timerNs = result.Consumers.Max(consumer => consumer.TimerNs) ?? 0;
        console.MarkupLineInterpolated($"[grey]get: get + release of a sealed object, all consumers at once, each timed alone (the clock itself takes {timerNs:0} ns of it).[/]");
        console.MarkupLine("[grey]wake: from just before the producer's seal until a consumer asleep in get has the object, one consumer at a time.[/]");
    }

    private static void WriteMemory(DemoResult result, IAnsiConsole console)
    {
        if (result.RssBytesSum is not { } rss || result.PssBytesSum is not { } pss)
            return;
        int processes = result.Consumers.Count + 1;
        bool once = pss <= result.StoreUsedBytes * 1.25;
        console.MarkupLineInterpolated($"Memory used {(once ? "once, not per process" : "more than once")}: {processes} processes see {Bytes(rss)} together; the kernel counts {Bytes(pss)} of pages, for {Bytes(result.Bytes)} of objects in {Bytes(result.StoreUsedBytes)} of blocks.");
    }

    private static void WriteSome(IAnsiConsole console, string what, IReadOnlyList<string> lines, int shownMax)
    {
        foreach (string line in lines.Take(shownMax))
            console.MarkupLineInterpolated($"[yellow]{what}[/] {line}");
        if (lines.Count > shownMax)
            console.MarkupLineInterpolated($"[yellow]{what}[/] and {lines.Count - shownMax} more");
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Nanoseconds(double? value) => value is { } ns ? string.Create(CultureInfo.InvariantCulture, $"{ns:0} ns") : "-";

    private static string Microseconds(double? nanoseconds) => nanoseconds is { } ns ? string.Create(CultureInfo.InvariantCulture, $"{ns / 1000:0.0} us") : "-";

    private static string Bytes(long? value) => value switch
    {
        null => "-",
        0 => "0",
        < 1 << 10 => string.Create(CultureInfo.InvariantCulture, $"{value} B"),
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{value / 1024.0:0.0} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{value / 1048576.0:0.0} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value / 1073741824.0:0.00} GiB"),
    };
}
