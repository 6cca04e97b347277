using System.Globalization;

namespace FastPlasma.Simulation;

/// <summary>What became of a run.</summary>
internal sealed record SimResult
{
    internal required string Scenario { get; init; }

    internal required SimOptions Options { get; init; }

    /// <summary>Fetches on nodes that live, and those of them that ended with the object.</summary>
    internal int Fetches { get; init; }

    internal int Done { get; init; }

    /// <summary>Until the last object was there.</summary>
    internal double Seconds { get; init; }

    /// <summary>The longest and the median time of a single fetch.</summary>
    internal double SlowestSeconds { get; init; }

    internal double MedianSeconds { get; init; }

    /// <summary>What no schedule can beat.</summary>
    internal double IdealSeconds { get; init; }

    /// <summary>Bytes that the first node sent, in objects.</summary>
    internal double SourceObjects { get; init; }

    internal int Duplicates { get; init; }

    /// <summary>Chunks that waited at one node at most.</summary>
    internal int QueueMax { get; init; }

    internal long Messages { get; init; }

    internal long Events { get; init; }

    internal double Ratio => Seconds / IdealSeconds;

    internal const string Header = "| scenario | nodes | object | directory | done | last | median | ideal | last / ideal | source sent | duplicates | longest queue | messages |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|";

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"| {Scenario} | {Options.Nodes} | {Options.ObjectBytes >> 20} MiB | {(Options.IsLocated ? "located" : "static")} | {Done} of {Fetches} | {Seconds:0.00} s | {MedianSeconds:0.00} s | {IdealSeconds:0.00} s | {Ratio:0.00} | {SourceObjects:0.00} objects | {Duplicates} | {QueueMax} chunks | {Messages:N0} |");
}

/// <summary>What happens in a run.</summary>
internal static class Scenarios
{
    private const double SecondsMax = 3600;

    internal static IReadOnlyDictionary<string, Func<SimOptions, SimResult>> All { get; } = new Dictionary<string, Func<SimOptions, SimResult>>
    {
        ["one"] = One,
        ["broadcast"] = Broadcast,
        ["shuffle"] = Shuffle,
        ["many-to-one"] = ManyToOne,
        ["churn"] = Churn,
        ["orphans"] = Orphans,
    };

    /// <summary>One object from one node to one other.</summary>
    internal static SimResult One(SimOptions options)
    {
        var cluster = new Cluster(options);
        cluster.Nodes[0].Put(0);
        cluster.Nodes[1].Pull([0]);
        return Run("one", cluster, options.IdealSeconds(1));
    }

    /// <summary>One object from one node to all others, at once.</summary>
    internal static SimResult Broadcast(SimOptions options)
    {
        var cluster = new Cluster(options);
        cluster.Nodes[0].Put(0);
        foreach (SimNode node in cluster.Nodes.Skip(1))
            cluster.Simulator.After(cluster.Simulator.Random.Next(2_000_000), () => node.Pull([0]));
        return Run("broadcast", cluster, options.IdealSeconds(1));
    }

    /// <summary>Every node has one object for each other, and all ask in the same order.</summary>
    internal static SimResult Shuffle(SimOptions options)
    {
        var cluster = new Cluster(options);
        int n = options.Nodes;
        foreach (SimNode from in cluster.Nodes)
            foreach (SimNode to in cluster.Nodes)
                if (from != to)
                    from.Put(from.Index * n + to.Index);
        foreach (SimNode to in cluster.Nodes)
            cluster.Simulator.After(cluster.Simulator.Random.Next(2_000_000), () => to.Pull(Enumerable.Range(0, n).Where(from => from != to.Index).Select(from => from * n + to.Index)));
        return Run("shuffle", cluster, options.IdealSeconds(n - 1));
    }

    /// <summary>One node pulls an object of each other.</summary>
    internal static SimResult ManyToOne(SimOptions options)
    {
        var cluster = new Cluster(options);
        foreach (SimNode from in cluster.Nodes.Skip(1))
            from.Put(from.Index);
        cluster.Nodes[0].Pull(cluster.Nodes.Skip(1).Select(static node => node.Index));
        return Run("many-to-one", cluster, options.IdealSeconds(options.Nodes - 1));
    }

