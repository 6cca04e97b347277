using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests.Crashes;

/// <summary>The short forms of eng/stress: processes that are killed at an instruction, or at a named fail point, leave nothing behind that others notice.</summary>
/// <remarks>The attacker is a process of its own: a tracer must not share its children with a runtime that reaps them.</remarks>
public sealed class InstructionDeathTests(ITestOutputHelper output)
{
    private const int Seed = 7;

    private static int s_runs;

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    [Theory]
    [InlineData("seal-small", 200)]
    [InlineData("delete", 200)]
    [InlineData("recover", 100)]
    public void Process_may_be_killed_at_any_of_a_sample_of_instructions(string scenario, int sample)
    {
        string last = Run("instructions", "--scenario", scenario, "--sample", $"{sample}", "--seed", $"{Seed}");

        // Some deaths may not be died, because the operation goes another way; but most are.
        int kills = int.Parse(last.Split("kills ")[1].Split(',')[0], CultureInfo.InvariantCulture);
        Assert.InRange(kills, sample / 2, int.MaxValue);
    }

    [Fact]
    public void Process_may_be_killed_at_every_place_that_a_crash_comment_names() => Assert.StartsWith("points ", Run("fail-points"), StringComparison.Ordinal);

    [Fact]
    public void Attack_finds_a_creator_that_announces_its_entry_too_late() => Assert.Equal("planted 1, not found 0", Run("planted-bugs", "--only", "announced-too-late"));

    /// <summary>Runs the attacker, which must end with 0. Returns its last line.</summary>
    private string Run(params string[] arguments)
    {
        string prefix = string.Create(CultureInfo.InvariantCulture, $"{Leftovers.Prefix}a{Interlocked.Increment(ref s_runs)}-");
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        string executable = Path.Combine(own.Parent!.Parent!.FullName, "FastPlasma.Stress", own.Name, "FastPlasma.Stress");
        Assert.True(File.Exists(executable), $"{executable} is not there: build the solution.");
        var start = new ProcessStartInfo(executable, [.. arguments, "--prefix", prefix]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("The attacker did not start.");
        Task<string> standard = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_patience))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            Leftovers.DeleteStores(prefix); // The attacker can no longer do it.
        }
        output.WriteLine(standard.Result + error.Result);
        Assert.True(process.ExitCode == 0, $"{string.Join(' ', arguments)} ended with {process.ExitCode}: {standard.Result}{error.Result}");
        return standard.Result.TrimEnd().Split('\n')[^1];
    }
}
