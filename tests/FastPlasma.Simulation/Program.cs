using System.CommandLine;
using System.Globalization;
using FastPlasma.Lab;
using FastPlasma.Simulation;

Option<string[]> scenarios = new("--scenario") { Description = "Which, or all.", DefaultValueFactory = static _ => ["all"], AllowMultipleArgumentsPerToken = true };
Option<int[]> nodes = new("--nodes") { Description = "How many.", DefaultValueFactory = static _ => [8], AllowMultipleArgumentsPerToken = true };
Option<int> seed = new("--seed") { Description = "Of everything random.", DefaultValueFactory = static _ => 1 };
Option<int> mebibytes = new("--mebibytes") { Description = "Size of an object.", DefaultValueFactory = static _ => 32 };
Option<double> megabits = new("--megabits") { Description = "Rate of each node's link in each direction, in 10^6 bit/s.", DefaultValueFactory = static _ => 200 };
Option<double> latency = new("--latency-us") { Description = "One way.", DefaultValueFactory = static _ => 60 };
Option<bool> located = new("--located") { Description = "A directory knows who has what (with more than 64 nodes always); else every node is asked." };
Option<int> measured = new("--measure") { Description = "Also measure the broadcast with that many runs of real nodes in network namespaces (at most 8 nodes).", DefaultValueFactory = static _ => 0 };
scenarios.AcceptOnlyFromAmong([.. Scenarios.All.Keys, "all"]);
RootCommand root = new("Runs the scheduling of transfers in virtual time. See docs/simulation.md.") { scenarios, nodes, seed, mebibytes, megabits, latency, located, measured };
root.SetAction(parse =>
{
    Console.WriteLine(SimResult.Header);
    bool good = true;
    foreach (int count in parse.GetValue(nodes)!)
    {
        SimOptions options = new()
        {
            Nodes = count,
            Seed = parse.GetValue(seed),
            ObjectBytes = (long)parse.GetValue(mebibytes) << 20,
            Megabits = parse.GetValue(megabits),
            LatencyNs = (long)(parse.GetValue(latency) * 1000),
            IsLocated = parse.GetValue(located) || count > 64,
        };
        string[] names = parse.GetValue(scenarios)!;
        foreach ((string name, Func<SimOptions, SimResult> run) in Scenarios.All)
        {
            if (!names.Contains(name) && !names.Contains("all"))
                continue;
            SimResult result = run(options);
            Console.WriteLine(result);
            good &= result.Done == result.Fetches && result.Duplicates == 0;
        }
        if (parse.GetValue(measured) is > 0 and int runs && count <= NetworkLab.HostsMax)
            Measure(options, runs);
    }
    return good ? 0 : 1;
});
return root.Parse(args).Invoke();

static void Measure(SimOptions options, int runs)
{
    using var lab = NetworkLab.Create(options.Nodes, (int)options.Megabits);
    if (lab.Problem is not null)
        Console.WriteLine(lab.Problem);
    using var cluster = new LabCluster(lab, (int)(options.ObjectBytes >> 20) * 3 + 64);
    cluster.Spread("warm", options.ObjectBytes, options.Nodes - 1); // Code in its final form, memory that was touched.
    for (int run = 0; run < runs; run++)
    {
        SpreadRun one = cluster.Spread($"one{run}", options.ObjectBytes, 1), all = cluster.Spread($"all{run}", options.ObjectBytes, options.Nodes - 1);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"measured: one {one.Seconds:0.000} s, broadcast {all.Seconds:0.000} s, ratio {all.Seconds / one.Seconds:0.00}, source sent {all.Traffic[0].SentBytes / (double)options.ObjectBytes:0.00} objects"));
        for (int i = 0; i < all.Traffic.Length; i++)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  node {i}: {(i == 0 ? 0 : all.ReceiverSeconds[i - 1]):0.00} s, received {all.Traffic[i].ReceivedBytes / (double)options.ObjectBytes:0.00}, sent {all.Traffic[i].SentBytes / (double)options.ObjectBytes:0.00} objects, relayed {all.Traffic[i].RelayedBytes / (double)options.ObjectBytes:0.00}, discarded {all.Traffic[i].DiscardedBytes}"));
    }
}
