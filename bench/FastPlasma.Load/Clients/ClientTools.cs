using System.Diagnostics;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Clients;

/// <summary>What the clients in C and Python need of this machine, and how they are started.</summary>
internal static class ClientTools
{
    private const string LibraryFile = "libfastplasma.so", LibraryVariable = "FASTPLASMA_LIBRARY", PythonVariable = "FASTPLASMA_PYTHON", SystemPython = "/usr/bin/python3";

    /// <summary>Why the client in C cannot run here, or null.</summary>
    internal static string? MissingC => MissingLibrary ?? (ServerProcess.Find(Tool.Compiler) is null ? $"{Tool.Compiler} is not installed (Debian: apt-get install {Tool.CompilerPackages})" : null);

    /// <summary>Why the client in Python cannot run here, or null.</summary>
    internal static string? MissingPython => MissingLibrary ?? (Python is null ? "python3 is not installed (Debian: apt-get install python3)" : null);

    /// <summary>Both, for a list.</summary>
    internal static string? Missing => MissingC is { } c && MissingPython is { } python ? c == python ? c : $"{c}; {python}" : MissingC ?? MissingPython;

    private static string? Library =>
        Environment.GetEnvironmentVariable(LibraryVariable) is { Length: > 0 } named ? named
        : Checkout.Folder is { } folder ? Path.Combine(folder, "artifacts", "publish", "FastPlasma.Interop", LibraryFile) : null;

    /// <summary>That of the system, to which Debian's numpy and pandas belong, unless another is named.</summary>
    private static string? Python =>
        ServerProcess.Find(Environment.GetEnvironmentVariable(PythonVariable) is { Length: > 0 } named ? named : File.Exists(SystemPython) ? SystemPython : "python3");

    private static string? MissingLibrary =>
        Checkout.Folder is null ? "the sources of the clients are not here: run it from a checkout"
        : File.Exists(Library) ? null : $"{Library} is not there (dotnet publish src/Interop -c Release)";

    /// <summary>Compiles the client in C. Null, with the reason, when that is not possible.</summary>
    internal static ProcessStartInfo? TryCompileC(string folder, string directory, CancellationToken cancellation, out string reason)
    {
        if (MissingC is { } missing)
        {
            reason = missing;
            return null;
        }
        string program = Path.Combine(folder, "hot_calls"), library = Path.GetDirectoryName(Path.GetFullPath(Library!))!;
        return Tool.TryCompile(
            [In("clients", "c", "bench", "hot_calls.c"), "-std=c11", $"-I{In("src", "Interop", "include")}", "-o", program, $"-L{library}", "-lfastplasma", $"-Wl,-rpath,{library}"], cancellation, out reason)
            ? new ProcessStartInfo(program, [FastPlasmaPeer.StoreName, directory])
            : null;
    }

    /// <summary>How the client in Python is started.</summary>
    /// <param name="directory">The store's folder.</param>
    /// <param name="folder">A folder in memory for files.</param>
    /// <param name="redis">Socket of a redis-server, or null.</param>
    internal static ProcessStartInfo StartPython(string directory, string folder, string? redis)
    {
        string[] arguments = [In("clients", "python", "bench", "hot_calls.py"), FastPlasmaPeer.StoreName, directory, folder];
        return new ProcessStartInfo(Python!, redis is null ? arguments : [.. arguments, redis])
        {
            Environment = { [LibraryVariable] = Path.GetFullPath(Library!), ["PYTHONPATH"] = In("clients", "python"), ["PYTHONDONTWRITEBYTECODE"] = "1" },
        };
    }

    private static string In(params ReadOnlySpan<string> path) => Path.Combine([Checkout.Folder!, .. path]);
}
