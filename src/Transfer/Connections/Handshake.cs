using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using FastPlasma.Native;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Connections;

/// <summary>Beginning of a connection: both sides say who they are, agree on a version and, with a cluster key, prove that they know it. No frame is read before.</summary>
internal static unsafe class Handshake
{
    private const byte Welcome = 1;
    private const int RefusalTextOffset = 10;

    /// <summary>What one side knows of itself.</summary>
    internal sealed record Self(Guid NodeId, Guid StoreUuid, ReadOnlyMemory<byte> ClusterKey, TimeSpan TombstoneLife, NodeEndpoint? Endpoint)
    {
        internal SecurityKind Security => ClusterKey.IsEmpty ? SecurityKind.None : SecurityKind.ClusterKey;
    }

    /// <summary>As the one who dialed.</summary>
    /// <returns>The server's Hello.</returns>
    /// <exception cref="ProtocolException">The server refused, or could not prove that it knows the key, or is no node.</exception>
    internal static Hello AsRequester(ITransferConnection connection, Self self, ConnectionKind kind)
    {
        Hello own = NewHello(self);
        own.Kind = kind;
        Send(connection, &own, Hello.SizeBytes);

        Hello theirs = ReceiveHello(connection);
        if (Mismatch(own, theirs) is { } wrong)
            throw new ProtocolException($"{connection.RemoteAddress}: {wrong}");
        if (own.Security == SecurityKind.ClusterKey)
        {
            byte* proof = stackalloc byte[Hello.ProofBytes], expected = stackalloc byte[Hello.ProofBytes];
            Receive(connection, proof, Hello.ProofBytes);
            Prove(self, isServer: true, own, theirs, expected);
            if (!CryptographicOperations.FixedTimeEquals(new ReadOnlySpan<byte>(proof, Hello.ProofBytes), new ReadOnlySpan<byte>(expected, Hello.ProofBytes)))
                throw new ProtocolException($"{connection.RemoteAddress} does not know the cluster key");
            Prove(self, isServer: false, own, theirs, proof);
            Send(connection, proof, Hello.ProofBytes);
        }
        byte answer;
        Receive(connection, &answer, 1);
        if (answer == Welcome)
            return theirs;
        if (answer == Hello.RefusalFirstByte)
        {
            byte* rest = stackalloc byte[RefusalTextOffset - 1];
            Receive(connection, rest, RefusalTextOffset - 1);
            throw Refusal(connection, BinaryPrimitives.ReadUInt16LittleEndian(new ReadOnlySpan<byte>(rest + 7, 2)));
        }
        throw new ProtocolException($"{connection.RemoteAddress}: the handshake ends with {answer} instead of 1");
    }

    /// <summary>As the one who was dialed.</summary>
    /// <returns>The requester's Hello. <see cref="Admit"/> or <see cref="Refuse"/> has to follow.</returns>
    /// <exception cref="ProtocolException">The requester is no node, has another version or security, or does not know the key; it was told.</exception>
    internal static Hello AsServer(ITransferConnection connection, Self self)
    {
        Hello theirs = ReceiveHello(connection);
        Hello own = NewHello(self);
        if (Mismatch(theirs, own) is { } wrong)
        {
            Refuse(connection, wrong);
            throw new ProtocolException($"{connection.RemoteAddress} was refused: {wrong}");
        }
        own.Kind = theirs.Kind;
        Send(connection, &own, Hello.SizeBytes);
        if (own.Security != SecurityKind.ClusterKey)
            return theirs;

        byte* proof = stackalloc byte[Hello.ProofBytes], expected = stackalloc byte[Hello.ProofBytes];
        Prove(self, isServer: true, theirs, own, proof);
        Send(connection, proof, Hello.ProofBytes);
        Receive(connection, proof, Hello.ProofBytes);
        Prove(self, isServer: false, theirs, own, expected);
        if (CryptographicOperations.FixedTimeEquals(new ReadOnlySpan<byte>(proof, Hello.ProofBytes), new ReadOnlySpan<byte>(expected, Hello.ProofBytes)))
            return theirs;
        const string unknown = "the cluster key is another one";
        Refuse(connection, unknown);
        throw new ProtocolException($"{connection.RemoteAddress} was refused: {unknown}");
    }

    /// <summary>Lets the requester in.</summary>
    internal static void Admit(ITransferConnection connection)
    {
        byte welcome = Welcome;
        Send(connection, &welcome, 1);
    }

    /// <summary>Tells the requester why it is not let in.</summary>
    internal static void Refuse(ITransferConnection connection, string reason)
    {
        byte[] text = Encoding.UTF8.GetBytes(reason);
        int bytes = Math.Min(text.Length, Limits.ByeBytesMax);
        byte[] message = new byte[RefusalTextOffset + bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(message, Hello.RefusalMagic);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(8), (ushort)bytes);
        text.AsSpan(0, bytes).CopyTo(message.AsSpan(RefusalTextOffset));
        try
        {
            fixed (byte* first = message)
                Send(connection, first, message.Length);
        }
        catch (IOException)
        {
            // It has gone already; the refusal stands in this node's log.
        }
    }

