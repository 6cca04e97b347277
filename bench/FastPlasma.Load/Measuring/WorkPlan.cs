using System.Text.Json.Serialization;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Measuring;

/// <summary>What a worker does with the clock running.</summary>
internal enum WorkKind
{
    /// <summary>Puts the keys once. Not timed.</summary>
    Populate,

    /// <summary>Deletes the keys once. Not timed.</summary>
    Clear,

    /// <summary>Gets keys that are there.</summary>
    Get,

    /// <summary>Gets keys that are not there.</summary>
    GetMissing,

    /// <summary>Asks for keys that are not there with Contains.</summary>
    ContainsMissing,

    /// <summary>Puts keys; between the timed batches they are deleted, so that the memory is always the same.</summary>
    PutRecycled,

    /// <summary>Puts each key once and deletes none, so that every object gets memory that nobody has touched.</summary>
    PutFresh,

    /// <summary>Put and delete, timed together.</summary>
    Cycle,

    /// <summary>Background load: put, get and delete of own keys, gets of the common ones.</summary>
    Churn,

    /// <summary>One operation is <see cref="WorkPlan.GroupSize"/> gets, one after another, of keys in an order that visits all of them.</summary>
    GetGroup,

    /// <summary>The same objects with one call of <see cref="IBatchClient"/>.</summary>
    GetMany,

    /// <summary>Puts of keys that were never used, into a store that makes room by dropping the oldest.</summary>
    PutEvicting,

    /// <summary>Opens the instance, in this process, as the first thing that a program does; it is closed again, not timed.</summary>
    Attach,

    /// <summary>The first get after <see cref="Attach"/>.</summary>
    FirstGet,
}

/// <summary>A task for one worker process.</summary>
internal sealed record WorkPlan
{
    /// <summary>Most operations between two readings of the clock; a plan that puts needs as many keys.</summary>
    internal const int BatchMax = 1024;

    public required WorkKind Kind { get; init; }

    /// <summary>Threads of the process that do it at the same time, each with a client of its own.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>Number of the first key.</summary>
    public ulong FirstKey { get; init; }

    /// <summary>Number of keys.</summary>
    public int KeyCount { get; init; } = 1;

    /// <summary>First of the keys that all processes share, for <see cref="WorkKind.Churn"/>.</summary>
    public ulong CommonFirstKey { get; init; }

    /// <summary>How many those are.</summary>
    public int CommonKeyCount { get; init; }

    public KeyPattern Pattern { get; init; } = KeyPattern.Uniform;

    public int PayloadBytes { get; init; }

    /// <summary>Whether a get reads every byte.</summary>
    public bool Touch { get; init; }

    /// <summary>Length of the measurement. A batch that has begun is ended.</summary>
    public int DurationMs { get; init; }

    /// <summary>Operations between two readings of the clock; 0 takes as many as make the clock's own time less than one percent.</summary>
    public int Batch { get; init; }

    /// <summary>Arrivals per second of the open loop; 0 for a closed loop, in which the next operation begins when the last has ended.</summary>
    public int ArrivalsPerSecond { get; init; }

    /// <summary>Objects of one operation of <see cref="WorkKind.GetGroup"/> and <see cref="WorkKind.GetMany"/>.</summary>
    public int GroupSize { get; init; } = 1;

    /// <summary>Different for each process, so that they do not walk in step.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Whether this code runs for the first time in this process and must reach its final form first.</summary>
    public bool Warm { get; init; } = true;
}

/// <summary>What a worker found.</summary>
/// <remarks>Arrays that a line of JSON leaves out, as those of clients in other languages do, arrive as null and become what they are by default.</remarks>
internal sealed record WorkResult
{
    public long Operations { get; init; }

    /// <summary>Time that the operations took: from the start to the end, or the timed batches alone where other work lies between them.</summary>
    public double Seconds { get; init; }

    /// <summary>Operations per second, summed over the threads.</summary>
    public double OperationsPerSecond { get; init; }

    /// <summary>Operations of one timed value.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Values and counts of <see cref="Latencies"/>.</summary>
    public long[] Pairs { get; init => field = value ?? []; } = [];

    public long AllocatedBytes { get; init; }

    /// <summary>Garbage collections of the process meanwhile, by generation.</summary>
    public int[] Collections { get; init => field = value ?? [0, 0, 0]; } = [0, 0, 0];

    /// <summary>Why there is no figure.</summary>
    public string? Error { get; init; }

    /// <summary>Whether <see cref="Error"/> is a limit of the peer (NotSupportedException) and no failure.</summary>
    public bool IsLimit { get; init; }

    /// <summary>Further figures, for parts that know what they mean.</summary>
    public double[] Figures { get; init => field = value ?? []; } = [];

    /// <summary>Says why there is no figure.</summary>
    internal static WorkResult Failed(Exception e) => new() { Error = $"{e.GetType().Name}: {e.Message}", IsLimit = e is NotSupportedException };
}

/// <summary>One line from the driver to a worker.</summary>
internal sealed record WorkerRequest
{
    /// <summary>Opens this instance, and closes the one before.</summary>
    public OpenRequest? Open { get; init; }

    /// <summary>Prepares and does this.</summary>
    public WorkPlan? Plan { get; init; }
}

/// <summary>Which instance.</summary>
internal sealed record OpenRequest(string Peer, string Address, PeerSetup Setup);

[JsonSerializable(typeof(WorkerRequest))]
[JsonSerializable(typeof(WorkResult))]
[JsonSerializable(typeof(WakePlan))]
internal sealed partial class WorkJson : JsonSerializerContext;
