namespace FastPlasma.Cli;

/// <summary>An expected failure with the line to print, the status word of the JSON form, and the exit code.</summary>
internal sealed class CliException(int exitCode, string status, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>One of <see cref="ExitCodes"/>.</summary>
    internal int ExitCode { get; } = exitCode;

    /// <summary>Word for programs, for example <c>NotFound</c> or <c>Usage</c>.</summary>
    internal string Status { get; } = status;

    internal static CliException Usage(string message) => new(ExitCodes.Usage, Failure.UsageStatus, message);

    internal static CliException Of(PlasmaStatus status, string message) => new(ExitCodes.Of(status), status.ToString(), message);

    /// <summary>A file operation failed: the line names the operation and the path.</summary>
    internal static CliException InputOutput(string operation, string path, Exception cause) =>
        new(ExitCodes.InputOutput, Failure.InputOutputStatus, $"cannot {operation} '{TextTable.Printable(path)}': {Reason(cause, path)}", cause);

    /// <summary>The message of the cause, without the path where .NET repeats it at the end.</summary>
    private static string Reason(Exception cause, string path)
    {
        string message = Failure.MessageOf(cause), repeated = $" : '{TextTable.Printable(path)}'";
        return message.EndsWith(repeated, StringComparison.Ordinal) ? message[..^repeated.Length] : message;
    }
}
