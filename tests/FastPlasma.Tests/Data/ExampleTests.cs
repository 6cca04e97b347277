using System.Diagnostics;

namespace FastPlasma.Tests.Data;

/// <summary>The examples run, say what they are meant to show, and leave nothing behind.</summary>
public sealed class ExampleTests
{
    [Fact]
    public void The_copies_example_shows_no_copy_at_get_one_place_in_the_file_and_two_processes_at_once()
    {
        (int code, string output, string errors) = Run("Copies");
        Assert.True(code == 0, output + errors);
        foreach (string line in output.Split('\n').Where(static l => l.Contains('│', StringComparison.Ordinal) && (l.Contains("│ tensor", StringComparison.Ordinal) || l.Contains("│ Arrow", StringComparison.Ordinal) || l.Contains("│ bytes", StringComparison.Ordinal))))
            Assert.Equal("0", line.Split('│')[5].Trim());
        Assert.Contains("the place in the file is the same", output, StringComparison.Ordinal);
        Assert.Contains("the results are equal", output, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles("/dev/shm", "fastplasma.copies-*").Select(Path.GetFileName), name => output.Contains(name!, StringComparison.Ordinal));
    }

    [Fact]
    public void The_copies_example_explains_itself_and_refuses_what_it_does_not_understand()
    {
        (int code, string output, _) = Run("Copies", "--help");
        Assert.Equal(0, code);
        Assert.Contains("Usage:", output, StringComparison.Ordinal);
        (code, output, string errors) = Run("Copies", "--nonsense");
        Assert.Equal((2, ""), (code, output));
        Assert.Contains("'--nonsense' is not understood", errors, StringComparison.Ordinal);
    }

    [Fact]
    public void The_serializers_example_reads_back_what_it_put()
    {
        (int code, string output, string errors) = Run("Serializers");
        Assert.True(code == 0, errors);
        Assert.Equal(2, output.Split("read back equal").Length - 1);
    }

    private static (int Code, string Output, string Errors) Run(string example, params string[] arguments)
    {
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        string name = $"FastPlasma.Examples.{example}";
        var start = new ProcessStartInfo(Path.Combine(own.Parent!.Parent!.FullName, name, own.Name, name), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("The example did not start.");
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Eventually.Patience * 2))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{name} did not end.");
        }
        return (process.ExitCode, output.GetAwaiter().GetResult(), errors.GetAwaiter().GetResult());
    }
}
