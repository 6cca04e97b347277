using System.CommandLine;
using System.Diagnostics;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;
using FastPlasma.Load.Scenarios;
using Spectre.Console;

namespace FastPlasma.Load.Commands;

/// <summary>Measures and writes the report.</summary>
internal static class RunCommand
{
    internal const int CancelledExitCode = 130;

    internal static Command Create()
    {
        Option<bool> quick = new("--quick") { Description = "Fewer sizes, shorter measurements; some four minutes (default)." };
        Option<bool> full = new("--full") { Description = "All sizes to 1 GiB and stores to 8 GiB, longer measurements; below fifty minutes, up to 20 GiB of memory." };
        Option<string[]> scenarios = new("--scenario") { Description = "Only these scenarios.", HelpName = "NAME", AllowMultipleArgumentsPerToken = true };
        Option<string[]> peers = new("--peer") { Description = "Only these peers (default: all that can run here). The ceiling is measured always.", HelpName = "NAME", AllowMultipleArgumentsPerToken = true };
        Option<string?> output = new("--out") { Description = "Folder of the report (default: bench/results/<processor>-<date>).", HelpName = "DIR" };
        Option<FileInfo> ratios = new("--ratios") { Description = "Output of fastplasma bench --json, which becomes the first table of the report.", HelpName = "FILE" };
        ratios.AcceptExistingOnly();
        Option<bool> json = new("--json") { Description = "Print the results as JSON instead of tables." };
        Option<bool> pin = new("--pin") { Description = "Keep worker i on processor i." };
        scenarios.AcceptOnlyFromAmong([.. ScenarioList.All.Select(static scenario => scenario.Name)]);
        peers.AcceptOnlyFromAmong([.. PeerList.All.Select(static peer => peer.Name)]);
        Command command = new("run", "Measure, print, and write a report with plots.") { quick, full, scenarios, peers, output, ratios, json, pin };
        command.Validators.Add(result =>
        {
            if (result.GetValue(quick) && result.GetValue(full))
                result.AddError("--quick and --full exclude each other.");
        });
        command.SetAction((parse, cancellation) => Task.Run(
            () => Run(
                !parse.GetValue(full), parse.GetValue(pin), parse.GetValue(json), parse.GetValue(output), parse.GetValue(ratios)?.FullName,
                Chosen(ScenarioList.All, parse.GetValue(scenarios), static scenario => scenario.Name), Chosen(PeerList.All, parse.GetValue(peers), static peer => peer.Name), cancellation),
            CancellationToken.None));
        return command;
    }

    private static IReadOnlyList<T> Chosen<T>(IReadOnlyList<T> all, string[]? names, Func<T, string> nameOf) =>
        names is { Length: > 0 } ? [.. all.Where(one => names.Contains(nameOf(one)))] : all;

    private static int Run(bool quick, bool pin, bool json, string? output, string? ratioFile, IReadOnlyList<IScenario> scenarios, IReadOnlyList<IPeer> peers, CancellationToken cancellation)
    {
        Machine machine = new();
        IReadOnlyList<RatioLine> ratios = ratioFile is null ? [] : RatioLine.Read(ratioFile);
        string directory = Path.GetFullPath(output ?? Path.Combine(ResultsDirectory(), machine.FolderName()));
        Directory.CreateDirectory(directory); // Before minutes of work, not after them.
        var watch = Stopwatch.StartNew();
        try
        {
            using var folder = new WorkFolder();
            Run run = ProgressDisplay.Show(
                show: !json && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Interactive,
                progress => Measure(machine, quick, pin, scenarios, peers, folder, progress, cancellation));
            run = run with { Seconds = watch.Elapsed.TotalSeconds, Ratios = ratios };
            Report.Write(run, directory);
            if (json)
                Console.WriteLine(Report.ToJson(run));
            else
                Print(run, directory);
            return run.HasFailures ? 1 : 0;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("Cancelled; nothing was written.");
            if (!Directory.EnumerateFileSystemEntries(directory).Any())
                Directory.Delete(directory);
            return CancelledExitCode;
        }
    }

    private static Run Measure(
        Machine machine, bool quick, bool pin, IReadOnlyList<IScenario> scenarios, IReadOnlyList<IPeer> peers, WorkFolder folder, Action<string> progress, CancellationToken cancellation)
    {
        List<PeerNote> notes = [];
        List<IPeer> usable = [];
        LoadContext checking = new(quick, pin, [], folder, progress, cancellation);
        foreach (IPeer peer in peers)
        {
            progress($"self-check of {peer.Name}");
            (string? reason, bool isFailure) = peer.Missing is { } missing ? (missing, false) : Check(checking, peer);
            notes.Add(new PeerNote(peer.Name, peer.Description, reason, isFailure));
            if (reason is null)
                usable.Add(peer);
        }

        notes.Add(new PeerNote(PeerList.Ceiling.Name, PeerList.Ceiling.Description, null, false));
        List<ScenarioResult> results = [];
        foreach (IScenario scenario in scenarios)
        {
            cancellation.ThrowIfCancellationRequested();
            LoadContext context = new(quick, pin, usable, folder, what => progress($"{scenario.Name}: {what}"), cancellation);
            var watch = Stopwatch.StartNew();
            ScenarioResult result = scenario.Run(context).Compare();
            result.Seconds = Math.Round(watch.Elapsed.TotalSeconds, 1);
            results.Add(result);
            cancellation.ThrowIfCancellationRequested();
        }

        return new Run(machine, quick, pin, 0, notes, results, []);
    }

    private static (string? Reason, bool IsFailure) Check(LoadContext context, IPeer peer)
    {
        try
        {
            SelfCheck.Run(context, peer);
            return (null, false);
        }
        catch (Exception e) when (e is not OperationCanceledException && !context.Cancellation.IsCancellationRequested)
        {
            // Told loudly at the end, with an exit code; the others are measured nevertheless.
            return ($"the self-check failed: {e.GetType().Name}: {e.Message}", true);
        }
    }

    private static void Print(Run run, string directory)
    {
        ConsoleReport.Write(run.Ratios, AnsiConsole.Console);
        foreach (ScenarioResult scenario in run.Scenarios)
            ConsoleReport.Write(scenario, AnsiConsole.Console);
        foreach (PeerNote peer in run.Peers.Where(static peer => peer.NotMeasured is not null))
            AnsiConsole.MarkupLineInterpolated($"[bold]{peer.Name}[/] was not measured: {peer.NotMeasured}");
        if (run.Machine.Doubt() is { } doubt)
            AnsiConsole.MarkupLineInterpolated($"[yellow]{doubt}[/]");
        AnsiConsole.MarkupLineInterpolated($"{run.Seconds:0} s. Report: {Path.Combine(directory, "report.html")}");
    }

    /// <summary>bench/results of the repository that this was started in or built from, or results in the current folder.</summary>
    private static string ResultsDirectory() =>
        Checkout.Folder is { } folder ? Path.Combine(folder, "bench", "results") : Path.Combine(Directory.GetCurrentDirectory(), "results");
}
