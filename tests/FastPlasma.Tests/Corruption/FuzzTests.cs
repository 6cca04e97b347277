using System.Globalization;
using FastPlasma.Stress.Fuzz;

namespace FastPlasma.Tests;

/// <summary>Damaged stores are answered by statuses and clear exceptions: no crash, no hang, no read outside the mappings. The long form is <c>FastPlasma.Stress fuzz SECONDS</c>.</summary>
public sealed class FuzzTests(ITestOutputHelper output) : StoreTest
{
    private static readonly TimeSpan Patience = Eventually.Patience;

    /// <summary>FastPlasma.Stress of the configuration of these tests.</summary>
    private static string Executable
    {
        get
        {
            var own = new DirectoryInfo(AppContext.BaseDirectory);
            string path = Path.Combine(own.Parent!.Parent!.FullName, "FastPlasma.Stress", own.Name, "FastPlasma.Stress");
            Assert.True(File.Exists(path), $"{path} is not there: build the solution.");
            return path;
        }
    }

    private static List<FuzzCase> Corpus => FuzzCase.ReadCorpus(Path.Combine(Path.GetDirectoryName(Executable)!, "Fuzz", "Corpus"));

    /// <summary>In shared memory, named after this run.</summary>
    private static string Folder(string what) => $"/dev/shm/fastplasma.{Leftovers.Prefix}{what}";

    [Theory]
    [InlineData("segv", "crash by signal 11")]
    [InlineData("unchecked", "crash by signal 6")]
    [InlineData("bus", "crash by signal")]
    [InlineData("abort", "crash by signal 6")]
    [InlineData("hang", "hang")]
    [InlineData("exception", "bad ArgumentOutOfRangeException")]
    public void Harness_notices_a_missing_check(string control, string expected)
    {
        using var victim = new FuzzVictimProcess(Executable, Folder($"control-{control}"), control == "hang" ? TimeSpan.FromSeconds(2) : Patience);
        string? what = victim.Try($"control {control}");
        Assert.StartsWith(expected, what, StringComparison.Ordinal);
        if (control != "hang")
            Assert.Null(victim.Try("live entry:0.SpillPlace add 1")); // The next victim is as good as new.
    }

    [Fact]
    public void Recorded_cases_are_answered_by_statuses_and_clear_exceptions()
    {
        var run = new FuzzRun(Executable, Folder("replay"), seed: 0, Patience);
        run.Replay(Corpus);
        output.WriteLine($"cases {run.CaseCount}, failures {run.Failures.Count}");
        Assert.Empty(run.Failures);
    }

    [Fact]
    public void Random_damage_is_answered_by_statuses_and_clear_exceptions()
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var run = new FuzzRun(Executable, Folder("search"), seed, Patience);
        run.Search(Corpus, TimeSpan.FromSeconds(5), failure => output.WriteLine($"FAILED {failure.Case}: {failure.What}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"cases {run.CaseCount}, failures {run.Failures.Count}"));
        Assert.NotEqual(0, run.CaseCount);
        Assert.Empty(run.Failures);
    }

    [Fact]
    public void Cases_are_read_as_they_are_written()
    {
        Assert.All(Corpus, static c => Assert.Equal(c.ToString(), FuzzCase.Parse(c.ToString()).ToString()));
        Assert.Throws<FormatException>(() => FuzzCase.Parse("sometime meta size 0"));
        Assert.Throws<FormatException>(() => FuzzCase.Parse("rest meta size"));
    }
}
