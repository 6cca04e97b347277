using System.Text.Json;
using FastPlasma.Cli.Children;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Cli.Demo;

/// <summary>What a node of the demo is told: its store, where it listens, and the others.</summary>
internal sealed record DemoNodePlan(string Store, NodeEndpoint Listen, NodeEndpoint[] Peers, string[] AllStores);

/// <summary>A node service of the demo: what 'fastplasma serve' runs, but it ends with its parent.</summary>
internal static class DemoNodeChild
{
    internal static int Run()
    {
        string[] stores = [];

        // A parent that was killed cannot destroy its stores, and of the nodes one may be dead: each destroys all.
        using ParentPipe parent = new(orphaned: () =>
        {
            foreach (string name in stores)
                PlasmaStore.Destroy(name);
        });
        try
        {
            DemoNodePlan plan = JsonSerializer.Deserialize(parent.Receive(), DemoMessageJson.Default.DemoNodePlan) ?? throw new JsonException("An empty plan.");
            stores = plan.AllStores;
            using PlasmaStore store = PlasmaStore.Open(plan.Store);
            using var stop = new CancellationTokenSource();
            Task end = Task.Factory.StartNew(
                () =>
                {
                    parent.Expect(ParentPipe.Exit);
                    stop.Cancel();
                },
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            var options = new PlasmaNodeOptions { Listen = plan.Listen, Directory = () => new StaticPeers(plan.Peers) };
            NodeHost.RunAsync(store, options, LogLevel.Error, _ => parent.Send(new DemoMessage(DemoMessageKind.Ready).ToLine()), stop.Token).GetAwaiter().GetResult();
            end.GetAwaiter().GetResult();
            return 0;
        }
        catch (Exception e)
        {
            // Whatever it was, the parent says it to the user and ends the others.
            parent.Send(new DemoMessage(DemoMessageKind.Failed) { Error = $"{e.GetType().Name}: {e.Message}" }.ToLine());
            return 1;
        }
    }
}
