using System.CommandLine;
using System.Globalization;

namespace FastPlasma.Stress.Fuzz;

/// <summary>FastPlasma.Stress fuzz: damages stores at random and says which damage was not answered by a status or a clear exception.</summary>
internal static class FuzzCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>The corpus beside the executable.</summary>
    internal static string CorpusFolder => Path.Combine(AppContext.BaseDirectory, "Fuzz", "Corpus");

    internal static IEnumerable<Command> Create()
    {
        var seconds = new Argument<int>("SECONDS") { Description = "How long to search, after the corpus was replayed." };
        var seed = new Option<int?>("--seed") { Description = "Seed of the search; printed when not given." };
        var corpus = new Option<string>("--corpus") { Description = "Folder of .txt files with a case per line; failures are added to its found.txt.", DefaultValueFactory = static _ => CorpusFolder };
        var fuzz = new Command("fuzz", "Damages stores at rest, between operations and under running operations.") { seconds, seed, corpus };
        fuzz.SetAction(p => Run(p.GetValue(seconds), p.GetValue(seed) ?? Environment.TickCount, p.GetValue(corpus)!));

        var folder = new Argument<string>("FOLDER");
        var victim = new Command(FuzzVictimProcess.Command) { folder };
        victim.Hidden = true;
        victim.SetAction(p => FuzzVictim.Run(p.GetValue(folder)!));
        return [fuzz, victim];
    }

    private static int Run(int seconds, int seed, string corpus)
    {
        Console.WriteLine($"seed {seed}, corpus {corpus}");
        List<FuzzCase> known = FuzzCase.ReadCorpus(corpus);
        string folder = Path.Combine("/dev/shm", string.Create(CultureInfo.InvariantCulture, $"fastplasma-fuzz-{Environment.ProcessId}"));
        var run = new FuzzRun(Environment.ProcessPath!, folder, seed, Patience);
        run.Replay(known);
        run.Failures.ForEach(Tell);
        run.Search(known, TimeSpan.FromSeconds(seconds), failure =>
        {
            Tell(failure);
            File.AppendAllText(Path.Combine(corpus, "found.txt"), $"{failure.Case}\n");
        });
        Console.WriteLine($"cases {run.CaseCount}, failures {run.Failures.Count}");
        return run.Failures.Count == 0 ? 0 : 1;
    }

    private static void Tell(FuzzFailure failure)
    {
        Console.WriteLine($"FAILED {failure.Case}");
        Console.WriteLine($"  {failure.What}");
    }
}
