using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.IO.Hashing;
using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>Names of keys and channels and the texts in them; docs/directory.md has them all. What is read comes from other processes, so everything is checked.</summary>
/// <remarks>Braces are hash tags: keys with the same one lie in the same slot of a Redis cluster. Commands with several keys name keys of one slot only.</remarks>
internal sealed class RedisDirectoryKeys(string prefix)
{
    internal const int TombstoneKeyCount = 16, BeatKeyCount = 64, SessionChars = 16, NameCharsMax = 200;

    private const int TombstoneMemberBytes = ObjectId.SizeBytes + sizeof(ulong), DeletedBytes = TombstoneMemberBytes + sizeof(ulong), NodeIdBytes = 16;

    /// <summary>Sessions of nodes, dead ones among them.</summary>
    internal RedisKey Nodes { get; } = $"{{{prefix}:nodes}}";

    /// <summary>Where deletes are told to all nodes.</summary>
    internal RedisChannel Deletes { get; } = RedisChannel.Literal($"{prefix}:deletes");

    /// <summary>A node under its lease.</summary>
    internal RedisKey Node(string session) => $"{{{prefix}:nodes}}:{session}";

    /// <summary>Holders of an object.</summary>
    internal RedisKey Object(in ObjectId id) => $"{prefix}:{{{id}}}";

    /// <summary>Nodes that want to be told of an object.</summary>
    internal RedisKey Watchers(in ObjectId id) => $"{prefix}:{{{id}}}:w";

    /// <summary>Deletes that are remembered, one of <see cref="TombstoneKeyCount"/> parts.</summary>
    internal RedisKey Tombstones(int part) => $"{{{prefix}:deleted:{part.ToString(CultureInfo.InvariantCulture)}}}";

    /// <summary>What a node wrote last, to see whether a server has lost anything.</summary>
    internal RedisKey Beat(int part, Guid node) => $"{{{prefix}:beat:{part.ToString(CultureInfo.InvariantCulture)}}}:{node:N}";

    /// <summary>What only one node is told.</summary>
    internal RedisChannel Channel(string node) => RedisChannel.Literal($"{prefix}:node:{node}");

    /// <summary>The same on all nodes.</summary>
    internal static int TombstonePart(in ObjectId id)
    {
        Span<byte> bytes = stackalloc byte[ObjectId.SizeBytes];
        id.CopyTo(bytes);
        return (int)(XxHash3.HashToUInt64(bytes) % TombstoneKeyCount);
    }

    /// <summary>Field of a holder: a delete of it is conditional by its name.</summary>
    internal static RedisValue Field(string session, ulong incarnation) => $"{session}:{incarnation:x}";

