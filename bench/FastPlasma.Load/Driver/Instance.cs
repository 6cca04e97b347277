using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Driver;

/// <summary>An instance of a peer for processes that are no workers.</summary>
internal sealed class Instance : IDisposable
{
    private readonly IPeerInstance _instance;
    private readonly string _directory;

    internal Instance(LoadContext context, IPeer peer, long capacityBytes, int objectCountMax, int objectBytesMax)
    {
        _directory = context.Folder.CreateNext();
        PeerSetup setup = new(_directory, capacityBytes, objectCountMax, objectBytesMax);
        try
        {
            _instance = peer.Start(setup);
        }
        catch
        {
            Directory.Delete(_directory, recursive: true);
            throw;
        }

        Open = new OpenRequest(peer.Name, _instance.Address, setup);
    }

    /// <summary>What a process needs to open it.</summary>
    internal OpenRequest Open { get; }

    public void Dispose()
    {
        _instance.Dispose();
        if (Directory.Exists(_directory))
            Directory.Delete(_directory, recursive: true);
    }
}
