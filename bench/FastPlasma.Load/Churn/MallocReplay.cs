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
        return Tool.TryCompile([Path.Combine(AppContext.BaseDirectory, "Churn", "replay.c"), "-o", program], cancellation, out reason) ? new MallocReplay(program, cancellation) : null;
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
            return Tool.Run(_program, [trace, curve, touches ? "touch" : "plain"], preload, process => _running = process, _cancellation);
        }
        catch (ToolException e)
        {
            throw new PeerException(e.Message, isLimit: false);
        }
        finally
        {
            _running = null;
        }
    }

    public void Dispose() => _running?.Kill();
}
