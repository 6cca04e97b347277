using FastPlasma.Lab;
int megabits = int.Parse(args[1]), mib = int.Parse(args[2]), nodes = int.Parse(args[0]);
using var lab = NetworkLab.Create(nodes, megabits);
Console.WriteLine(lab.Problem ?? "namespaces");
using var cluster = new LabCluster(lab, mib * 3 + 64);
cluster.Spread("warm", 8 << 20, nodes - 1);
for (int k = 0; k < (args.Length > 3 ? int.Parse(args[3]) : 1); k++)
{
SpreadRun one = cluster.Spread("one" + k, (long)mib << 20, 1), all = cluster.Spread("all" + k, (long)mib << 20, nodes - 1);
Console.WriteLine($"one {one.Seconds:0.000} all {all.Seconds:0.000} ratio {all.Seconds / one.Seconds:0.00}");
for (int i = 0; i < nodes; i++)
    Console.WriteLine($"  {i}: {(i > 0 ? all.ReceiverSeconds[i - 1] : 0):0.00} s recv {all.Traffic[i].ReceivedBytes >> 10} sent {(all.Traffic[i].SentBytes) >> 10} relayed {all.Traffic[i].RelayedBytes >> 10} discarded {all.Traffic[i].DiscardedBytes >> 10}");
}
