namespace FastPlasma.Tests.Counts;

/// <summary>The hot operations take as many instructions as they did, and nothing from the managed heap. No clock is involved, so a busy machine cannot fail these.</summary>
public sealed class InstructionCountTests(InstructionCounts counts) : IClassFixture<InstructionCounts>
{
    private const string Control = "control-get-hit-and-a-loop";

    [Theory]
    [InlineData("get-hit")]
    [InlineData("get-hit-evictable")]
    [InlineData("get-miss")]
    [InlineData("get-batch-100")]
    [InlineData("contains-hit")]
    [InlineData("contains-miss")]
    [InlineData("put-64")]
    [InlineData("put-1k")]
    [InlineData("put-64k")]
    [InlineData("create-seal-delete-1k")]
    [InlineData("delete-1k")]
    public void Operation_takes_the_instructions_of_the_baseline_and_allocates_nothing(string operation)
    {
        Assert.Equal(0, counts.AllocatedBytes[operation]);
        string? refusal = Baseline().Refuse(operation, counts.Instructions[operation], counts.Built);
        Assert.True(refusal is null, refusal);
    }

    [Fact]
    public void Every_counted_operation_is_judged()
    {
        string[] judged = [.. typeof(InstructionCountTests).GetMethod(nameof(Operation_takes_the_instructions_of_the_baseline_and_allocates_nothing))!
            .GetCustomAttributes(typeof(InlineDataAttribute), inherit: false).Select(static data => (string)((InlineDataAttribute)data).Data[0]!)];
        Assert.Equal([.. judged, Control], counts.Instructions.Keys);
    }

    [Fact]
    public void Control_a_get_with_a_loop_more_is_refused() =>
        Assert.Contains("baseline", Baseline().Refuse("get-hit", counts.Instructions[Control], counts.Built), StringComparison.Ordinal);

    [Theory]
    [InlineData(100, 108, true)]
    [InlineData(100, 108.1, false)]
    [InlineData(100, 92, true)]
    [InlineData(100, 91.9, false)]
    [InlineData(1000, 1035.1, false)]
    public void Counts_are_refused_beyond_three_percent_and_five_instructions_in_both_directions(double baseline, double counted, bool accepted) =>
        Assert.Equal(accepted, new CountBaseline("here", new Dictionary<string, double> { ["x"] = baseline }).Refuse("x", counted, "here") is null);

    [Fact]
    public void Refusal_names_both_compilers_when_they_differ()
    {
        var baseline = new CountBaseline("SDK 1", new Dictionary<string, double> { ["x"] = 380 });
        Assert.StartsWith("operation x: 412.0 instructions, baseline 380.0 (tests/FastPlasma.Counted/baseline.txt), tolerance 16.4. The baseline was counted with SDK 1, this run with SDK 2", baseline.Refuse("x", 412, "SDK 2"), StringComparison.Ordinal);
        Assert.DoesNotContain("counted with", baseline.Refuse("x", 412, "SDK 1"), StringComparison.Ordinal);
        Assert.Contains("no baseline", baseline.Refuse("y", 1, "SDK 1"), StringComparison.Ordinal);
    }

    private CountBaseline Baseline()
    {
        if (CountBaseline.IsToBeWritten)
            new CountBaseline(counts.Built, counts.Instructions.Where(static pair => pair.Key != Control).ToDictionary()).Write();
        return CountBaseline.Read();
    }
}
