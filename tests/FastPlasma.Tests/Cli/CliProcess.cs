using System.Diagnostics;

namespace FastPlasma.Tests;

/// <summary>The real executable, as a user starts it.</summary>
internal static class CliProcess
{
    private static readonly TimeSpan Watchdog = TimeSpan.FromSeconds(60);

    /// <summary>artifacts/bin/FastPlasma.Cli/CONFIGURATION/fastplasma, of the configuration of these tests.</summary>
    internal static string Executable { get; } = Find();

    internal static Process Start(params string[] args) => Process.Start(StartInfo(Executable, args))!;

    /// <summary>Runs to the end. Standard input is <paramref name="input"/>, or empty.</summary>
    internal static (int ExitCode, string Output, string Error) Run(byte[]? input, params string[] args) => RunFile(Executable, input, args);

    /// <summary>Runs a shell line in which $FP is the executable.</summary>
    internal static (int ExitCode, string Output, string Error) Shell(string line) => RunFile("/bin/bash", null, "-c", line);

    /// <summary>Kills what is left of a process.</summary>
    internal static void End(Process process)
    {
        if (!process.HasExited)
            process.Kill(entireProcessTree: true);
        process.WaitForExit();
    }

    private static (int ExitCode, string Output, string Error) RunFile(string file, byte[]? input, params string[] args)
    {
        using Process process = Process.Start(StartInfo(file, args))!;
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
            try
            {
                process.StandardInput.BaseStream.Write(input ?? []);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It ended without reading its input.
            }
            Assert.True(process.WaitForExit(Watchdog), $"{file} {string.Join(' ', args)} did not end within {Watchdog}");
            return (process.ExitCode, output.Result, error.Result);
        }
        finally
        {
            End(process);
        }
    }

    private static ProcessStartInfo StartInfo(string file, string[] args)
    {
        var info = new ProcessStartInfo(file, args)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        info.Environment["FP"] = Executable;
        info.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        info.Environment.Remove("FASTPLASMA_STORE");
        return info;
    }

    private static string Find()
    {
        // AppContext.BaseDirectory is artifacts/bin/FastPlasma.Tests/CONFIGURATION/.
        var configuration = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        string path = Path.Combine(configuration.Parent!.Parent!.FullName, "FastPlasma.Cli", configuration.Name, "fastplasma");
        return File.Exists(path) ? path : throw new FileNotFoundException("The command line has not been built: build the solution first.", path);
    }
}
