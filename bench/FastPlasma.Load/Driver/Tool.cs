using System.ComponentModel;
using System.Diagnostics;

namespace FastPlasma.Load.Driver;

/// <summary>Programs that run to their end: the compiler, and what it has made.</summary>
internal static class Tool
{
    /// <summary>The compiler's name, and the packages of Debian that have it.</summary>
    internal const string Compiler = "gcc", CompilerPackages = "gcc libc6-dev";

    /// <summary>Compiles with gcc -O2. False, with the reason, when there is no compiler or it refuses.</summary>
    internal static bool TryCompile(IEnumerable<string> arguments, CancellationToken cancellation, out string reason)
    {
        try
        {
            Run(Compiler, ["-O2", .. arguments], preload: null, started: null, cancellation);
            reason = "";
            return true;
        }
        catch (Win32Exception)
        {
            reason = $"{Compiler} is not installed (Debian: apt-get install {CompilerPackages})";
        }
        catch (ToolException e)
        {
            reason = e.Message;
        }
        return false;
    }

    /// <summary>Runs a program and returns what it has printed.</summary>
    /// <param name="program">Its path, or its name.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="preload">A library for LD_PRELOAD, or null.</param>
    /// <param name="started">Is told the process, or null.</param>
    /// <param name="cancellation">Kills it.</param>
    /// <exception cref="ToolException">It did not end with 0.</exception>
    /// <exception cref="Win32Exception">There is no such program.</exception>
    internal static string Run(string program, IEnumerable<string> arguments, string? preload, Action<Process>? started, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (preload is not null)
            start.Environment["LD_PRELOAD"] = preload;
        using Process process = Process.Start(start) ?? throw new ToolException($"{program} did not start.");
        started?.Invoke(process);
        using CancellationTokenRegistration kill = cancellation.Register(process.Kill);
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        process.WaitForExit();
        cancellation.ThrowIfCancellationRequested();
        return process.ExitCode == 0 ? output.Result : throw new ToolException($"{Path.GetFileName(program)} ended with {process.ExitCode}: {errors.Result.Trim()}");
    }
}

/// <summary>A program did not end well.</summary>
internal sealed class ToolException(string message) : Exception(message);
