using System.Security.Cryptography.X509Certificates;
using FastPlasma.Transfer.Directory;

namespace FastPlasma.Transfer;

/// <summary>How a node takes part.</summary>
public sealed record PlasmaNodeOptions
{
    /// <summary>Shortest cluster key in bytes.</summary>
    public const int ClusterKeyBytesMin = 32;

    /// <summary>Where to listen. Default: loopback, port <see cref="NodeEndpoint.DefaultPort"/>; port 0 lets the system choose. Any address but loopback needs <see cref="Tls"/> or <see cref="ClusterKey"/>.</summary>
    public NodeEndpoint Listen { get; init; } = new("127.0.0.1", NodeEndpoint.DefaultPort);

    /// <summary>Where others dial this node, if that is not where it listens; its port 0 stands for the port that it listens on.</summary>
    public NodeEndpoint? Advertise { get; init; }

    /// <summary>Who is there and who has what. Default: nobody, <see cref="StaticPeers"/> without peers.</summary>
    public Func<IObjectDirectory> Directory { get; init; } = static () => new StaticPeers([]);

    /// <summary>Secret of the cluster, at least <see cref="ClusterKeyBytesMin"/> random bytes, which both sides of a connection prove to know. Neither encrypts nor protects what follows.</summary>
    public ReadOnlyMemory<byte> ClusterKey { get; init; }

    /// <summary>Certificates for TLS 1.3, which both sides of a connection present.</summary>
    public TlsOptions? Tls { get; init; }

    /// <summary>Data connections to a peer that has a whole object. Default 4.</summary>
    public int StreamsPerPeer { get; init; } = 4;

    /// <summary>Large objects received at a time. Default 16.</summary>
    public int TransfersMax { get; init; } = 16;

    /// <summary>A source that owes chunks and sends nothing for so long is given up for others; twice as long the next time. Default 5 s.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A peer that answers nothing for so long, pings included, counts as gone. Default 10 s.</summary>
    public TimeSpan SilenceTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long deletes are remembered; the same on all nodes. Default 10 minutes.</summary>
    public TimeSpan TombstoneLife { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Copies that each object sealed here is to have on other nodes. Default 0.</summary>
    public int Replicas { get; init; }

    /// <summary>Connections that one peer may have open. Default 64.</summary>
    public int ConnectionsPerPeerMax { get; init; } = 64;

    /// <summary>Name to show; default machine and store.</summary>
    public string? Name { get; init; }

    /// <summary>Says what is impossible about these options, or null.</summary>
    internal string? Validate() =>
        !ClusterKey.IsEmpty && ClusterKey.Length < ClusterKeyBytesMin ? $"the cluster key has {ClusterKey.Length} bytes; at least {ClusterKeyBytesMin} are needed"
        : !ClusterKey.IsEmpty && Tls is not null ? "a cluster key and TLS are two ways to the same end; give one"
        : !Listen.IsLoopback && ClusterKey.IsEmpty && Tls is null ? $"{Listen} can be reached from other machines, which needs TLS or a cluster key"
        : StreamsPerPeer is < 1 or > 64 ? $"StreamsPerPeer is {StreamsPerPeer}; it can be 1 to 64"
        : TransfersMax is < 1 or > 1024 ? $"TransfersMax is {TransfersMax}; it can be 1 to 1024"
        : StallTimeout < TimeSpan.FromMilliseconds(100) ? $"StallTimeout is {StallTimeout}; it can be 100 ms or more"
        : SilenceTimeout < TimeSpan.FromMilliseconds(300) ? $"SilenceTimeout is {SilenceTimeout}; it can be 300 ms or more"
        : TombstoneLife < TimeSpan.FromSeconds(1) || TombstoneLife > TimeSpan.FromDays(30) ? $"TombstoneLife is {TombstoneLife}; it can be 1 s to 30 days"
        : Replicas is < 0 or > 16 ? $"Replicas is {Replicas}; it can be 0 to 16"
        : ConnectionsPerPeerMax is < 2 or > 4096 ? $"ConnectionsPerPeerMax is {ConnectionsPerPeerMax}; it can be 2 to 4096"
        : null;
}

/// <summary>Certificates of a node for mutual TLS 1.3.</summary>
/// <param name="Certificate">Of this node, with its private key.</param>
/// <param name="Authorities">Who signs the certificates of the cluster's nodes; nobody else's are accepted, the system's are not looked at.</param>
public sealed record TlsOptions(X509Certificate2 Certificate, X509Certificate2Collection Authorities);
