using System.Runtime.InteropServices;
using Mono.Unix.Native;

namespace FastPlasma.Native;

/// <summary>The operating system refused something; the message names the operation, its object, the sizes and the errno.</summary>
internal sealed class OsException : IOException
{
    internal OsException(string operation, string subject, int errno)
        : base($"{operation} {subject}: {Describe(errno)}", errno) => ErrorNumber = errno;

    /// <summary>errno of the failed call.</summary>
    internal int ErrorNumber { get; }

    /// <summary>Takes errno of the call that has just failed.</summary>
    internal static OsException FromLastError(string operation, string subject) => new(operation, subject, Marshal.GetLastPInvokeError());

    /// <summary>Loads what <see cref="Describe"/> needs while there is memory, so that it can say that there is none.</summary>
    internal static void LoadNames() => _ = Describe(0);

    /// <summary>"ENOSPC (No space left on device)".</summary>
    /// <remarks>Only the names come from Mono.Posix, whose numbers are Linux's own; its native helper is not needed for them.</remarks>
    internal static string Describe(int errno) =>
        Enum.GetName((Errno)errno) is { } name ? $"{name} ({Marshal.GetPInvokeErrorMessage(errno)})" : $"errno {errno}";
}
