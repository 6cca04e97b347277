using System.Text.Json;
using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Demo;

/// <summary>What producer and consumer processes have in common: the plan first, then steps on command, and an end with the parent.</summary>
internal static class DemoChild
{
    internal const string Go = "go", MeasureGet = "get", MeasureWake = "wake";

    /// <summary>Wakes that one consumer measures after <see cref="WakeWarmups"/> others.</summary>
    internal const int WakeSamples = 200, WakeWarmups = 30;

    private const int ProgressIntervalMs = 50;

    /// <summary>Runs one child process to its end.</summary>
    internal static int Run(StoreAccess access, Action<ParentPipe, DemoPlan, PlasmaStore> work)
    {
        string? name = null;

        // A parent that was killed cannot destroy its store, so those that it leaves behind do.
        using ParentPipe parent = new(orphaned: () =>
        {
            if (name is not null)
                PlasmaStore.Destroy(name);
        });
        try
        {
            DemoPlan plan = JsonSerializer.Deserialize(parent.Receive(), DemoMessageJson.Default.DemoPlan) ?? throw new JsonException("An empty plan.");
            name = plan.Store;
            using PlasmaStore store = PlasmaStore.Open(plan.Store, new PlasmaOptions { Access = access });
            parent.Send(new DemoMessage(DemoMessageKind.Ready).ToLine());
            work(parent, plan, store);
            return 0;
        }
        catch (Exception e)
        {
            // Whatever it was, the parent says it to the user and ends the others.
            parent.Send(new DemoMessage(DemoMessageKind.Failed) { Error = $"{e.GetType().Name}: {e.Message}" }.ToLine());
            return 1;
        }
    }

    /// <summary>Id of the object whose seal wakes one consumer once; no path contains the zero character.</summary>
    internal static ObjectId WakeId(int consumer, int round) => ObjectId.FromName($"wake\0{consumer}/{round}");

    /// <summary>Sends progress, but not more often than anybody can see.</summary>
    internal static void Report(ParentPipe parent, int done, ref long reportedAtMs)
    {
        long now = Environment.TickCount64;
        if (now - reportedAtMs < ProgressIntervalMs)
            return;
        reportedAtMs = now;
        parent.Send(new DemoMessage(DemoMessageKind.Progress) { Done = done }.ToLine());
    }
}
