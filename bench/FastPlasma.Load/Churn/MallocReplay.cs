using System.Diagnostics;
using FastPlasma.Load.Driver;

namespace FastPlasma.Load.Churn;

/// <summary>Carries out traces with malloc and free, under an allocator that is preloaded: replay.c, compiled here and now.</summary>
internal sealed class MallocReplay : IDisposable
{
    private static readonly string[] s_libraryFolders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

    private readonly string _program;
    private readonly CancellationToken _cancellation;
    private Process? _running;

    private MallocReplay(string program, CancellationToken cancellation) => (_program, _cancellation) = (program, cancellation);

    /// <summary>Null, with the reason, when there is no compiler.</summary>
    internal static MallocReplay? TryCompile(string folder, CancellationToken cancellation, out string reason)
    {
        string program = Path.Combine(folder, "replay");
        try
        {
            Run("gcc", ["-O2", "-o", program, Path.Combine(AppContext.BaseDirectory, "Churn", "replay.c")], preload: null, started: null, cancellation);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            reason = "gcc is not installed (Debian: apt-get install gcc libc6-dev)";
            return null;
        }
        catch (ReplayException e)
        {
            reason = e.Message;
            return null;
        }
        reason = "";
        return new MallocReplay(program, cancellation);
    }

    /// <summary>Where a library of the system lies, or null.</summary>
    internal static string? FindLibrary(string file) =>
        s_libraryFolders.Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, file, new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1, IgnoreInaccessible = true }))
            .FirstOrDefault();

    /// <summary>Returns the line of figures.</summary>
    /// <exception cref="PeerException">The replay failed.</exception>
    internal string Replay(string trace, string curve, bool touches, string? preload)
    {
        try
        {
            return Run(_program, [trace, curve, touches ? "touch" : "plain"], preload, process => _running = process, _cancellation);
        }
        catch (ReplayException e)
        {
            throw new PeerException(e.Message, isLimit: false);
        }
        finally
        {
            _running = null;
        }
    }

    public void Dispose() => _running?.Kill();

    private static string Run(string program, IEnumerable<string> arguments, string? preload, Action<Process>? started, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        if (preload is not null)
            start.Environment["LD_PRELOAD"] = preload;
        using Process process = Process.Start(start) ?? throw new ReplayException($"{program} did not start.");
        started?.Invoke(process);
        using CancellationTokenRegistration kill = cancellation.Register(process.Kill);
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        process.WaitForExit();
        cancellation.ThrowIfCancellationRequested();
        return process.ExitCode == 0 ? output.Result : throw new ReplayException($"{Path.GetFileName(program)} ended with {process.ExitCode}: {errors.Result.Trim()}");
    }

    private sealed class ReplayException(string message) : Exception(message);
}
