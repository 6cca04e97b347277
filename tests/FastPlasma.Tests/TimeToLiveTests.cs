using System.Diagnostics;
using FastPlasma.Format;
using FastPlasma.Nodes;

namespace FastPlasma.Tests;

/// <summary>Objects that live for a time.</summary>
public sealed unsafe class TimeToLiveTests : StoreTest
{
    private static ObjectOptions For(int ms) => new() { TimeToLive = Ms(ms) };

    [Fact]
    public void Object_is_gone_after_its_time_for_every_call_and_its_id_is_free()
    {
        PlasmaStore store = Anonymous();
        using PlasmaSubscription events = store.Subscribe();
        long start = Stopwatch.GetTimestamp();
        store.Put(Id("a"), [1, 2, 3], For(1000));
        store.Put(Id("stays"), [4]);
        Assert.True(store.Contains(Id("a")));
        ObjectInfo info = store.List().Single(static o => o.PayloadBytes == 3);
        Assert.InRange(info.ExpiresAt!.Value - DateTimeOffset.UtcNow, TimeSpan.FromMilliseconds(-500), TimeSpan.FromSeconds(1));
        Eventually.True(() => !store.Contains(Id("a")), "the object is gone");
        Eventually.Lasted(start, 1000);
        Assert.False(store.TryGet(Id("a"), out _));
        Assert.Equal(PlasmaStatus.NotFound, store.TryGet(Id("a"), TimeSpan.Zero, out _));
        Assert.Equal(PlasmaStatus.NotFound, store.Delete(Id("a")));
        Assert.DoesNotContain(store.List(), static o => o.PayloadBytes == 3);
        Assert.Equal(0, store.Get([Id("a")], new PlasmaObject[1]));
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("a"), [5], default));
        using PlasmaObject again = store.Get(Id("a"), TimeSpan.Zero);
        Same([5], again.Span);
        Assert.True(store.Contains(Id("stays")));
        Eventually.True(() => store.Stats().Process.Expirations == 1, "the expired object is counted");
        var kinds = new List<PlasmaEventKind>();
        while (events.TryRead(out PlasmaEvent e))
            kinds.Add(e.Kind);
        Assert.Equal([PlasmaEventKind.Sealed, PlasmaEventKind.Sealed, PlasmaEventKind.Expired, PlasmaEventKind.Sealed], kinds);
    }

    [Fact]
    public void Memory_of_expired_objects_comes_back_in_the_background_and_after_the_last_pin()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("read"), new byte[100_000], For(1000));
        store.Put(Id("unread"), new byte[200_000], For(1000));
        PlasmaObject pin = store.Get(Id("read"), TimeSpan.Zero);
        Eventually.True(() => store.Stats() is { SealedCount: 0, CondemnedCount: 1 }, "both are gone, one is still read");
        Assert.Equal(0, pin.Span[99_999]);
        Assert.False(store.TryGet(Id("read"), out _));
        pin.Dispose();
        Assert.Equal(0, store.Stats().UsedBytes);
    }

    [Fact]
    public void Create_that_is_short_of_memory_takes_that_of_expired_objects()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("old"), new byte[12 << 20], For(500));
        store.Put(Id("new"), new byte[12 << 20], new ObjectOptions { Timeout = Eventually.Patience });
        Assert.False(store.Contains(Id("old")));
    }

    [Fact]
    public void Objects_take_the_store_s_time_to_live_unless_they_say_otherwise()
    {
        PlasmaStore store = Anonymous(Small with { DefaultTimeToLive = TimeSpan.FromSeconds(1) });
        store.Put(Id("default"), [1]);
        store.Put(Id("long"), [1], For(3_600_000));
        store.Put(Id("never"), [1], new ObjectOptions { TimeToLive = Timeout.InfiniteTimeSpan });
        Assert.Equal(TimeSpan.FromSeconds(1), store.Stats().DefaultTimeToLive);
        Assert.Equal(1, store.List().Count(static o => o.ExpiresAt is null));
        Eventually.True(() => !store.Contains(Id("default")), "the object with the default is gone");
        Assert.True(store.Contains(Id("long")) && store.Contains(Id("never")));
    }

    [Fact]
    public void A_writer_s_object_lives_from_its_seal_on()
    {
        PlasmaStore store = Anonymous();
        using ObjectWriter writer = store.Create(Id("a"), 10, For(60_000));
        Assert.Null(store.List().Single().ExpiresAt);
        writer.Seal();
        Assert.InRange(store.List().Single().ExpiresAt!.Value - DateTimeOffset.UtcNow, TimeSpan.FromSeconds(50), TimeSpan.FromSeconds(60));
    }

    [Fact]
    public void Time_that_is_no_time_to_live_is_refused_with_the_value()
    {
        PlasmaStore store = Anonymous();
        foreach (TimeSpan life in (TimeSpan[])[TimeSpan.Zero, TimeSpan.FromSeconds(-5), TimeSpan.FromDays(365 * 101)])
        {
            Assert.Contains($"{life}", Assert.Throws<ArgumentException>(() => store.Put(Id("a"), [1], new ObjectOptions { TimeToLive = life })).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => PlasmaStore.CreateAnonymous(Small with { DefaultTimeToLive = life }));
        }
        Assert.Empty(store.List());
        Assert.Contains("half", Assert.Throws<ArgumentException>(() => PlasmaStore.CreateAnonymous(Small with { EvictAheadBytes = 16 << 20 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Readers_and_other_processes_agree_on_what_is_gone()
    {
        PlasmaStore store = Named(out string name);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        using WorkerProcess worker = StartWorker(name, "ro");
        store.Put(Id("a"), [1], For(1000));
        Assert.Equal("True", worker.Call("contains a"));
        Assert.True(reader.TryGet(Id("a"), out PlasmaObject obj));
        obj.Dispose();
        Eventually.True(() => !store.Contains(Id("a")), "the object is gone");
        Assert.False(reader.TryGet(Id("a"), out _)); // One clock for all of them.
        Assert.Equal("False", worker.Call("contains a"));
    }

    [Fact]
    public void Creator_killed_right_after_the_seal_leaves_an_object_that_expires_all_the_same()
    {
        // As after a death between the seal and the word that says when to look: recovery of anybody has the next maintenance look.
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), [1], For(500));
        Volatile.Write(ref store.Memory.Header->NextExpiry, long.MaxValue);
        using WorkerProcess worker = StartWorker(name);
        worker.Kill();
        Eventually.True(() => store.Stats() is { SealedCount: 0, UsedBytes: 0 }, "the object's memory is free");
    }

    [Fact]
    public void Copy_in_another_store_ends_with_the_original()
    {
        PlasmaStore from = Anonymous(), to = Anonymous();
        from.Put(Id("a"), [1, 2], For(1000));
        using (PlasmaObject original = from.Get(Id("a"), TimeSpan.Zero))
        {
            ObjectImage image = from.ImageOf(original, out byte* address);
            Assert.Equal(from.List().Single().ExpiresAt!.Value.UtcTicks, image.ExpiresAtTicks);
            Assert.Equal(PlasmaStatus.Ok, to.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out ObjectWriter writer));
            new ReadOnlySpan<byte>(address, (int)image.ImageBytes).CopyTo(new Span<byte>(writer.ImageAddress, (int)image.ImageBytes));
            writer.Seal();
            Assert.Equal(image.ExpiresAtTicks, to.List().Single().ExpiresAt!.Value.UtcTicks);
            Assert.NotNull((image with { ExpiresAtTicks = -1 }).Validate());
        }
        Eventually.True(() => !from.Contains(Id("a")) && !to.Contains(Id("a")), "both are gone");
    }

    [Fact]
    public void Many_puts_and_expiries_at_once_lose_nothing_that_stays()
    {
        PlasmaStore store = Anonymous();
        var random = new Random(3);
        int kept = 0;
        long end = Environment.TickCount64 + 2500;
        for (int i = 0; Environment.TickCount64 < end; i++)
        {
            bool stays = random.Next(50) == 0;
            if (store.TryPut(Id($"{i}"), Pattern.Of(i, 1000), stays ? new ObjectOptions { Name = "stays" } : For(1 + random.Next(400))) != PlasmaStatus.Ok)
                Thread.Sleep(1); // All records are taken for the moment.
            else if (stays)
                kept++;
            if (kept == 500)
                break;
        }
        Eventually.True(() => store.Stats().SealedCount == kept, "what expires has expired");
        Assert.All(store.List(), static o => Assert.Equal("stays", o.Name));
    }
}
