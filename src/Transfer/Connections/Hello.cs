using System.Runtime.InteropServices;

namespace FastPlasma.Transfer.Connections;

/// <summary>What a connection is for.</summary>
internal enum ConnectionKind : byte
{
    /// <summary>Questions, small objects, notices.</summary>
    Control = 0,

    /// <summary>Chunks of large objects.</summary>
    Data = 1,
}

/// <summary>How a node proves who it is.</summary>
internal enum SecurityKind : byte
{
    /// <summary>Not inside this handshake: loopback, or TLS around it.</summary>
    None = 0,

    /// <summary>Both prove that they know the cluster key.</summary>
    ClusterKey = 1,
}

/// <summary>First message of both sides.</summary>
/// <remarks><code>
/// off bytes field            meaning
///   0    8  Magic            "FPLASMA1"
///   8    2  VersionMin
///  10    2  VersionMax
///  12    1  Kind             requester: what the connection is for
///  13    1  Security
///  14    2  AddressBytes
///  16   16  NodeId           of this run of the node
///  32   16  StoreUuid
///  48    4  TombstoneSeconds how long deletes are remembered; the same on all nodes
///  52   12  reserved, 0
///  64   32  Nonce            random
///  96   96  Address          where this node can be dialed, UTF-8; none of a requester that serves nobody
/// 192   64  reserved, 0
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct Hello
{
    internal const int SizeBytes = 256, NonceBytes = 32, ProofBytes = 32, AddressBytesMax = 96;
    internal const ulong MagicValue = 0x31414D53414C5046; // "FPLASMA1" in byte order
    internal const ulong RefusalMagic = 0x4553554645525046; // "FPREFUSE" in byte order
    internal const byte RefusalFirstByte = (byte)(RefusalMagic & 0xFF);

    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal ushort VersionMin;
    [FieldOffset(10)] internal ushort VersionMax;
    [FieldOffset(12)] internal ConnectionKind Kind;
    [FieldOffset(13)] internal SecurityKind Security;
    [FieldOffset(14)] internal ushort AddressBytes;
    [FieldOffset(16)] internal Guid NodeId;
    [FieldOffset(32)] internal Guid StoreUuid;
    [FieldOffset(48)] internal uint TombstoneSeconds;
    [FieldOffset(64)] internal fixed byte Nonce[NonceBytes];
    [FieldOffset(96)] internal fixed byte Address[AddressBytesMax];
    [FieldOffset(192)] internal fixed byte Reserved[64];

    internal const byte CheckSize = 192 + 64 == SizeBytes ? 0 : -1;

    /// <summary>Where the other node says that it can be dialed; null if nowhere, or if it says nonsense.</summary>
    internal readonly NodeEndpoint? Endpoint
    {
        get
        {
            if (AddressBytes is 0 or > AddressBytesMax)
                return null;
            fixed (byte* address = Address)
                return NodeEndpoint.TryParse(FrameChannel.Printable(new ReadOnlySpan<byte>(address, AddressBytes)), out NodeEndpoint endpoint) && endpoint.Port != 0 ? endpoint : null;
        }
    }
}
