using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Bench;

namespace FastPlasma.Load.Churn;

/// <summary>Carries out a trace on an anonymous store: an allocation is create and seal without writing the payload, a free is a delete. Figures as replay.c has them.</summary>
internal sealed class StoreReplay : IDisposable
{
    private const int Samples = 400, PageBytes = 4096, WarmChunk = 500, WarmOperations = 60_000;

    private static readonly TimeSpan s_warmTime = TimeSpan.FromSeconds(2);

    private readonly Trace _trace;
    private readonly PlasmaStore _store;
    private readonly (ulong Number, long Bytes)[] _slots; // Bytes 0: nothing is there.
    private readonly bool _touches;
    private ulong _numbers;
    private long _smallNanoseconds, _largeNanoseconds, _smallOps, _largeOps;

    private StoreReplay(Trace trace, bool touches)
    {
        (_trace, _touches) = (trace, touches);
        _slots = new (ulong, long)[trace.SlotCount];
        var options = new PlasmaOptions { CapacityBytes = trace.CapacityBytes };
        const long bytesPerRecord = 32 << 10; // What the store takes for granted.
        _store = PlasmaStore.CreateAnonymous(trace.SlotCount < trace.CapacityBytes / bytesPerRecord ? options : options with { ObjectCountMax = trace.SlotCount + trace.SlotCount / 8 });
    }

    private long LiveBytes { get; set; }

    private long Refused { get; set; }

    private long RefusedBytes { get; set; }

    /// <summary>Returns the line of figures; writes "operation,live_bytes,held_bytes" into <paramref name="csvPath"/>.</summary>
    internal static string Run(Trace trace, string csvPath, bool touches)
    {
        Warm(trace, touches);
        using var replay = new StoreReplay(trace, touches);
        using var csv = new StreamWriter(csvPath);
        return replay.Run(csv);
    }

    public void Dispose() => _store.Dispose();

    /// <summary>Until the runtime has compiled the final form: what does the work is called often, and for a while.</summary>
    private static void Warm(Trace trace, bool touches)
    {
        int operations = Math.Min(WarmOperations, trace.Operations.Length);
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < s_warmTime;)
        {
            using var replay = new StoreReplay(trace, touches);
            for (int i = 0; i < operations; i += WarmChunk)
                replay.Replay(i, Math.Min(i + WarmChunk, operations), counted: true);
        }
    }

    private string Run(TextWriter csv)
    {
        csv.WriteLine("operation,live_bytes,held_bytes");
        int every = _trace.Operations.Length / Samples + 1;
        long worst = 0, most = 0, liveEnd = 0, heldEnd = 0;
        for (int i = 0; i < _trace.Operations.Length;)
        {
            long held = Held();
            csv.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{i},{LiveBytes},{held}"));
            most = Math.Max(most, held);
            if (i >= _trace.FillEnd && i <= _trace.ChurnEnd)
                worst = Math.Max(worst, held * 1000 / LiveBytes);
            if (i == _trace.ChurnEnd)
                (liveEnd, heldEnd) = (LiveBytes, held);

            int end = Math.Min((i / every + 1) * every, _trace.Operations.Length);
            foreach (int border in (ReadOnlySpan<int>)[_trace.FillEnd, _trace.ChurnEnd])
                if (i < border)
                    end = Math.Min(end, border);
            Replay(i, end, counted: i >= _trace.FillEnd && i < _trace.ChurnEnd);
            i = end;
        }
        long heldDrained = Held();
        csv.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_trace.Operations.Length},{LiveBytes},{heldDrained}"));
        _store.Trim();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{PerOperation(_smallNanoseconds, _smallOps)} {PerOperation(_largeNanoseconds, _largeOps)} {liveEnd} {heldEnd} {worst} {most} {LiveBytes} {heldDrained} {Held()} {Refused} {RefusedBytes}");
    }

    private void Replay(int begin, int end, bool counted)
    {
        long start = ProcessorTime.Nanoseconds, largeNanoseconds = 0, smallOps = 0, largeOps = 0;
        foreach (ulong operation in _trace.Operations.AsSpan(begin, end - begin))
        {
            int slot = Trace.SlotOf(operation);
            bool allocates = Trace.IsAllocate(operation);
            long bytes = allocates ? Trace.BytesOf(operation) : _slots[slot].Bytes;
            if (bytes == 0)
                continue; // To be freed, but it was refused.
            if (bytes < _trace.LargeBytes)
            {
                Do(slot, bytes, allocates);
                smallOps++;
                continue;
            }
            long before = ProcessorTime.Nanoseconds;
            Do(slot, bytes, allocates);
            largeNanoseconds += ProcessorTime.Nanoseconds - before;
            largeOps++;
        }
        if (!counted)
            return;
        _smallNanoseconds += ProcessorTime.Nanoseconds - start - largeNanoseconds;
        _largeNanoseconds += largeNanoseconds;
        _smallOps += smallOps;
        _largeOps += largeOps;
    }

    private void Do(int slot, long bytes, bool allocates)
    {
        if (allocates)
            Create(slot, bytes);
        else
            Delete(slot, bytes);
    }

    private void Create(int slot, long bytes)
    {
        ulong number = _numbers++;
        PlasmaStatus status = _store.TryCreate(BenchIds.Of(number), bytes, out ObjectWriter writer);
        if (status == PlasmaStatus.StoreFull)
        {
            Refused++;
            RefusedBytes += bytes;
            return;
        }
        if (status == PlasmaStatus.Ok)
        {
            if (_touches)
                Touch(writer.Span);
            status = writer.TrySeal();
        }
        if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"A create of {bytes:N0} bytes ended with {status}.");
        _slots[slot] = (number, bytes);
        LiveBytes += bytes;
    }

    private static void Touch(Span<byte> payload)
    {
        for (int i = 0; i < payload.Length; i += PageBytes)
            Volatile.Write(ref payload[i], 1);
    }

    private void Delete(int slot, long bytes)
    {
        PlasmaStatus status = _store.Delete(BenchIds.Of(_slots[slot].Number));
        if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"A delete ended with {status}.");
        _slots[slot] = default;
        LiveBytes -= bytes;
    }

    /// <summary>Payload memory that the kernel has given, and all metadata.</summary>
    private long Held()
    {
        StoreStats stats = _store.Stats();
        return stats.BackedBytes + stats.MetaBytes;
    }

    private static long PerOperation(long nanoseconds, long operations) => operations == 0 ? 0 : nanoseconds / operations;
}
