using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Spectre.Console;

namespace FastPlasma.Cli;

/// <summary>The world of one run: its streams, which of them are terminals, and its cancellation. System.CommandLine hands it to every action.</summary>
internal sealed class CliContext : InvocationConfiguration
{
    private readonly Lazy<Stream> _payloadOutput;

    internal CliContext(TextWriter output, TextWriter error, Func<Stream> payloadOutput)
    {
        Output = output;
        Error = error;
        _payloadOutput = new(payloadOutput);
        EnableDefaultExceptionHandler = false; // CliApp maps exceptions to one line and an exit code.
        ProcessTerminationTimeout = null; // CliApp owns the signals.
    }

    /// <summary>Raw stdout for payload. Text written before is flushed first.</summary>
    internal Stream PayloadOutput
    {
        get
        {
            Output.Flush();
            return _payloadOutput.Value;
        }
    }

    /// <summary>Boxed tables and live views; null when stdout is no terminal.</summary>
    internal IAnsiConsole? OutTerminal { get; init; }

    /// <summary>Progress bars; null when stderr is no terminal.</summary>
    internal IAnsiConsole? ErrorTerminal { get; init; }

    /// <summary>Whether keys and answers can be read.</summary>
    internal bool InputIsTerminal { get; init; }

    /// <summary>Whether the reader of stdout is gone.</summary>
    internal Func<bool> IsOutputClosed { get; init; } = static () => false;

    /// <summary>Set by Ctrl-C.</summary>
    internal CancellationToken Cancellation { get; init; }

    /// <summary>The process's own streams.</summary>
    internal static CliContext OfProcess(CancellationToken cancellation)
    {
        bool dumb = Environment.GetEnvironmentVariable("TERM") == "dumb";
        bool outIsTerminal = !Console.IsOutputRedirected && !dumb, errorIsTerminal = !Console.IsErrorRedirected && !dumb;
        // A terminal gets every line at once; a pipe or file in blocks, flushed by CliApp at the end.
        TextWriter output = Console.IsOutputRedirected
            ? new StreamWriter(Console.OpenStandardOutput(), bufferSize: 1 << 16) { AutoFlush = false }
            : Console.Out;
        return new CliContext(output, Console.Error, Console.OpenStandardOutput)
        {
            OutTerminal = outIsTerminal ? AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) }) : null,
            ErrorTerminal = errorIsTerminal ? AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) }) : null,
            InputIsTerminal = !Console.IsInputRedirected,
            IsOutputClosed = Os.IsStdoutClosed,
            Cancellation = cancellation,
        };
    }

    /// <summary>One indented document.</summary>
    internal void WriteJson<T>(T value, JsonTypeInfo<T> type) => Output.WriteLine(JsonSerializer.Serialize(value, type));

    /// <summary>One error line, or one JSON object on one line.</summary>
    internal void WriteFailure(in Failure failure, string command, bool json)
    {
        Output.Flush();
        Error.WriteLine(json
            ? JsonSerializer.Serialize(new ErrorJson(failure.Message, failure.Status, failure.Report), CliJson.Lines.ErrorJson)
            : $"{command}: {failure.Message}");
    }
}
