using FastPlasma.Native;

namespace FastPlasma.Cli;

/// <summary>An exception as the user sees it: exit code, status word, one line.</summary>
internal readonly record struct Failure(int ExitCode, string Status, string Message, StoreFullReport? Report = null)
{
    internal const string UsageStatus = "Usage", StoreMissingStatus = "StoreMissing", AccessDeniedStatus = "AccessDenied", FormatStatus = "Format",
        StoreErrorStatus = "StoreError", InputOutputStatus = "InputOutput", OutOfMemoryStatus = "OutOfMemory", CanceledStatus = "Canceled", InternalStatus = "Internal";

    /// <summary>Maps every exception; what no rule names is a bug of this program and keeps its type in the line.</summary>
    internal static Failure Of(Exception exception) => exception switch
    {
        CliException e => new(e.ExitCode, e.Status, e.Message),
        StoreFullException e => new(ExitCodes.Of(e.Status), e.Status.ToString(), MessageOf(e), e.Report),
        PlasmaException e => new(ExitCodes.Of(e.Status), e.Status.ToString(), MessageOf(e)),
        PlasmaFormatException e => new(ExitCodes.Store, FormatStatus, MessageOf(e)),
        OperationCanceledException => new(ExitCodes.Interrupted, CanceledStatus, "canceled"),
        TimeoutException e => new(ExitCodes.Negative, nameof(PlasmaStatus.Timeout), MessageOf(e)),
        FileNotFoundException or DirectoryNotFoundException => new(ExitCodes.Store, StoreMissingStatus, MessageOf(exception)),
        UnauthorizedAccessException e => new(ExitCodes.Store, AccessDeniedStatus, MessageOf(e)),
        OsException { ErrorNumber: Libc.ENOSPC or Libc.ENOMEM } e => new(ExitCodes.Full, StoreErrorStatus, MessageOf(e)),
        IOException e => new(ExitCodes.Store, StoreErrorStatus, MessageOf(e)),
        PlatformNotSupportedException e => new(ExitCodes.Store, StoreErrorStatus, MessageOf(e)),
        ArgumentException e => new(ExitCodes.Usage, UsageStatus, MessageOf(e)),
        FormatException e => new(ExitCodes.Usage, UsageStatus, MessageOf(e)),
        OutOfMemoryException e => new(ExitCodes.Full, OutOfMemoryStatus, MessageOf(e)),
        _ => new(ExitCodes.Internal, InternalStatus, $"internal error, please report: {exception.GetType().Name}: {MessageOf(exception)}"),
    };

    /// <summary>The message as one line, without the parameter name that .NET appends for programmers.</summary>
    internal static string MessageOf(Exception exception)
    {
        string message = exception.Message;
        if (exception is ArgumentException { ParamName: not null } && message.IndexOf(" (Parameter '", StringComparison.Ordinal) is var cut and > 0)
            message = message[..cut];
        return TextTable.Printable(message.ReplaceLineEndings(" ").Trim());
    }
}
