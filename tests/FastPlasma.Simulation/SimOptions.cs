namespace FastPlasma.Simulation;

/// <summary>The modelled network and cluster.</summary>
internal sealed record SimOptions
{
    internal int Seed { get; init; } = 1;

    internal int Nodes { get; init; } = 8;

    /// <summary>Of each object.</summary>
    internal long ObjectBytes { get; init; } = 32 << 20;

    /// <summary>Of each node's link, in each direction.</summary>
    internal double Megabits { get; init; } = 200;

    /// <summary>Payload bytes of each byte on the wire: 1448 of 1514 with TCP over Ethernet.</summary>
    internal double Efficiency { get; init; } = 1448.0 / 1514;

    /// <summary>From one node to another, one way.</summary>
    internal long LatencyNs { get; init; } = 60_000;

    /// <summary>Time that a node takes for one message; they wait for each other.</summary>
    internal long MessageNs { get; init; } = 5_000;

    /// <summary>Until memory for an object is there, and until a connection stands.</summary>
    internal long CreateNs { get; init; } = 500_000;

    internal long ConnectNs { get; init; } = 2_000_000;

    /// <summary>Bytes that are sent in one go by one connection, before it is another's turn.</summary>
    internal int QuantumBytes { get; init; } = 64 << 10;

    /// <summary>Bytes of one connection that may be between its two nodes.</summary>
    internal int WindowBytes { get; init; } = 256 << 10;

    internal int Streams { get; init; } = 4;

    internal int TransfersMax { get; init; } = 16;

    /// <summary>Whether a directory knows who has what, or every node is asked.</summary>
    internal bool IsLocated { get; init; }

    internal double BytesPerNs => Megabits * Efficiency / 8000;

    internal double IdealSeconds(double objects) => objects * ObjectBytes / BytesPerNs / 1e9;
}