    private static Hello NewHello(Self self)
    {
        var hello = new Hello
        {
            Magic = Hello.MagicValue,
            VersionMin = Limits.Version,
            VersionMax = Limits.Version,
            Security = self.Security,
            NodeId = self.NodeId,
            StoreUuid = self.StoreUuid,
            TombstoneSeconds = (uint)self.TombstoneLife.TotalSeconds,
        };
        if (self.Endpoint is { } endpoint && Encoding.UTF8.TryGetBytes(endpoint.ToString(), new Span<byte>(hello.Address, Hello.AddressBytesMax), out int addressBytes))
            hello.AddressBytes = (ushort)addressBytes;
        RandomNumberGenerator.Fill(new Span<byte>(hello.Nonce, Hello.NonceBytes));
        return hello;
    }

    private static string? Mismatch(in Hello requester, in Hello server)
    {
        if (requester.VersionMin > server.VersionMax || server.VersionMin > requester.VersionMax)
            return $"the versions of the protocol do not meet: requester {requester.VersionMin} to {requester.VersionMax}, server {server.VersionMin} to {server.VersionMax}";
        if (requester.Security != server.Security)
            return server.Security == SecurityKind.ClusterKey ? "this node needs the cluster key" : "this node has no cluster key, and is asked to prove one";
        if (requester.TombstoneSeconds != server.TombstoneSeconds)
            return $"deletes are remembered for {requester.TombstoneSeconds} s by the requester and {server.TombstoneSeconds} s by the server; it must be the same";
        if (requester.NodeId == server.NodeId)
            return "this node dials itself";
        if (requester.StoreUuid == server.StoreUuid)
            return $"both nodes serve store {server.StoreUuid}: one of the two is a copy of the other's files, and must be made anew";
        if (requester.Kind > ConnectionKind.Data)
            return $"there is no kind {(byte)requester.Kind} of connections";
        return null;
    }

    private static Hello ReceiveHello(ITransferConnection connection)
    {
        Hello hello;
        Receive(connection, (byte*)&hello, sizeof(ulong));
        if (hello.Magic == Hello.RefusalMagic)
        {
            ushort bytes;
            Receive(connection, (byte*)&bytes, sizeof(ushort));
            throw Refusal(connection, bytes);
        }
        if (hello.Magic != Hello.MagicValue)
            throw new ProtocolException($"{connection.RemoteAddress} is no FastPlasma node");
        Receive(connection, (byte*)&hello + sizeof(ulong), Hello.SizeBytes - sizeof(ulong));
        return hello;
    }

    private static ProtocolException Refusal(ITransferConnection connection, int bytes)
    {
        byte* text = stackalloc byte[Limits.ByeBytesMax];
        bytes = Math.Min(bytes, Limits.ByeBytesMax);
        if (bytes > 0)
            Receive(connection, text, bytes);
        return new ProtocolException($"{connection.RemoteAddress} refuses: {FrameChannel.Printable(new ReadOnlySpan<byte>(text, bytes))}", isRefusal: true);
    }

    /// <summary>HMAC over a role and both Hellos: it covers both nonces, and one role's proof is no use in the other.</summary>
    private static void Prove(Self self, bool isServer, in Hello requester, in Hello server, byte* proof)
    {
        ReadOnlySpan<byte> role = isServer ? "fastplasma server"u8 : "fastplasma requester"u8;
        Span<byte> text = stackalloc byte[32 + 2 * Hello.SizeBytes];
        role.CopyTo(text);
        int bytes = role.Length;
        MemoryMarshal.AsBytes(new ReadOnlySpan<Hello>(in requester)).CopyTo(text[bytes..]);
        bytes += Hello.SizeBytes;
        MemoryMarshal.AsBytes(new ReadOnlySpan<Hello>(in server)).CopyTo(text[bytes..]);
        bytes += Hello.SizeBytes;
        HMACSHA256.HashData(self.ClusterKey.Span, text[..bytes], new Span<byte>(proof, Hello.ProofBytes));
    }

    private static void Send(ITransferConnection connection, void* bytes, int count)
    {
        var part = new IoPart((byte*)bytes, (nuint)count);
        connection.Send(new ReadOnlySpan<IoPart>(in part));
    }

    private static void Receive(ITransferConnection connection, byte* bytes, int count)
    {
        var part = new IoPart(bytes, (nuint)count);
        if (!connection.Receive(new ReadOnlySpan<IoPart>(in part)))
            throw new EndOfStreamException($"{connection.RemoteAddress} closed the connection in the handshake");
    }
}
