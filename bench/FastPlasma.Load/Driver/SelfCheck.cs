using System.Globalization;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Commands;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Driver;

/// <summary>Whether a peer stores, finds and deletes what it should, from two processes, before anything of it is measured.</summary>
internal static class SelfCheck
{
    private const int ObjectBytesMax = 1 << 20, ObjectCountMax = 4096;
    private const long CapacityBytes = 16L << 20;
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    /// <exception cref="PeerCheckException">It does not.</exception>
    /// <exception cref="ChildProcessException">It does not in the second process.</exception>
    internal static void Run(LoadContext context, IPeer peer)
    {
        string directory = context.Folder.CreateNext();
        PeerSetup setup = new(directory, CapacityBytes, ObjectCountMax, ObjectBytesMax);
        try
        {
            PeerCheck.Run(peer, setup, address => RunOther(context, peer, address, directory));
        }
        finally
        {
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>The second process's half.</summary>
    internal static int RunOther(string peer, string address, string directory)
    {
        using var parent = new ParentPipe(orphaned: static () => { });
        PeerCheck.RunOther(PeerList.Find(peer), address, new PeerSetup(directory, CapacityBytes, ObjectCountMax, ObjectBytesMax));
        parent.Send(ParentPipe.Exit);
        return 0;
    }

    private static void RunOther(LoadContext context, IPeer peer, string address, string directory)
    {
        using ChildProcess other = ChildProcess.Start($"second process of {peer.Name}'s self-check", CheckCommand.Name, peer.Name, address, directory);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        limit.CancelAfter(s_timeout);
        try
        {
            other.ReceiveAsync(limit.Token).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException) when (!context.Cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"{other.Label} (process {other.Id}) did not end within {s_timeout.TotalSeconds:0} s.");
        }
    }
}
