using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using FastPlasma.Native;

namespace FastPlasma.Interop;

/// <summary>The process in which the library was first called.</summary>
/// <remarks>The runtime's threads do not follow a fork, and a garbage collection in the child would wait for them for ever: what needs memory is refused there.</remarks>
internal static unsafe class Process
{
    private static int s_first;

    /// <summary>Runs when the runtime starts, at the library's first call.</summary>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "A shared library has no Main.")]
    internal static void Note() => s_first = ForkMark.OfThisProcess();

    /// <summary>Whether this is a child of that process.</summary>
    internal static bool IsForkedChild => Volatile.Read(ref *ForkMark.Word) != s_first;
}
