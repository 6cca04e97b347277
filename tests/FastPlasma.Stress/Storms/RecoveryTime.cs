using System.CommandLine;
using System.Diagnostics;

namespace FastPlasma.Stress.Storms;

/// <summary>FastPlasma.Stress recovery-time: how long the work takes that releases what a dead process held.</summary>
/// <remarks>The clock runs from a moment when the dead one's token is free to the end of <see cref="PlasmaStore.Maintain"/> in a process that has just noticed; that includes a look at all participants and
/// at everything that is condemned.</remarks>
internal static unsafe class RecoveryTime
{
    internal const double LimitMs = 10;

    internal static Command Create()
    {
        Option<int> rounds = new("--rounds") { Description = "Deaths.", HelpName = "N", DefaultValueFactory = static _ => 20 };
        Command command = new("recovery-time", $"Kill a process with {MeasuredChild.PinCount} pins and {MeasuredChild.UnsealedCount} unsealed objects; time the recovery (at most {LimitMs} ms).") { rounds };
        command.SetAction(parse =>
        {
            double[] ms = Run(new StormOptions { Time = default }, parse.GetValue(rounds));
            Console.WriteLine(FormattableString.Invariant($"recovery of {MeasuredChild.PinCount} pins and {MeasuredChild.UnsealedCount} unsealed objects, {ms.Length} times: p50 {StormReport.Quantile(ms, 0.5):0.00} ms, max {StormReport.Quantile(ms, 1):0.00} ms (limit {LimitMs} ms)"));
            return ms.Max() <= LimitMs ? 0 : 1;
        });
        return command;
    }

    /// <summary>Milliseconds of each recovery.</summary>
    internal static double[] Run(StormOptions options, int rounds)
    {
        using var measurement = new Measurement(options, StoreAccess.ReadWrite);
        PlasmaStore store = measurement.Store;
        var ms = new List<double>();
        for (int attempt = 0; ms.Count < rounds; attempt++)
        {
            if (attempt == 5 * rounds)
                throw new InvalidOperationException($"Somebody else recovered the dead in {attempt - ms.Count} of {attempt} rounds.");
            measurement.Start(MeasuredChild.StartHolder);
            measurement.Await(() => Volatile.Read(ref measurement.Record->Quiet) == 1, "the other process holds everything");
            int place = Enumerable.Range(0, store.Participants.High).Single(k => store.Participants.Block(k)->ProcessId == measurement.OtherId);
            if (store.Stats() is var before && (before.CreatingCount != MeasuredChild.UnsealedCount || before.Participants.Sum(static p => p.Pins) != MeasuredChild.PinCount))
                throw new InvalidOperationException($"The other process has {before.CreatingCount} unsealed objects and {before.Participants.Sum(static p => p.Pins)} pins.");
            measurement.Kill();
            measurement.Await(() => !store.Participants.IsAlive(place), "the token of the dead is free");

            long start = Stopwatch.GetTimestamp();
            int recovered = store.Maintain();
            double elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            measurement.Await(() => store.Stats() is { CreatingCount: 0, CondemnedCount: 0, Participants.Count: 1 }, "everything is released");
            if (recovered == 1) // Else the store's own thread was first, and its time is not known.
                ms.Add(elapsed);
        }
        return [.. ms];
    }
}
