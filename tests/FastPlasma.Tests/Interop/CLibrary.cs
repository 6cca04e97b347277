using System.Diagnostics;

namespace FastPlasma.Tests.Interop;

/// <summary>The published C library, the compilers, and what is built with them: in a folder that goes with the last test.</summary>
public sealed class CLibrary : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3); // A compiler or valgrind on a busy machine.

    private readonly string _folder = Directory.CreateTempSubdirectory(Leftovers.Prefix).FullName;
    private readonly Dictionary<string, string> _built = [];
    private readonly Lock _lock = new();

    public CLibrary() => Assert.True(File.Exists(SharedObject), $"{SharedObject} is not there: publish it (dotnet publish src/Interop -c Release).");

    /// <summary>libfastplasma.so.</summary>
    internal static string SharedObject { get; } = Path.Combine(Repository.Folder, "artifacts", "publish", "FastPlasma.Interop", "libfastplasma.so");

    internal static string Include { get; } = Path.Combine(Repository.Folder, "src", "Interop", "include");

    internal static string Clients { get; } = Path.Combine(Repository.Folder, "clients", "c");

    internal static string Header => Path.Combine(Include, "fastplasma.h");

    /// <summary>A program of the tests' own sources: interop.c beside this file becomes "interop".</summary>
    internal string Program(string name) => Build(Path.Combine(Repository.Folder, "tests", "FastPlasma.Tests", "Interop", name + ".c"));

    /// <summary>Compiles and links one file, every warning being an error; once.</summary>
    internal string Build(string source)
    {
        lock (_lock)
        {
            if (_built.TryGetValue(source, out string? program))
                return program;
            bool isCpp = source.EndsWith(".cpp", StringComparison.Ordinal);
            program = Path.Combine(_folder, Path.GetFileName(source) + ".out");
            string library = Path.GetDirectoryName(SharedObject)!;
            Run(
                isCpp ? "g++" : "gcc", isCpp ? "-std=c++17" : "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-I", Include, "-I", Path.Combine(Clients, "include"),
                "-o", program, source, $"-L{library}", "-lfastplasma", "-ldl", "-pthread", $"-Wl,-rpath,{library}");
            return _built[source] = program;
        }
    }

    /// <summary>A file in the folder of these tests.</summary>
    internal string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>A file with that text, to be compiled.</summary>
    internal string Write(string name, string text)
    {
        string file = PathOf(name);
        File.WriteAllText(file, text);
        return file;
    }

    /// <summary>Runs a program that must end with 0; returns what it printed.</summary>
    internal static string Run(string program, params string[] arguments) => Run(null, program, arguments);

    internal static string Run(IReadOnlyDictionary<string, string>? environment, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        Task<string> standard = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_patience))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            Assert.Fail($"{program} {string.Join(' ', arguments)} did not end within {s_patience}: {standard.Result}{error.Result}");
        }
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {standard.Result}{error.Result}");
        return standard.Result;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
