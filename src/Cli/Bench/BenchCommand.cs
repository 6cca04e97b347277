using System.CommandLine;
using System.Text.Json;
using FastPlasma.Cli.Children;
using Spectre.Console;

namespace FastPlasma.Cli.Bench;

/// <summary>fastplasma bench: quick figures of this machine, each against a ceiling measured in the same run.</summary>
internal static class BenchCommand
{
    internal const string PeerCommand = "__peer", PeerReady = "ready";
    private const int CancelledExitCode = 130, RepeatMax = 100;

    public static Command Create()
    {
        Option<bool> json = new("--json") { Description = "Print a JSON array." };
        Option<bool> quick = new("--quick") { Description = "Less of everything; below one minute." };
        Option<string[]> names = new("--scenario") { Description = "Only these scenarios.", HelpName = "NAME", AllowMultipleArgumentsPerToken = true };
        Option<int> repeat = new("--repeat") { Description = "Go through the scenarios so many times and give the median run of each, with the lowest and highest ratio.", HelpName = "N", DefaultValueFactory = _ => 1 };
        repeat.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && (!int.TryParse(result.Tokens[0].Value, out int count) || count is < 1 or > RepeatMax))
                result.AddError($"--repeat is '{result.Tokens[0].Value}'; it can be 1 to {RepeatMax}.");
        });
        names.AcceptOnlyFromAmong([.. BenchScenarios.All.Select(scenario => scenario.Name)]);

        Argument<string> scenario = new("scenario"), store = new("store");
        Command peer = new(PeerCommand) { scenario, store };
        peer.Hidden = true;
        peer.SetAction(parse => RunPeer(parse.GetRequiredValue(scenario), parse.GetRequiredValue(store)));

        Command command = new("bench", "Measure this machine: every figure with its ceiling, and their ratio.") { json, quick, names, repeat, peer };
        command.SetAction((parse, cancellation) => RunAsync(parse.GetValue(json), new BenchContext(parse.GetValue(quick)), parse.GetValue(names) ?? [], parse.GetValue(repeat), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(bool json, BenchContext context, string[] names, int repeat, CancellationToken cancellation)
    {
        // Pass by pass, so that what changes slowly (clocks, neighbours) meets all scenarios alike.
        IBenchScenario[] scenarios = [.. BenchScenarios.All.Where(scenario => names.Length == 0 || names.Contains(scenario.Name))];
        List<BenchResult> runs = [];
        foreach (IBenchScenario scenario in Enumerable.Repeat(scenarios, repeat).SelectMany(static pass => pass))
        {
            // A scenario works on a thread of its own; on cancellation the process ends without it, and its peer ends with the process.
            Task<BenchResult> run = Task.Run(() => RunScenario(scenario, context), CancellationToken.None);
            await ShowAsync(json, scenario.Name, Task.WhenAny(run, Task.Delay(Timeout.Infinite, cancellation)));
            if (cancellation.IsCancellationRequested)
            {
                BenchStore.DestroyAll();
                return CancelledExitCode;
            }

            runs.Add(await run);
        }

        BenchResult[] results = [.. runs.GroupBy(static run => run.Scenario, static (_, runs) => BenchResult.MedianOf([.. runs]))];
        if (json)
            Console.WriteLine(JsonSerializer.Serialize(results, BenchResultJson.Readable.IReadOnlyListBenchResult));
        else
            BenchReport.Write(results, AnsiConsole.Console);
        return Array.Exists(results, result => result.Error is not null) ? 1 : 0;
    }

    private static Task ShowAsync(bool json, string name, Task work) =>
        json || Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive
            ? work
            : AnsiConsole.Status().StartAsync(Markup.Escape(name), _ => work);

    private static BenchResult RunScenario(IBenchScenario scenario, BenchContext context)
    {
        BenchResult result = new() { Scenario = scenario.Name, Unit = scenario.Unit, Bound = scenario.Bound };
        try
        {
            BenchFigures figures = scenario.Run(context);
            return result with
            {
                Median = Rounded(figures.Median),
                P99 = Rounded(figures.P99),
                Ceiling = figures.Ceiling,
                CeilingMedian = figures.CeilingMedian is { } ceiling ? Rounded(ceiling) : null,
                Ratio = Rounded(figures.Ratio),
                Note = figures.Note,
            };
        }
        catch (Exception e)
        {
            // One scenario that fails must not hide the figures of the others; the exit code tells.
            return result with { Error = $"{e.GetType().Name}: {e.Message}" };
        }
        finally
        {
            // The next scenario starts without the arrays of this one.
            GC.Collect();
        }
    }

    private static double Rounded(double value) => double.IsFinite(value) && value != 0
        ? Math.Round(value, Math.Clamp(3 - (int)Math.Floor(Math.Log10(Math.Abs(value))), 0, 15))
        : value;

    private static int RunPeer(string name, string storeName)
    {
        using ParentPipe parent = new(orphaned: () => PlasmaStore.Destroy(storeName));
        try
        {
            using PlasmaStore store = PlasmaStore.Open(storeName);
            IBenchPeerScenario scenario = (IBenchPeerScenario)BenchScenarios.Find(name);
            parent.Send(PeerReady);
            scenario.RunPeer(parent, store);
            return 0;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"{e.GetType().Name}: {e.Message}");
            return 1;
        }
    }
}
