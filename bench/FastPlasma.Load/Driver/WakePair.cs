using System.Text.Json;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Driver;

/// <summary>Two processes that wake each other, over bare words and over a store in turns.</summary>
internal static class WakePair
{
    private const long CapacityBytes = 64L << 20;

    /// <summary>Runs the rounds; returns what the bare words and what the store took.</summary>
    internal static (Measurement Bare, Measurement Stored) Measure(LoadContext context, IPeer peer, WakeKind kind, bool sleeps, int rounds, int settleUs, int idCount = 1)
    {
        using var instance = new Instance(context, peer, CapacityBytes, Math.Max(1024, idCount), 1 << 10);
        string page = Path.Combine(context.Folder.CreateNext(), "page");
        WakePlan plan = new(kind, sleeps, idCount, rounds, rounds / 2, settleUs, page, instance.Open);
        string text = JsonSerializer.Serialize(plan, WorkJson.Default.WakePlan);
        using WorkerProcess waiter = WorkerProcess.StartPart(context, WakePart.PartName, WakePart.Waiter, text), waker = WorkerProcess.StartPart(context, WakePart.PartName, WakePart.Waker, text);
        waiter.WaitUntil(WakePart.Ready);
        waker.WaitUntil(WakePart.Ready);
        waiter.Say(WakePart.Ready);
        waker.Say(WakePart.Ready);
        Measurement bare = Measurement.Of(waiter.PartResult());
        return (bare, Measurement.Of(waiter.PartResult()));
    }
}
