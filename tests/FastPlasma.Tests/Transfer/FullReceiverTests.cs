using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>A receiver without room waits, evicts, succeeds when there is room, or says at its deadline that there was none.</summary>
[Trait("Anchor", "29")]
public sealed class FullReceiverTests : NodeTest
{
    private static PlasmaOptions Narrow { get; } = new() { CapacityBytes = 16 << 20, ObjectCountMax = 1024 };

    private PlasmaNode FullTarget(PlasmaNode source, Retention retention = Retention.Keep, PlasmaNodeOptions? node = null)
    {
        var options = new ObjectOptions { Retention = retention };
        PlasmaNode target = StartNode([source.Endpoint], node, Narrow);
        for (int i = 0; target.Store.TryPut(Id($"fill-{i}"), new byte[1 << 20], options) == PlasmaStatus.Ok && i < 40; i++)
        {
            // Until nothing fits any more.
        }
        for (int i = 0; target.Store.TryPut(Id($"small-{i}"), new byte[8 << 10], options) == PlasmaStatus.Ok && i < 900; i++)
        {
            // Nor anything small.
        }
        return target;
    }

    [Fact]
    public async Task It_waits_and_succeeds_when_room_appears()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 3_000_000));
        PlasmaNode target = FullTarget(source);
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, Soon);
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.False(pull.IsCompleted);
        for (int i = 0; i < 5; i++)
            target.Store.Delete(Id($"fill-{i}"));
        Assert.Empty((await pull).Failures);
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(Random(1, 3_000_000), obj.Span);
    }

    [Fact]
    public async Task At_the_deadline_it_says_that_there_is_no_room()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 3_000_000));
        PlasmaNode target = FullTarget(source);
        PullFailure failure = Assert.Single((await target.PullAsync(new[] { Id("a") }, Ms(500))).Failures);
        Assert.Equal(PlasmaStatus.StoreFull, failure.Status);
        Assert.Contains("room", failure.Reason, StringComparison.Ordinal);
        var late = Assert.ThrowsAny<TimeoutException>(() => target.Store.Get(Id("a"), Ms(500)));
        Assert.Contains("no room", late.Message, StringComparison.Ordinal);
        NothingHalfMade(target);
    }

    [Fact]
    public async Task Who_joins_with_a_later_deadline_is_waited_for()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 3_000_000));
        PlasmaNode target = FullTarget(source);
        Task<PullReport> early = target.PullAsync(new[] { Id("a") }, Ms(600));
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Task<PullReport> late = target.PullAsync(new[] { Id("a") }, Soon);
        Assert.Single((await early).Failures);
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.False(late.IsCompleted);
        for (int i = 0; i < 5; i++)
            target.Store.Delete(Id($"fill-{i}"));
        Assert.Empty((await late).Failures);
    }

    [Fact]
    public async Task Many_small_objects_wait_for_room_too()
    {
        PlasmaNode source = StartNode();
        ObjectId[] ids = [.. Enumerable.Range(0, 60).Select(i => Id($"s{i}"))];
        foreach (ObjectId id in ids)
            source.Store.Put(id, Random(7, 20_000));
        PlasmaNode target = FullTarget(source);
        Task<PullReport> pull = target.PullAsync(ids, Soon);
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.False(pull.IsCompleted);
        for (int i = 0; i < 6; i++)
            target.Store.Delete(Id($"fill-{i}"));
        Assert.Empty((await pull).Failures);
        foreach (ObjectId id in ids)
            using (PlasmaObject obj = target.Store.Get(id, TimeSpan.Zero))
                Same(Random(7, 20_000), obj.Span);
    }

    [Fact]
    public async Task What_can_never_fit_is_said_at_once()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), new byte[20 << 20]);
        PlasmaNode target = StartNode([source.Endpoint], null, Narrow);
        PullFailure failure = Assert.Single((await target.PullAsync(new[] { Id("a") }, Soon).WaitAsync(Soon / 2, TestContext.Current.CancellationToken)).Failures);
        Assert.Equal(PlasmaStatus.TooLarge, failure.Status);
        NothingHalfMade(target);
    }

    [Fact]
    public async Task A_store_full_of_evictable_objects_makes_room()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 3_000_000));
        source.Store.Put(Id("b"), Random(2, 3_000));
        PlasmaNode target = FullTarget(source, Retention.Evictable);
        Assert.Empty((await target.PullAsync(new[] { Id("a"), Id("b") }, Soon)).Failures);
    }

    [Fact]
    public async Task Transfers_that_end_before_their_turn_give_it_back()
    {
        PlasmaNode source = StartNode();
        for (int i = 0; i < 6; i++)
            source.Store.Put(Id($"{i}"), Random(i, 3_000_000));
        PlasmaNode target = FullTarget(source, node: new PlasmaNodeOptions { TransfersMax = 1 });
        // One has the only place and waits for room; the others end in the queue, and are found there when it has ended.
        Task<PullReport> first = target.PullAsync(new[] { Id("0") }, Ms(1500));
        await Task.Delay(400, TestContext.Current.CancellationToken);
        PullReport[] reports = await Task.WhenAll(Enumerable.Range(1, 4).Select(i => target.PullAsync(new[] { Id($"{i}") }, Ms(300))));
        Assert.False(first.IsCompleted);
        Assert.All((PullReport[])[await first, .. reports], static report => Assert.Single(report.Failures));
        for (int i = 0; i < 5; i++)
            target.Store.Delete(Id($"fill-{i}"));
        Assert.Empty((await target.PullAsync(new[] { Id("5") }, Soon)).Failures);
    }
}
