using System.Collections.Concurrent;
using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;

namespace FastPlasma.Stress.Instructions;

/// <summary>Death at every named fail point: "fail-points". Each name of a CRASH comment in src has to be reached by some scenario; in every scenario that reaches it a victim dies there.</summary>
internal static partial class FailPointsCommand
{
    internal static Command Make()
    {
        var victim = new Option<string>("--victim") { Description = "The victim's executable, built with FAILPOINTS.", DefaultValueFactory = static _ => Places.FailPointsVictim };
        var scenario = new Option<string[]>("--scenario") { Description = "Only these; all when left out. Names that none of them reaches are then no failure.", AllowMultipleArgumentsPerToken = true };
        var prefix = new Option<string>("--prefix") { Description = "Of the names of its stores.", DefaultValueFactory = static _ => $"stress{Environment.ProcessId}-" };
        var workers = new Option<int>("--workers") { Description = "Victims at a time.", DefaultValueFactory = static _ => Math.Max(1, Environment.ProcessorCount) };
        var command = new Command("fail-points", "Kills processes at every named fail point and looks at what they leave.") { victim, scenario, prefix, workers };
        command.SetAction(parse =>
        {
            string[] names = parse.GetValue(scenario) ?? [];
            Plan[] plans = names.Length == 0 ? Plan.All : [.. names.Select(Plan.Of)];
            return Run(Path.GetFullPath(parse.GetValue(victim)!), plans, wantAll: names.Length == 0, parse.GetValue(prefix)!, parse.GetValue(workers));
        });
        return command;
    }

    /// <summary>Names in CRASH comments of the sources. Those of FailPoint.Pass calls must be the same.</summary>
    internal static SortedSet<string> Names(string source, List<string> failures)
    {
        var comments = new SortedSet<string>(StringComparer.Ordinal);
        var passes = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string file in Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(file);
            foreach (Match match in CrashComment().Matches(text))
                comments.UnionWith(match.Groups[1].Value.Split(", "));
            foreach (Match match in PassCall().Matches(text))
                passes.Add(match.Groups[1].Value);
        }
        failures.AddRange(comments.Except(passes).Select(static name => $"{name} has a CRASH comment and no FailPoint.Pass."));
        failures.AddRange(passes.Except(comments).Select(static name => $"{name} has a FailPoint.Pass and no CRASH comment."));
        return comments;
    }

    private static int Run(string victim, Plan[] plans, bool wantAll, string prefix, int workers)
    {
        var failures = new List<string>();
        SortedSet<string> names = Names(Path.Combine(Places.Root, "src"), failures);
        var reachedBy = new SortedDictionary<string, SortedSet<string>>(StringComparer.Ordinal);
        int kills = 0;
        var queue = new ConcurrentQueue<Plan>(plans);
        Attack.OnThreads(workers, () =>
        {
            while (queue.TryDequeue(out Plan? plan))
            {
                using var survivor = new Survivor(plan, victim, $"{prefix}fp-{plan.Name}");
                Dictionary<string, int> passed = Die(survivor, plan, [], failures) ?? [];
                foreach ((string name, int passes) in passed)
                {
                    lock (failures)
                    {
                        if (!reachedBy.TryGetValue(name, out SortedSet<string>? by))
                            reachedBy[name] = by = new SortedSet<string>(StringComparer.Ordinal);
                        by.Add(plan.Name);
                    }

                    // A pass beyond what this run makes is no death, which is no harm: the first one always is.
                    foreach (int pass in new SortedSet<int> { 1, passes })
                        if (Die(survivor, plan, [name, pass.ToString(CultureInfo.InvariantCulture)], failures) is null)
                            Interlocked.Increment(ref kills);
                }
                lock (failures)
                    failures.AddRange(survivor.ExamineAtEnd().Select(problem => $"{plan.Name}: {problem}"));
            }
        });
        foreach ((string name, SortedSet<string> by) in reachedBy)
            Console.WriteLine($"{name}: {string.Join(' ', by)}");
        if (wantAll)
            failures.AddRange(names.Except(reachedBy.Keys).Select(static name => $"{name} is reached by no scenario."));
        foreach (string failure in failures)
            Console.WriteLine($"FAILURE {failure}");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"points {names.Count}, reached {reachedBy.Count}, kills {kills}, failures {failures.Count}"));
        return failures.Count == 0 ? 0 : 1;
    }

    /// <summary>One run; null when the victim died at its point, else what it passed.</summary>
    private static Dictionary<string, int>? Die(Survivor survivor, Plan plan, string[] arguments, List<string> failures)
    {
        using VictimProcess victim = survivor.StartVictim(arguments, static _ => { });
        survivor.Accompany(delayMs: 50);
        victim.Go();
        victim.ReadRest();
        victim.Reap();
        bool died = victim.WaitStatus == Sys.SIGKILL;
        List<string> problems = survivor.Examine();
        if (died ? arguments.Length == 0 : victim.WaitStatus != 0 || victim.Done is null)
            problems.Add($"the operation did not end well: wait status {victim.WaitStatus}.");
        lock (failures)
            failures.AddRange(problems.Select(problem => $"{plan.Name} {string.Join(' ', arguments)}: {problem}"));
        return died ? null : (victim.Done ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(static p => p.Split(':')).ToDictionary(static p => p[0], static p => int.Parse(p[1], CultureInfo.InvariantCulture));
    }

    [GeneratedRegex(@"// CRASH ([a-z, -]+):", RegexOptions.CultureInvariant)]
    private static partial Regex CrashComment();

    [GeneratedRegex(@"FailPoint\.Pass\(""([a-z-]+)""\)", RegexOptions.CultureInvariant)]
    private static partial Regex PassCall();
}
