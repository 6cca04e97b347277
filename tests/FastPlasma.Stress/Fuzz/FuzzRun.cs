using System.Diagnostics;

namespace FastPlasma.Stress.Fuzz;

/// <summary>One failed case and what it did.</summary>
internal sealed record FuzzFailure(FuzzCase Case, string What);

/// <summary>A run of random cases against victims.</summary>
internal sealed class FuzzRun(string executable, string folder, int seed, TimeSpan patience)
{
    internal int CaseCount { get; private set; }

    internal List<FuzzFailure> Failures { get; } = [];

    /// <summary>Replays every case of a corpus.</summary>
    internal void Replay(IReadOnlyList<FuzzCase> corpus)
    {
        using var victim = new FuzzVictimProcess(executable, folder, patience);
        foreach (FuzzCase c in corpus)
            Try(victim, c);
    }

    /// <summary>Random cases until the time is over. Each failure is told as it comes.</summary>
    internal void Search(IReadOnlyList<FuzzCase> corpus, TimeSpan time, Action<FuzzFailure> found)
    {
        var generator = new FuzzGenerator(new Random(seed), corpus);
        using var victim = new FuzzVictimProcess(executable, folder, patience);
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < time)
            if (Try(victim, generator.Next()) is { } failure)
                found(failure);
    }

    private FuzzFailure? Try(FuzzVictimProcess victim, FuzzCase c)
    {
        CaseCount++;
        if (victim.Try(c.ToString()) is not string what)
            return null;
        var failure = new FuzzFailure(c, what);
        Failures.Add(failure);
        return failure;
    }
}
