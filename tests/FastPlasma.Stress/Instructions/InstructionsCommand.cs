using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace FastPlasma.Stress.Instructions;

/// <summary>Death at every instruction: "instructions".</summary>
internal static class InstructionsCommand
{
    internal static Command Make()
    {
        var scenario = new Option<string[]>("--scenario") { Description = "Only these; all when left out.", AllowMultipleArgumentsPerToken = true };
        var sample = new Option<int>("--sample") { Description = "So many deaths per scenario instead of one at every instruction." };
        var seed = new Option<int>("--seed") { Description = "Of the sample and of the random moments.", DefaultValueFactory = static _ => 1 };
        var workers = new Option<int>("--workers") { Description = "Victims at a time.", DefaultValueFactory = static _ => Math.Max(1, Environment.ProcessorCount) };
        var victim = new Option<string>("--victim") { Description = "The victim's executable.", DefaultValueFactory = static _ => Places.Victim };
        var prefix = new Option<string>("--prefix") { Description = "Of the names of its stores.", DefaultValueFactory = static _ => $"stress{Environment.ProcessId}-" };
        var symbol = new Option<string?>("--symbol") { Description = "Only at instructions of methods whose symbol contains this." };
        var at = new Option<string?>("--at") { Description = "One death: before SYMBOL+0xOFFSET." };
        var hit = new Option<int>("--hit") { Description = "At which pass of it.", DefaultValueFactory = static _ => 1 };
        var step = new Option<long?>("--step") { Description = "One death: after so many single steps." };
        var afterUs = new Option<long?>("--after-us") { Description = "One death: after so many microseconds." };
        var missed = new Option<int>("--show-missed") { Description = "How many of the deaths to list per scenario that were planned and not died." };
        var tries = new Option<int?>("--tries") { Description = string.Create(CultureInfo.InvariantCulture, $"How often a death at the first pass of an instruction is tried; beyond {Attack.TriesOfSample} the victim is single-stepped. {Attack.TriesDefault} when left out, {Attack.TriesOfSample} in a sample.") };
        var command = new Command("instructions", "Kills processes at every instruction of ours and looks at what they leave.") { scenario, symbol, sample, seed, workers, victim, prefix, at, hit, step, afterUs, missed, tries };
        command.SetAction(parse =>
        {
            var code = new VictimCode(Path.GetFullPath(parse.GetValue(victim)!));
            string[] names = parse.GetValue(scenario) ?? [];
            Plan[] plans = names.Length == 0 ? Plan.All : [.. names.Select(Plan.Of)];
            Kill? one = parse.GetValue(at) is string place ? new Kill(KillKind.Instruction, code.Resolve(place), parse.GetValue(hit))
                : parse.GetValue(step) is long n ? new Kill(KillKind.Step, 0, n)
                : parse.GetValue(afterUs) is long us ? new Kill(KillKind.Time, 0, us) : null;
            int deaths = parse.GetValue(sample), most = parse.GetValue(tries) ?? (deaths > 0 ? Attack.TriesOfSample : Attack.TriesDefault);
            return Run(code, plans, one, parse.GetValue(symbol), deaths, parse.GetValue(seed), parse.GetValue(prefix)!, parse.GetValue(workers), parse.GetValue(missed), most);
        });
        return command;
    }

    private static int Run(VictimCode code, Plan[] plans, Kill? one, string? symbol, int sample, int seed, string prefix, int workers, int showMissed, int tries)
    {
        long start = Stopwatch.GetTimestamp();
        var results = new List<(Plan Plan, AttackResult Result)>();
        AnsiConsole.MarkupLine(string.Create(CultureInfo.InvariantCulture, $"{code.Instructions.Length} instructions of ours, {plans.Length} scenarios, seed {seed}"));
        AnsiConsole.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn()).Start(context =>
        {
            foreach (Plan plan in plans)
            {
                ProgressTask task = context.AddTask(plan.Name, maxValue: 1);
                var attack = new Attack(code, plan, prefix, workers) { Symbol = symbol, Tries = tries };
                AttackResult result = one is Kill kill ? attack.Repeat(kill) : attack.Run(sample, seed, done => task.Value = done);
                task.Value = 1;
                results.Add((plan, result));
                AnsiConsole.MarkupLine(string.Create(
                    CultureInfo.InvariantCulture, $"{plan.Name}: addresses {result.Reached.Count}, kills {result.Kills}, missed {result.Missed.Count}, failures {result.Failures.Count}, {result.Elapsed.TotalSeconds:F0} s"));
            }
        });

        var table = new Table().AddColumns("scenario", "addresses", "steps", "kills", "missed", "failures", "seconds");
        foreach ((Plan plan, AttackResult r) in results)
            table.AddRow(plan.Name, Text(r.Reached.Count), Text(r.Steps), Text(r.Kills), Text(r.Missed.Count), Text(r.Failures.Count), r.Elapsed.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture));
        AnsiConsole.Write(table);
        foreach ((_, AttackResult r) in results)
            foreach (string failure in r.Failures.Where(static f => f.Length > 0))
                Console.WriteLine($"FAILURE {failure}");
        foreach ((Plan plan, AttackResult r) in results)
            foreach (Kill missed in r.Missed.Take(showMissed))
                Console.WriteLine($"missed {plan.Name} {missed.ToOptions(code)}");
        int failures = results.Sum(static r => r.Result.Failures.Count);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(start).TotalSeconds:F0} s"));
        HashSet<long> reached = [.. results.SelectMany(static r => r.Result.Reached)], killed = [.. results.SelectMany(static r => r.Result.Killed)];
        if (sample == 0 && symbol is null && one is null)
        {
            foreach (long address in reached.Except(killed).Order().Take(50))
                Console.WriteLine($"not killed at {code.Describe(address)}");
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{reached.Count} different instructions were reached, a victim died at {killed.Count} of them"));
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"addresses {results.Sum(static r => r.Result.Reached.Count)}, kills {results.Sum(static r => r.Result.Kills)}, failures {failures}"));
        return failures == 0 ? 0 : 1;
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
