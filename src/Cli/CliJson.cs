using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Cli;

/// <summary>Serializers of everything that --json prints, generated at build time so that trimming and NativeAOT keep them.</summary>
/// <remarks>Names are camelCase, enumerations words, sizes bytes, durations seconds, times ISO 8601. docs/cli.md shows the shapes.</remarks>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.Never, Converters = [typeof(ObjectIdConverter), typeof(NodeEndpointJsonConverter)])]
[JsonSerializable(typeof(ErrorJson))]
[JsonSerializable(typeof(StoreSummaryJson[]))]
[JsonSerializable(typeof(CreatedJson))]
[JsonSerializable(typeof(DestroyedJson))]
[JsonSerializable(typeof(PutJson[]))]
[JsonSerializable(typeof(GetJson))]
[JsonSerializable(typeof(ObjectJson[]))]
[JsonSerializable(typeof(RemovedJson[]))]
[JsonSerializable(typeof(WaitJson))]
[JsonSerializable(typeof(EvictJson))]
[JsonSerializable(typeof(AdmitJson))]
[JsonSerializable(typeof(VerifyJson))]
[JsonSerializable(typeof(StatJson))]
[JsonSerializable(typeof(TopJson))]
[JsonSerializable(typeof(ServeJson))]
[JsonSerializable(typeof(MovedJson))]
[JsonSerializable(typeof(LocateJson))]
[JsonSerializable(typeof(NodeReport))]
[JsonSerializable(typeof(SpillInfo))]
[JsonSerializable(typeof(SpillVerifyJson))]
[JsonSerializable(typeof(SpillCollectedJson))]
[JsonSerializable(typeof(SpillFileInfo[]))]
internal sealed partial class CliJson : JsonSerializerContext
{
    // Made at first use: the generated Default is not there yet while the static fields of this part are set.
    private static CliJson? s_documents, s_lines;

    /// <summary>Indented, one document per run.</summary>
    internal static CliJson Documents => s_documents ??= Make(indented: true);

    /// <summary>Each value on one line.</summary>
    internal static CliJson Lines => s_lines ??= Make(indented: false);

