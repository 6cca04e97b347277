using System.Diagnostics.Metrics;

namespace FastPlasma;

/// <summary>What a store holds and does, for whoever listens to System.Diagnostics.Metrics: the meter is called "FastPlasma.Store", its instruments "fastplasma.store.*", each with the tag "store".</summary>
/// <remarks>
/// Figures are read when a listener asks for them, and nothing is done otherwise. They are those of <see cref="PlasmaStore.Stats"/>, for all processes together, which one look at all objects finds; what is asked for within a fifth of a second shares one look.
/// Counters count since the store was created. After the store was disposed there are no measurements. Threads: any.
/// </remarks>
public sealed class StoreMeter : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string Name = "FastPlasma.Store";

    private const int SnapshotMs = 200;

    private readonly Meter _meter = new(Name);
    private readonly PlasmaStore _store;
    private readonly Lock _lock = new();
    private StoreStats? _last;
    private long _lastAtMs;

    /// <summary>Publishes a store's figures until it is disposed. The store is not owned, and may be disposed before.</summary>
    /// <param name="store">Any attachment.</param>
    public StoreMeter(PlasmaStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        _store = store;
        KeyValuePair<string, object?>[] tags = [new("store", store.Name)];
        Gauge("capacity", "By", "Limit of the memory for objects.", static stats => stats.CapacityBytes);
        Gauge("backed", "By", "Memory that the system has given.", static stats => stats.BackedBytes);
        Gauge("used", "By", "Memory in blocks of objects.", static stats => stats.UsedBytes);
        Gauge("pinned", "By", "Memory of objects that somebody reads.", static stats => stats.PinnedBytes);
        Gauge("kept", "By", "Memory of sealed objects that may not be dropped.", static stats => stats.KeepBytes);
        Gauge("evictable", "By", "Memory of sealed objects that may be dropped.", static stats => stats.EvictableBytes);
        Gauge("condemned", "By", "Memory of objects that are deleted and still read.", static stats => stats.CondemnedBytes);
        Gauge("creating", "By", "Memory of objects that are being written.", static stats => stats.CreatingBytes);
        Gauge("clean", "By", "Memory of objects that have a copy on disk, and need not be written to leave memory.", static stats => stats.CleanBytes);
        Gauge("spilled", "By", "Payload of objects that are on disk only.", static stats => stats.SpilledBytes);
        Gauge("waiting", "By", "Memory that creates wait for.", static stats => stats.WaitingBytes);
        Gauge("waiting.creates", "{create}", "Creates that wait for memory.", static stats => stats.WaitingCount);
        Gauge("objects", "{object}", "Sealed objects, in memory or on disk.", static stats => stats.SealedCount);
        Gauge("objects.spilled", "{object}", "Objects that are on disk only.", static stats => stats.SpilledCount);
        Gauge("objects.creating", "{object}", "Objects that are being written.", static stats => stats.CreatingCount);
        Gauge("objects.condemned", "{object}", "Objects that are deleted and still read.", static stats => stats.CondemnedCount);
        Gauge("participants", "{attachment}", "Attachments of living processes.", static stats => stats.Participants.Count(static participant => participant.Alive));
        Counter("gets", "{object}", "Objects that were read.", static counts => counts.Gets);
        Counter("gets.missed", "{object}", "Gets that found no object.", static counts => counts.GetMisses);
        Counter("got", "By", "Payload that was read in place.", static counts => counts.GetBytes);
        Counter("puts", "{object}", "Objects that were put with one call.", static counts => counts.Puts);
        Counter("put", "By", "Their payload.", static counts => counts.PutBytes);
        Counter("creates", "{object}", "Objects that were sealed by their writer.", static counts => counts.Creates);
        Counter("created", "By", "Their payload.", static counts => counts.CreateBytes);
        Counter("aborts", "{object}", "Objects that were given up before their seal.", static counts => counts.Aborts);
        Counter("deletes", "{object}", "Objects that were deleted.", static counts => counts.Deletes);
        Counter("evictions", "{object}", "Objects that were dropped for others.", static counts => counts.Evictions);
        Counter("evicted", "By", "Their memory.", static counts => counts.EvictedBytes);
        Counter("expirations", "{object}", "Objects whose time was over.", static counts => counts.Expirations);
        Counter("spills", "{object}", "Copies of objects that were written to disk.", static counts => counts.Spills);
        Counter("spill.written", "By", "Their payload.", static counts => counts.SpilledBytes);
        Counter("spill.errors", "{error}", "Copies that could not be written.", static counts => counts.SpillErrors);
        Counter("restores", "{object}", "Objects that were brought back from disk.", static counts => counts.Restores);
        Counter("restored", "By", "Their payload.", static counts => counts.RestoredBytes);
        Counter("restore.errors", "{error}", "Objects that could not be brought back.", static counts => counts.RestoreErrors);
        Counter("recoveries", "{attachment}", "Dead attachments whose remains were cleared away.", static counts => counts.Recoveries);

        void Gauge(string name, string unit, string description, Func<StoreStats, long> value) =>
            _meter.CreateObservableGauge($"fastplasma.store.{name}", () => Measure(value, tags), unit, description);

        void Counter(string name, string unit, string description, Func<OperationCounts, long> value) =>
            _meter.CreateObservableCounter($"fastplasma.store.{name}", () => Measure(stats => value(stats.Store), tags), unit, description);
    }

    /// <summary>Ends the publication.</summary>
    public void Dispose() => _meter.Dispose();

    private Measurement<long>[] Measure(Func<StoreStats, long> value, KeyValuePair<string, object?>[] tags) =>
        Snapshot() is { } stats ? [new Measurement<long>(value(stats), tags)] : [];

    /// <summary>Null when the store is closed.</summary>
    private StoreStats? Snapshot()
    {
        lock (_lock)
        {
            long now = Environment.TickCount64;
            if (_last is not null && now - _lastAtMs < SnapshotMs && !_store.IsClosing)
                return _last;
            try
            {
                _last = _store.Stats();
                _lastAtMs = Environment.TickCount64; // After the look, which may take long.
                return _last;
            }
            catch (InvalidOperationException) // Closed, or the forked child of who opened it.
            {
                return _last = null;
            }
        }
    }
}
