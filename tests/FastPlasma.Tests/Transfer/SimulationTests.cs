using FastPlasma.Simulation;

namespace FastPlasma.Tests.Transfer;

/// <summary>The scheduling of transfers among many nodes, in virtual time.</summary>
public sealed class SimulationTests
{
    [Fact]
    public void The_same_seed_gives_the_same_run()
    {
        var options = new SimOptions { Nodes = 30, IsLocated = true, ObjectBytes = 8 << 20, Seed = 7 };
        Assert.Equal(Scenarios.Churn(options), Scenarios.Churn(options));
    }

    [Theory]
    [InlineData("broadcast", 8, false, 1.2)]
    [InlineData("broadcast", 100, true, 2.6)]
    [InlineData("many-to-one", 32, false, 1.05)]
    [InlineData("shuffle", 16, false, 1.5)]
    [InlineData("churn", 100, true, 2.0)]
    [InlineData("orphans", 100, true, 3.0)]
    public void Every_object_arrives_once_and_soon(string scenario, int nodes, bool located, double ratioMax)
    {
        SimResult result = Scenarios.All[scenario](new SimOptions { Nodes = nodes, IsLocated = located });
        Assert.Equal(result.Fetches, result.Done);
        Assert.Equal(0, result.Duplicates);
        Assert.True(result.Ratio <= ratioMax, result.ToString());
    }

    [Fact]
    public void A_thousand_nodes_take_one_object_without_a_bottleneck()
    {
        SimResult result = Scenarios.Broadcast(new SimOptions { Nodes = 1000, IsLocated = true, ObjectBytes = 16 << 20 });
        Assert.Equal(999, result.Done);
        Assert.Equal(0, result.Duplicates);
        Assert.True(result.QueueMax <= 64 && result.SourceObjects < 6, result.ToString());
    }
}
