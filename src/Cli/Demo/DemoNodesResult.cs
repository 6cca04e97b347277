using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Cli.Demo;

/// <summary>Everything that the demo with several nodes found; the object that --json prints.</summary>
internal sealed record DemoNodesResult
{
    /// <summary>Every object was verified on every node.</summary>
    public bool Ok => Failures.Count == 0;

    /// <summary>Directory of the files.</summary>
    public required string Path { get; init; }

    /// <summary>Files put on the first node.</summary>
    public required int Files { get; init; }

    /// <summary>Their bytes.</summary>
    public required long Bytes { get; init; }

    /// <summary>Paths left out, with the reason.</summary>
    public required IReadOnlyList<string> Skipped { get; init; }

    /// <summary>The nodes; the first is the one that was killed.</summary>
    public IReadOnlyList<DemoNode> Nodes { get; init; } = [];

    /// <summary>From the first node's put to the last node's last file.</summary>
    public double ShareSeconds { get; init; }

    /// <summary>Bytes of the large objects, and how many of them a node had received when their first holder was killed.</summary>
    public long LargeBytes { get; init; }

    /// <inheritdoc cref="LargeBytes"/>
    public long CutAtBytes { get; init; }

    /// <summary>From the kill until every node had all large objects.</summary>
    public double FinishSeconds { get; init; }

    /// <summary>What a get of an object said whose only holder was dead.</summary>
    public string LostReason { get; init; } = "";

    /// <summary>Copies by operation, as stores and nodes counted them.</summary>
    public IReadOnlyList<DemoOperation> Operations { get; init; } = [];

    /// <summary>The whole run.</summary>
    public double Seconds { get; init; }

    /// <summary>One sentence per failure.</summary>
    public IReadOnlyList<string> Failures { get; init; } = [];
}

/// <summary>One node of the demo.</summary>
internal sealed record DemoNode(string Label, NodeEndpoint Endpoint, int ProcessId)
{
    /// <summary>Objects whose SHA-256 is right there at the end.</summary>
    public int Verified { get; init; }

    /// <summary>What it moved, of the killed node both runs.</summary>
    public long ReceivedBytes { get; init; }

    /// <inheritdoc cref="ReceivedBytes"/>
    public long SentBytes { get; init; }

    /// <inheritdoc cref="ReceivedBytes"/>
    public long RelayedBytes { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, Converters = [typeof(NodeEndpointJsonConverter)])]
[JsonSerializable(typeof(DemoNodesResult))]
internal sealed partial class DemoNodesResultJson : JsonSerializerContext
{
    /// <summary>Escapes only what JSON itself asks for.</summary>
    internal static DemoNodesResultJson Readable => new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
