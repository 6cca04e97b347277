namespace FastPlasma.Tests;

/// <summary>The hot path takes nothing from the managed heap.</summary>
public sealed class AllocationTests : StoreTest
{
    private readonly PlasmaStore _store;
    private readonly ObjectId _present = Id("present"), _new = Id("new");
    private readonly byte[] _payload = new byte[5000];

    public AllocationTests()
    {
        _store = Anonymous(Small with { DefaultRetention = Retention.Evictable });
        _store.Put(_present, _payload);
    }

    [Fact]
    public void TryGet_and_Dispose_allocate_nothing() => AllocatesNothing(() =>
    {
        Assert.True(_store.TryGet(_present, out PlasmaObject obj));
        obj.Dispose();
    });

    [Fact]
    public void TryGet_of_a_missing_object_allocates_nothing() => AllocatesNothing(() => _store.TryGet(_new, out _));

    [Fact]
    public void Get_that_hits_allocates_nothing() => AllocatesNothing(() => _store.Get(_present, TimeSpan.FromSeconds(1)).Dispose());

    [Fact]
    public void Reading_spans_and_releasing_several_handles_allocate_nothing() => AllocatesNothing(() =>
    {
        PlasmaObject a = _store.Get(_present, TimeSpan.Zero), b = _store.Get(_present, TimeSpan.Zero);
        if (a.Span.Length != 5000 || b.Metadata.Length != 0 || b.NameUtf8.Length != 0 || a.Id != _present)
            Assert.Fail("wrong object");
        a.Dispose();
        b.Dispose();
        b.Dispose();
    });

    [Fact]
    public void Create_seal_and_delete_allocate_nothing() => AllocatesNothing(() =>
    {
        using (ObjectWriter writer = _store.Create(_new, 5000))
        {
            writer.Span[0] = 1;
            writer.Seal();
        }
        _store.Delete(_new);
    });

    [Fact]
    public void Create_and_abort_allocate_nothing() => AllocatesNothing(() => _store.Create(_new, 100).Dispose());

    [Fact]
    public void Put_and_delete_allocate_nothing() => AllocatesNothing(() =>
    {
        _store.Put(_new, _payload, new ObjectOptions { Checksum = true, Metadata = _payload.AsSpan(0, 10), Name = "a name" });
        _store.Delete(_new);
    });

    [Fact]
    public void Contains_allocates_nothing() => AllocatesNothing(() =>
    {
        _store.Contains(_present);
        _store.Contains(_new);
    });

    [Fact]
    public void Completed_GetAsync_allocates_nothing() => AllocatesNothing(() =>
    {
        ValueTask<PlasmaObject> get = _store.GetAsync(_present, TimeSpan.Zero);
        get.Result.Dispose();
    });

    [Fact]
    public void Control_a_call_that_allocates_is_caught() => Assert.NotEqual(0, AllocatedPerRound.Least(() => GC.KeepAlive(new object())));

    private static void AllocatesNothing(Action call) => Assert.Equal(0, AllocatedPerRound.Least(call));
}
