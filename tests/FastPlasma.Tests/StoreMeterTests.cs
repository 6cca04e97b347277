using System.Diagnostics.Metrics;

namespace FastPlasma.Tests;

/// <summary>The figures of a store as a listener of System.Diagnostics.Metrics gets them.</summary>
public sealed class StoreMeterTests : StoreTest
{
    private const int MiB = 1 << 20;

    [Fact]
    public void Listener_sees_what_the_store_holds_and_did()
    {
        PlasmaStore store = Named(out string name, Small with { SpillDirectories = [NewFolder()] });
        using var meter = new StoreMeter(store);
        for (int i = 0; i < 4; i++)
            store.Put(Id($"kept-{i}"), new byte[MiB]);
        store.Put(Id("evictable"), new byte[MiB], Evictable);
        using PlasmaObject pinned = store.Get(Id("kept-0"), TimeSpan.Zero);
        using PlasmaObject deleted = store.Get(Id("kept-1"), TimeSpan.Zero);
        store.Delete(Id("kept-1"));
        store.Unload(long.MaxValue);
        Assert.True(store.TryCreate(Id("half"), 2 * MiB, out ObjectWriter writer) == PlasmaStatus.Ok);
        Assert.False(store.TryGet(Id("missing"), out _));

        Dictionary<string, long> seen = Measure(name);
        Assert.Equal(store.Stats().CapacityBytes, seen["capacity"]);
        Assert.Equal(store.Stats().UsedBytes, seen["used"]);
        Assert.True(seen["backed"] >= seen["used"]);
        Assert.Equal((4, 2, 1, 1), (seen["objects"], seen["objects.spilled"], seen["objects.creating"], seen["objects.condemned"]));
        Assert.Equal((2 * MiB, MiB, MiB, 2 * MiB, 2 * MiB), (seen["pinned"], seen["evictable"], seen["condemned"], seen["creating"], seen["spilled"]));
        Assert.Equal((5, 5 * MiB, 2, 2 * MiB, 2, 1), (seen["puts"], seen["put"], seen["spills"], seen["spill.written"], seen["gets"], seen["deletes"]));
        Assert.True(seen["gets.missed"] >= 1);
        Assert.Equal((0, 0, 0, 0), (seen["waiting"], seen["waiting.creates"], seen["spill.errors"], seen["restore.errors"]));
        Assert.Equal(1, seen["participants"]);
        Assert.Contains("kept", seen.Keys);
        writer.Dispose();
    }

    [Fact]
    public void What_is_asked_for_later_is_looked_at_anew()
    {
        PlasmaStore store = Named(out string name);
        using var meter = new StoreMeter(store);
        Assert.Equal(0, Measure(name)["objects"]);
        store.Put(Id("a"), [1]);
        Eventually.True(() => Measure(name)["objects"] == 1, "The meter shows what was there before");
    }

    [Fact]
    public void A_closed_store_and_a_closed_meter_measure_nothing()
    {
        PlasmaStore store = Named(out string name);
        using var meter = new StoreMeter(store);
        store.Dispose();
        Assert.Empty(Measure(name));
        PlasmaStore again = Open(name);
        using (var other = new StoreMeter(again))
            Assert.NotEmpty(Measure(name));
        Assert.Empty(Measure(name));
    }

    private static Dictionary<string, long> Measure(string store)
    {
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, listener) =>
            {
                if (instrument.Meter.Name == StoreMeter.Name)
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            foreach ((string key, object? of) in tags)
                if (key == "store" && (string?)of == store)
                    seen[instrument.Name["fastplasma.store.".Length..]] = value;
        });
        listener.Start();
        listener.RecordObservableInstruments();
        return seen;
    }
}
