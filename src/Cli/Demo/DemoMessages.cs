using System.Text.Json;
using System.Text.Json.Serialization;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Cli.Demo;

/// <summary>One line from a child to the parent.</summary>
internal sealed record DemoMessage(DemoMessageKind Kind)
{
    /// <summary>Files done so far.</summary>
    public int Done { get; init; }

    /// <summary>With <see cref="DemoMessageKind.Verified"/>.</summary>
    public DemoVerification? Verification { get; init; }

    /// <summary>With <see cref="DemoMessageKind.Latency"/>, in nanoseconds.</summary>
    public DemoQuantiles? Latency { get; init; }

    /// <summary>With <see cref="DemoMessageKind.Latency"/>: what one reading of the clock costs by itself.</summary>
    public double TimerNs { get; init; }

    /// <summary>With <see cref="DemoMessageKind.Failed"/>.</summary>
    public string? Error { get; init; }

    internal string ToLine() => JsonSerializer.Serialize(this, DemoMessageJson.Default.DemoMessage);

    internal static DemoMessage FromLine(string line) =>
        JsonSerializer.Deserialize(line, DemoMessageJson.Default.DemoMessage) ?? throw new JsonException("An empty message.");
}

/// <summary>What a <see cref="DemoMessage"/> says.</summary>
internal enum DemoMessageKind
{
    /// <summary>The child is attached to the store.</summary>
    Ready,

    /// <summary>More files are done.</summary>
    Progress,

    /// <summary>The producer has sealed all files.</summary>
    Stored,

    /// <summary>The consumer holds all files and has compared them.</summary>
    Verified,

    /// <summary>A latency was measured.</summary>
    Latency,

    /// <summary>The child cannot go on.</summary>
    Failed,
}

/// <summary>What one consumer found.</summary>
/// <param name="Verified">Files whose bytes in the store have the digest of the file on disk.</param>
/// <param name="Waited">Files that were not there yet when the consumer asked for them.</param>
/// <param name="Failures">One sentence per other file.</param>
internal sealed record DemoVerification(int Verified, int Waited, IReadOnlyList<string> Failures);

/// <summary>Distribution of a latency.</summary>
internal sealed record DemoQuantiles(double P50, double P99, int Samples);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    Converters = [typeof(NodeEndpointJsonConverter)])]
[JsonSerializable(typeof(DemoMessage))]
[JsonSerializable(typeof(DemoPlan))]
[JsonSerializable(typeof(DemoNodePlan))]
internal sealed partial class DemoMessageJson : JsonSerializerContext;
