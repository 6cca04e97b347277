namespace FastPlasma.Cli;

/// <summary>What the exit code of every command means; docs/cli.md has the same table.</summary>
internal static class ExitCodes
{
    /// <summary>Done.</summary>
    internal const int Ok = 0;

    /// <summary>The store answered no: not found, exists, not sealed, deadline passed, verify found problems, declined.</summary>
    internal const int Negative = 1;

    /// <summary>The command line cannot be understood, or a value is out of range.</summary>
    internal const int Usage = 2;

    /// <summary>The store cannot be opened, created or trusted: missing, no rights, incompatible, corrupt.</summary>
    internal const int Store = 3;

    /// <summary>No room: memory, object records or pin slots are used up, or the object can never fit.</summary>
    internal const int Full = 4;

    /// <summary>A file, stdin or stdout could not be read or written, or an object not be read back from disk.</summary>
    internal const int InputOutput = 5;

    /// <summary>A bug of this program.</summary>
    internal const int Internal = 70;

    /// <summary>Ended by Ctrl-C (128 + SIGINT).</summary>
    internal const int Interrupted = 130;

    /// <summary>Ended by SIGTERM (128 + SIGTERM).</summary>
    internal const int Terminated = 143;

    /// <summary>The exit code of an outcome.</summary>
    internal static int Of(PlasmaStatus status) => status switch
    {
        PlasmaStatus.Ok => Ok,
        PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects or PlasmaStatus.TooManyPins or PlasmaStatus.TooLarge => Full,
        _ => Negative,
    };
}