    internal static bool TryParseField(string? text, [NotNullWhen(true)] out string? session, out ulong incarnation)
    {
        session = null;
        incarnation = 0;
        if (text is null || text.Length < SessionChars + 2 || text[SessionChars] != ':' || !ulong.TryParse(text.AsSpan(SessionChars + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out incarnation))
            return false;
        session = text[..SessionChars];
        return true;
    }

    internal static RedisValue Holding(bool isComplete, long payloadBytes) => $"{(isComplete ? 'c' : 'p')} {payloadBytes.ToString(CultureInfo.InvariantCulture)}";

    internal static bool TryParseHolding(ReadOnlySpan<char> text, out bool isComplete, out long payloadBytes)
    {
        isComplete = text.StartsWith("c ");
        payloadBytes = 0;
        return (isComplete || text.StartsWith("p ")) && long.TryParse(text[2..], NumberStyles.None, CultureInfo.InvariantCulture, out payloadBytes);
    }

    internal static RedisValue Description(NodeDescription node) => $"{node.Id:N} {node.Endpoint} {node.StoreUuid:N} {(node.Name.Length > NameCharsMax ? node.Name[..NameCharsMax] : node.Name)}";

    internal static NodeDescription? ParseDescription(string? text)
    {
        string[] parts = (text ?? "").Split(' ', 4);
        return parts.Length == 4 && Guid.TryParseExact(parts[0], "N", out Guid id) && NodeEndpoint.TryParse(parts[1], out NodeEndpoint endpoint) && endpoint.Port > 0 && Guid.TryParseExact(parts[2], "N", out Guid store) && parts[3].Length <= NameCharsMax
            ? new NodeDescription(id, endpoint, store, parts[3]) : null;
    }

    /// <summary>Line of a node's channel: an object that it waits for is there.</summary>
    internal static string Appeared(in ObjectId id, NodeEndpoint at, ulong incarnation, bool isComplete, long payloadBytes) =>
        string.Create(CultureInfo.InvariantCulture, $"+ {id} {at} {incarnation:x} {Holding(isComplete, payloadBytes)}\n");

    /// <summary>Line of a node's channel: somebody did not find an object there.</summary>
    internal static string Corrected(in ObjectId id) => $"? {id}\n";

    /// <summary>Reads a line; no location means <see cref="Corrected"/>.</summary>
    internal static bool TryParseLine(string line, out ObjectId id, out ObjectLocation? location)
    {
        location = null;
        id = default;
        string[] parts = line.Split(' ', 5);
        if (parts.Length < 2 || !ObjectId.TryParse(parts[1], CultureInfo.InvariantCulture, out id))
            return false;
        if (parts.Length == 2)
            return parts[0] == "?";
        if (parts.Length != 5 || parts[0] != "+" || !NodeEndpoint.TryParse(parts[2], out NodeEndpoint at) || at.Port == 0
            || !ulong.TryParse(parts[3], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong incarnation) || !TryParseHolding(parts[4], out bool isComplete, out long payloadBytes))
            return false;
        location = new ObjectLocation(at, incarnation, isComplete, payloadBytes);
        return true;
    }

    internal static RedisValue TombstoneMember(in ObjectId id, ulong incarnation)
    {
        byte[] member = new byte[TombstoneMemberBytes];
        WriteTombstone(member, id, incarnation);
        return member;
    }

    internal static bool TryParseTombstone(ReadOnlySpan<byte> member, out ObjectId id, out ulong incarnation)
    {
        id = default;
        incarnation = 0;
        if (member.Length != TombstoneMemberBytes)
            return false;
        id = new ObjectId(member[..ObjectId.SizeBytes]);
        incarnation = BinaryPrimitives.ReadUInt64LittleEndian(member[ObjectId.SizeBytes..]);
        return true;
    }

    /// <summary>Message to all nodes: who tells it, then id, incarnation and milliseconds that are left, of each delete.</summary>
    internal static RedisValue DeletedMessage(Guid from, IReadOnlyList<Tombstone> tombstones)
    {
        byte[] message = new byte[NodeIdBytes + (tombstones.Count * DeletedBytes)];
        from.TryWriteBytes(message);
        for (int i = 0; i < tombstones.Count; i++)
        {
            Span<byte> record = message.AsSpan(NodeIdBytes + (i * DeletedBytes), DeletedBytes);
            WriteTombstone(record, tombstones[i].Id, tombstones[i].Incarnation);
            BinaryPrimitives.WriteInt64LittleEndian(record[TombstoneMemberBytes..], (long)tombstones[i].Left.TotalMilliseconds);
        }
        return message;
    }

    internal static bool TryParseDeleted(ReadOnlySpan<byte> message, out Guid from, [NotNullWhen(true)] out Tombstone[]? tombstones)
    {
        from = default;
        tombstones = null;
        if (message.Length < NodeIdBytes || (message.Length - NodeIdBytes) % DeletedBytes != 0)
            return false;
        from = new Guid(message[..NodeIdBytes]);
        tombstones = new Tombstone[(message.Length - NodeIdBytes) / DeletedBytes];
        for (int i = 0; i < tombstones.Length; i++)
        {
            ReadOnlySpan<byte> record = message.Slice(NodeIdBytes + (i * DeletedBytes), DeletedBytes);
            if (!TryParseTombstone(record[..TombstoneMemberBytes], out ObjectId id, out ulong incarnation))
                return false;
            long leftMs = Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(record[TombstoneMemberBytes..]), 0, (long)TimeSpan.FromDays(30).TotalMilliseconds);
            tombstones[i] = new Tombstone(id, incarnation, TimeSpan.FromMilliseconds(leftMs));
        }
        return true;
    }

    private static void WriteTombstone(Span<byte> to, in ObjectId id, ulong incarnation)
    {
        id.CopyTo(to);
        BinaryPrimitives.WriteUInt64LittleEndian(to[ObjectId.SizeBytes..], incarnation);
    }
}
