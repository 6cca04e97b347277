using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastPlasma.Cli.Demo;

/// <summary>Everything that the demo found; the object that --json prints.</summary>
internal sealed record DemoResult
{
    /// <summary>Every file was verified in every consumer.</summary>
    public bool Ok => Failures.Count == 0;

    /// <summary>Directory of the files.</summary>
    public required string Path { get; init; }

    /// <summary>Files put.</summary>
    public required int Files { get; init; }

    /// <summary>Their bytes.</summary>
    public required long Bytes { get; init; }

    /// <summary>Paths left out, with the reason.</summary>
    public required IReadOnlyList<string> Skipped { get; init; }

    /// <summary>Copies by operation, as the store counted them.</summary>
    public IReadOnlyList<DemoOperation> Operations { get; init; } = [];

    /// <summary>The process that put.</summary>
    public DemoProcess? Producer { get; init; }

    /// <summary>The processes that got.</summary>
    public IReadOnlyList<DemoProcess> Consumers { get; init; } = [];

    /// <summary>Memory in blocks of the store while everything was held.</summary>
    public long StoreUsedBytes { get; init; }

    /// <summary>Sum of the pages that each process sees.</summary>
    public long? RssBytesSum { get; init; }

    /// <summary>The same pages counted once.</summary>
    public long? PssBytesSum { get; init; }

    /// <summary>Most processes that held one object at the same time.</summary>
    public int ReadersAtOnceMax { get; init; }

    /// <summary>From the producer's first file until it had sealed the last.</summary>
    public double PutSeconds { get; init; }

    /// <summary>The whole run.</summary>
    public double Seconds { get; init; }

    /// <summary>One sentence per failure.</summary>
    public IReadOnlyList<string> Failures { get; init; } = [];
}

/// <summary>One row of the answer to "how many copies occur when I get an object?".</summary>
internal sealed record DemoOperation(string Operation, long Count, long PayloadBytes, long CopiedBytes)
{
    /// <summary>User-space copies per object: bytes copied for each byte of payload.</summary>
    public double CopiesPerObject => PayloadBytes == 0 ? 0 : (double)CopiedBytes / PayloadBytes;
}

/// <summary>One child process.</summary>
internal sealed record DemoProcess(string Role, int ProcessId)
{
    /// <summary>Files verified.</summary>
    public int Verified { get; init; }

    /// <summary>Files that it had to wait for.</summary>
    public int Waited { get; init; }

    /// <summary>Pages of the data file that it sees, in bytes.</summary>
    public long? RssBytes { get; init; }

    /// <summary>Its share of them.</summary>
    public long? PssBytes { get; init; }

    /// <summary>Get and release of a sealed object in nanoseconds, one clock reading (<see cref="TimerNs"/>) included.</summary>
    public DemoQuantiles? GetNs { get; init; }

    /// <summary>Median of one clock reading.</summary>
    public double? TimerNs { get; init; }

    /// <summary>Seal to awake consumer in nanoseconds.</summary>
    public DemoQuantiles? WakeNs { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(DemoResult))]
internal sealed partial class DemoResultJson : JsonSerializerContext
{
    /// <summary>Escapes only what JSON itself asks for: the text goes to a console or a file, not into a web page.</summary>
    internal static DemoResultJson Readable => new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
