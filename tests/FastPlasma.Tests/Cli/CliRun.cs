using System.Text.Json;
using FastPlasma.Cli;

namespace FastPlasma.Tests;

/// <summary>One command line run inside this process.</summary>
internal sealed record CliRun(int ExitCode, string Output, string Error, byte[] Payload)
{
    internal static CliRun Of(params string[] args) => Of(CancellationToken.None, args);

    internal static CliRun Of(CancellationToken cancellation, params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        using var payload = new MemoryStream();
        int exitCode = CliApp.Run(args, new CliContext(output, error, () => payload) { Cancellation = cancellation });
        return new CliRun(exitCode, output.ToString(), error.ToString(), payload.ToArray());
    }

    internal string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    internal JsonElement Json => JsonDocument.Parse(Output).RootElement;

    /// <summary>Fails with the error text unless the run ended well.</summary>
    internal CliRun Ok()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}: {Error}{Output}");
        Assert.Equal("", Error);
        return this;
    }

    /// <summary>Fails unless the run ended with this code and one error line that has all these parts.</summary>
    internal CliRun Fails(int exitCode, params string[] parts)
    {
        Assert.True(ExitCode == exitCode, $"exit code {ExitCode} instead of {exitCode}: {Error}{Output}");
        Assert.Single(Error.TrimEnd('\n').Split('\n'));
        foreach (string part in parts)
            Assert.Contains(part, Error, StringComparison.Ordinal);
        return this;
    }
}