    // The relaxed encoder leaves quotes and letters readable and still escapes every control character; the output is no HTML.
    private static CliJson Make(bool indented) => new(new JsonSerializerOptions(Default.Options)
    {
        WriteIndented = indented,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}

/// <summary>Ids as their hexadecimal text.</summary>
internal sealed class ObjectIdConverter : JsonConverter<ObjectId>
{
    public override ObjectId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        ObjectId.TryParse(reader.GetString(), null, out ObjectId id) ? id : throw new JsonException("An object id is expected.");

    public override void Write(Utf8JsonWriter writer, ObjectId value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

internal sealed record ErrorJson(string Error, string Status, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] StoreFullReport? Report);

internal sealed record StoreSummaryJson(
    string Name, Guid? Uuid, long? CapacityBytes, long? UsedBytes, int? SealedCount, int? ParticipantCount, string? Problem);

internal sealed record CreatedJson(string Name, Guid Uuid, long CapacityBytes, int ObjectCountMax, HugePages HugePagesAsked, long BackedBytes, long MetaBytes, IReadOnlyList<string> SpillDirectories);

internal sealed record DestroyedJson(string Name, bool Destroyed, int KeptCount, int GoneCount);

internal sealed record PutJson(ObjectId Id, string Name, string File, long SizeBytes, long CopiedBytes, double Seconds);

internal sealed record GetJson(ObjectId Id, string Name, string File, long SizeBytes, double Seconds);

internal sealed record ObjectJson(
    ObjectId Id, string Name, string ContentType, ObjectState State, Retention Retention, long SizeBytes, int MetadataBytes, long BlockBytes,
    DateTimeOffset CreatedAt, DateTimeOffset? SealedAt, DateTimeOffset? ExpiresAt, double AgeSeconds, string Incarnation, bool IsReplica, int CreatorProcessId, int Pins,
    IReadOnlyList<PinHolder> Holders);

internal sealed record RemovedJson(ObjectId Id, string Key, PlasmaStatus Status);

internal sealed record WaitJson(int ReadyCount, int RequiredCount, double Seconds, WaitObjectJson[] Objects);

internal sealed record WaitObjectJson(ObjectId Id, string Key, bool Ready);

internal sealed record EvictJson(long RequestedBytes, long FreedBytes);

internal sealed record AdmitJson(string Store, string[] Readers);

internal sealed record VerifyJson(bool Ok, long Objects, long ChecksumsVerified, long PayloadBytes, double Seconds, IReadOnlyList<string> Problems, IReadOnlyList<string> Notes);

internal sealed record SpillVerifyJson(bool Ok, int Copies, long ImageBytes, double Seconds, SpillErrorJson[] Errors);

internal sealed record SpillErrorJson(ObjectId? Id, SpillErrorKind Kind, string File, long Offset, int ErrorNumber, string Message);

internal sealed record SpillCollectedJson(long TrimmedBytes, SpillFileInfo[] Removed);

internal sealed record StatJson(StoreStats Stats, IReadOnlyList<CopyJson> Copies, NodeReport? Node);

internal sealed record ServeJson(string Store, Guid Uuid, int ProcessId, Guid NodeId, NodeEndpoint Endpoint);

internal sealed record MovedJson(int DoneCount, int FailedCount, double Seconds, MovedObjectJson[] Objects);

internal sealed record MovedObjectJson(ObjectId Id, string Key, PlasmaStatus Status, string? Reason);

internal sealed record LocateJson(ObjectId Id, string Key, LocationJson[] Locations);

internal sealed record LocationJson(NodeEndpoint Node, bool IsHere, string Incarnation, bool IsComplete, long? SizeBytes);

/// <summary>Copies of one kind of operation, over the life of the store.</summary>
/// <param name="Operation">get, put or create.</param>
/// <param name="Count">Operations that succeeded.</param>
/// <param name="PayloadBytes">Payload they handed over.</param>
/// <param name="CopiedBytes">Bytes that the store's code copied in user space for it.</param>
/// <param name="CopiesPerObject">How often each payload byte was copied: copied over payload bytes; null without payload.</param>
internal sealed record CopyJson(string Operation, long Count, long PayloadBytes, long CopiedBytes, double? CopiesPerObject)
{
    internal static CopyJson[] Of(OperationCounts counts) =>
    [
        Row("get", counts.Gets, counts.GetBytes, counts.GetCopiedBytes),
        Row("put", counts.Puts, counts.PutBytes, counts.PutCopiedBytes),
        Row("create+seal", counts.Creates, counts.CreateBytes, counts.CreateCopiedBytes),
    ];

    private static CopyJson Row(string operation, long count, long payloadBytes, long copiedBytes) =>
        new(operation, count, payloadBytes, copiedBytes, payloadBytes == 0 ? null : (double)copiedBytes / payloadBytes);
}

internal sealed record TopJson(DateTimeOffset Time, double IntervalSeconds, StoreStats Stats, IReadOnlyList<RateJson> Rates, NodeReport? Node);

/// <summary>Rates of one kind of operation between two samples.</summary>
internal sealed record RateJson(string Operation, double PerSecond, double BytesPerSecond, double CopiedBytesPerSecond)
{
    internal static RateJson[] Between(OperationCounts before, OperationCounts after, double seconds)
    {
        RateJson Row(string operation, long count, long bytes, long copied) => new(operation, count / seconds, bytes / seconds, copied / seconds);
        return
        [
            Row("get", after.Gets - before.Gets, after.GetBytes - before.GetBytes, after.GetCopiedBytes - before.GetCopiedBytes),
            Row("get miss", after.GetMisses - before.GetMisses, 0, 0),
            Row("put", after.Puts - before.Puts, after.PutBytes - before.PutBytes, after.PutCopiedBytes - before.PutCopiedBytes),
            Row("create+seal", after.Creates - before.Creates, after.CreateBytes - before.CreateBytes, after.CreateCopiedBytes - before.CreateCopiedBytes),
            Row("abort", after.Aborts - before.Aborts, 0, 0),
            Row("delete", after.Deletes - before.Deletes, 0, 0),
            Row("expire", after.Expirations - before.Expirations, 0, 0),
            Row("evict", after.Evictions - before.Evictions, after.EvictedBytes - before.EvictedBytes, 0),
            Row("spill", after.Spills - before.Spills, after.SpilledBytes - before.SpilledBytes, 0),
            Row("restore", after.Restores - before.Restores, after.RestoredBytes - before.RestoredBytes, 0),
        ];
    }
}
