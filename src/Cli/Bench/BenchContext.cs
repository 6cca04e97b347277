using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench;

/// <summary>What a scenario needs from the command.</summary>
/// <param name="Quick">Less of everything.</param>
internal sealed record BenchContext(bool Quick)
{
    /// <summary>Chooses by <see cref="Quick"/>.</summary>
    internal int Pick(int full, int quick) => Quick ? quick : full;

    /// <summary>Starts the second process of a scenario and waits until it is attached.</summary>
    internal static ChildProcess StartPeer(IBenchPeerScenario scenario, PlasmaStore store)
    {
        ChildProcess peer = ChildProcess.Start($"peer of {scenario.Name}", "bench", BenchCommand.PeerCommand, scenario.Name, store.Name);
        try
        {
            string answer = peer.Receive();
            if (answer != BenchCommand.PeerReady)
                throw new ChildProcessException($"{peer.Label} (process {peer.Id}) said '{answer}'.");
            return peer;
        }
        catch
        {
            peer.Dispose();
            throw;
        }
    }
}
