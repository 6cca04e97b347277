using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastPlasma.Transfer.Nodes;

/// <summary>What a process of this machine wants of the store's node service.</summary>
internal enum NodeControlOperation
{
    Status,
    Pull,
    Push,
    Locate,
}

/// <summary>One line to the service.</summary>
internal sealed record NodeControlRequest
{
    /// <summary>Of the protocol; <see cref="NodeControl.Version"/>.</summary>
    public required int Version { get; init; }

    public required NodeControlOperation Operation { get; init; }

    /// <summary>Objects, at most <see cref="NodeControl.IdsMax"/>.</summary>
    public IReadOnlyList<ObjectId>? Ids { get; init; }

    /// <summary>Nodes to take them from or to bring them to, beside those that the service knows.</summary>
    public IReadOnlyList<NodeEndpoint>? Nodes { get; init; }

    public long TimeoutMs { get; init; }

    public TransferPriority Priority { get; init; }
}

/// <summary>One line of the service. An answer is any number of lines with <see cref="Progress"/> and a last one with something else.</summary>
internal sealed record NodeControlReply
{
    public int Version { get; init; } = NodeControl.Version;

    /// <summary>Done share, 0 to 1.</summary>
    public double? Progress { get; init; }

    public NodeReport? Status { get; init; }

    public PullReport? Moved { get; init; }

    public IReadOnlyList<ObjectLocation>? Locations { get; init; }

    /// <summary>Why there is no answer.</summary>
    public string? Error { get; init; }
}

/// <summary>A node service as processes of its machine see it.</summary>
/// <param name="ProcessId">Of the service.</param>
/// <param name="NodeId">Of this run of it.</param>
/// <param name="Name">What it is called.</param>
/// <param name="Endpoint">Where others dial it.</param>
/// <param name="StartedAt">Since when it runs.</param>
/// <param name="Security">none, key or tls.</param>
/// <param name="FetchCount">Objects that are being fetched.</param>
/// <param name="ConnectionCount">Connections of other nodes to it.</param>
/// <param name="Stats">What it has moved.</param>
/// <param name="Peers">The nodes that it knows.</param>
/// <param name="DirectoryProblem">Why the directory cannot be asked, or null.</param>
internal sealed record NodeReport(
    int ProcessId, Guid NodeId, string Name, NodeEndpoint Endpoint, DateTimeOffset StartedAt, string Security, int FetchCount, int ConnectionCount, TransferStats Stats,
    IReadOnlyList<PeerInfo> Peers, string? DirectoryProblem);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(ObjectIdJsonConverter), typeof(NodeEndpointJsonConverter)])]
[JsonSerializable(typeof(NodeControlRequest))]
[JsonSerializable(typeof(NodeControlReply))]
internal sealed partial class NodeControlJson : JsonSerializerContext;

/// <summary>Ids as their hexadecimal text.</summary>
internal sealed class ObjectIdJsonConverter : JsonConverter<ObjectId>
{
    public override ObjectId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        ObjectId.TryParse(reader.GetString(), null, out ObjectId id) ? id : throw new JsonException("An object id is expected.");

    public override void Write(Utf8JsonWriter writer, ObjectId value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

/// <summary>Endpoints as they are typed.</summary>
internal sealed class NodeEndpointJsonConverter : JsonConverter<NodeEndpoint>
{
    public override NodeEndpoint Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        NodeEndpoint.TryParse(reader.GetString(), out NodeEndpoint endpoint) ? endpoint : throw new JsonException("The address of a node is expected.");

    public override void Write(Utf8JsonWriter writer, NodeEndpoint value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
