using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Parts;

/// <summary>A process of a node's machine that gets objects which another node has. Arguments: the store's folder; its name.</summary>
/// <remarks>Lines: <c>get COUNT</c> gets objects 0 to COUNT-1 one after the other, each timed from the call to its last byte read, and drops them again.</remarks>
internal sealed class RemoteGetPart : IPart
{
    internal const string PartName = "remote-get";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(100);

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        using PlasmaStore store = PlasmaStore.Open(arguments[1], new PlasmaOptions { Directory = arguments[0] });
        parent.SendResult(new WorkResult());
        for (string line = parent.Receive(); line != ParentPipe.Exit; line = parent.Receive())
            parent.SendResult(Get(store, int.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture)));
    }

    private static WorkResult Get(PlasmaStore store, int count)
    {
        var latencies = new Latencies();
        long timed = 0;
        ulong sum = 0;
        for (int i = 0; i < count; i++)
        {
            ObjectId id = NodePart.Id(i);
            if (store.Contains(id))
                throw new InvalidOperationException($"Object {i} is here already.");
            long start = Stopwatch.GetTimestamp();
            using (PlasmaObject obj = store.Get(id, s_deadline))
                sum += Payload.Sum(obj.Span);
            long ticks = Stopwatch.GetTimestamp() - start;
            latencies.Record(ticks, 1);
            timed += ticks;
        }
        store.Evict(long.MaxValue / 2);
        return new WorkResult { Operations = count, OperationsPerSecond = count * (double)Stopwatch.Frequency / timed, Pairs = latencies.ToPairs(), Figures = [sum] };
    }
}