    /// <summary>A broadcast during which a fifth of the nodes dies and as many join.</summary>
    internal static SimResult Churn(SimOptions options)
    {
        var cluster = new Cluster(options);
        cluster.Nodes[0].Put(0);
        foreach (SimNode node in cluster.Nodes.Skip(1))
            cluster.Simulator.After(cluster.Simulator.Random.Next(2_000_000), () => node.Pull([0]));
        long span = (long)(options.IdealSeconds(1) * 1e9);
        int count = Math.Max(1, options.Nodes / 5);
        int[] dying = [.. Enumerable.Range(1, options.Nodes - 1)];
        cluster.Simulator.Random.Shuffle(dying);
        long lastJoin = 0;
        for (int i = 0; i < count; i++)
        {
            SimNode victim = cluster.Nodes[dying[i]];
            cluster.Simulator.After(cluster.Simulator.Random.NextInt64(span), victim.Kill);
            long joins = cluster.Simulator.Random.NextInt64(span);
            lastJoin = Math.Max(lastJoin, joins);
            cluster.Simulator.After(joins, () => cluster.AddNode().Pull([0]));
        }
        return Run("churn", cluster, options.IdealSeconds(1) + lastJoin / 1e9, () => cluster.Simulator.Now > lastJoin);
    }

    /// <summary>A broadcast whose source dies as soon as each chunk is on some node: those that are left have only each other.</summary>
    internal static SimResult Orphans(SimOptions options)
    {
        var cluster = new Cluster(options);
        cluster.Nodes[0].Put(0);
        foreach (SimNode node in cluster.Nodes.Skip(1))
            cluster.Simulator.After(cluster.Simulator.Random.Next(2_000_000), () => node.Pull([0]));
        Watch();
        return Run("orphans", cluster, options.IdealSeconds(1));

        void Watch()
        {
            if (Enumerable.Range(0, cluster.ChunkCount).All(chunk => cluster.Nodes.Skip(1).Any(node => node.Fetches.TryGetValue(0, out SimFetch? fetch) && fetch.Plan?.Verified.Contains(chunk) == true)))
                cluster.Nodes[0].Kill();
            else
                cluster.Simulator.After(10 * Simulator.Ms, Watch);
        }
    }

    private static SimResult Run(string name, Cluster cluster, double idealSeconds, Func<bool>? mayEnd = null)
    {
        bool begun = false;
        long looked = 0;
        bool IsOver()
        {
            // Looked at now and then: it walks all fetches.
            if (++looked % 1024 != 0 || !(mayEnd?.Invoke() ?? true))
                return false;
            begun |= cluster.Fetches.Any();
            return begun && cluster.Simulator.NowMs > 5 && cluster.Fetches.All(static fetch => fetch.IsOver);
        }
        cluster.Simulator.Run((long)(SecondsMax * 1e9), IsOver);
        SimFetch[] fetches = [.. cluster.Fetches];
        SimFetch[] done = [.. fetches.Where(static fetch => fetch.EndedAt >= 0)];
        double[] seconds = [.. done.Select(static fetch => (fetch.EndedAt - fetch.BeganAt) / 1e9).Order()];
        return new SimResult
        {
            Scenario = name,
            Options = cluster.Options,
            Fetches = fetches.Length,
            Done = done.Length,
            Seconds = done.Length == 0 ? 0 : done.Max(static fetch => fetch.EndedAt) / 1e9,
            SlowestSeconds = seconds.LastOrDefault(),
            MedianSeconds = seconds.Length == 0 ? 0 : seconds[seconds.Length / 2],
            IdealSeconds = idealSeconds,
            SourceObjects = cluster.Nodes[0].Up.SentBytes / (double)cluster.Options.ObjectBytes,
            Duplicates = fetches.Sum(static fetch => fetch.DuplicateCount),
            QueueMax = cluster.Nodes.Max(static node => node.Up.QueuedChunksMax),
            Messages = cluster.MessageCount,
            Events = cluster.Simulator.EventCount,
        };
    }
}
