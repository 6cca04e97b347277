using System.Diagnostics;
using FastPlasma.Format;
using FastPlasma.Nodes;

namespace FastPlasma.Tests.Nodes;

/// <summary>Copies of objects that were made in another store.</summary>
public sealed unsafe class ReplicaTests : StoreTest
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(100_003)]
    public void Replica_is_the_original_in_everything_that_a_reader_sees(int length)
    {
        PlasmaStore from = Anonymous(), to = Anonymous();
        from.Put(Id("a"), Pattern.Of(length, length), new ObjectOptions { Name = "näme", ContentType = "text/plain", Metadata = [1, 2, 3], Checksum = true, Retention = Retention.Evictable });
        using PlasmaSubscription events = to.Subscribe();
        using PlasmaObject original = from.Get(Id("a"), TimeSpan.Zero);
        ObjectImage image = from.ImageOf(original, out _);
        Assert.Null(image.Validate());
        Assert.Equal(PlasmaStatus.Ok, Replicate(from, original, to, out PlasmaObject replica));
        using (replica)
        {
            Same(Pattern.Of(length, length), replica.Span);
            Same([1, 2, 3], replica.Metadata);
            Assert.Equal(("näme", "text/plain", original.Incarnation, original.Checksum), (replica.Name, replica.ContentType, replica.Incarnation, replica.Checksum));
            Assert.True(replica.VerifyChecksum());
            Assert.Equal(image with { IsReplica = true }, to.ImageOf(replica, out _)); // As good a source as the original.
        }
        Assert.True(events.TryRead(out PlasmaEvent e, out ulong incarnation));
        Assert.Equal((PlasmaEventKind.Sealed, Id("a"), 3, image.Incarnation), (e.Kind, e.Id, e.MetadataBytes, incarnation));
        Assert.False(from.List().Single().IsReplica);
        ObjectInfo info = to.List().Single();
        Assert.True(info.IsReplica);
        Assert.Equal((Retention.Evictable, image.Incarnation, image.CreatedAtTicks, 3), (info.Retention, info.Incarnation, info.CreatedAt.UtcTicks, info.MetadataBytes));
        Assert.Equal(PlasmaStatus.Exists, Replicate(from, original, to, out _));
        Assert.Equal(PlasmaStatus.Ok, to.Delete(Id("a")));
        Assert.True(events.TryRead(out e, out incarnation));
        Assert.Equal((PlasmaEventKind.Deleted, image.Incarnation), (e.Kind, incarnation));
    }

    [Fact]
    public void Plain_object_without_anything_but_a_payload_becomes_a_replica_too()
    {
        PlasmaStore from = Anonymous(), to = Anonymous();
        from.Put(Id("a"), []);
        from.Put(Id("b"), Pattern.Of(5, 70_000));
        foreach (string name in (string[])["a", "b"])
        {
            using PlasmaObject original = from.Get(Id(name), TimeSpan.Zero);
            Assert.Equal(PlasmaStatus.Ok, Replicate(from, original, to, out PlasmaObject replica));
            using (replica)
                Same(original.Span, replica.Span);
            Assert.Null(replica.IsValid ? replica.Checksum : null);
        }
    }

    [Fact]
    public void Seal_of_a_replica_keeps_the_checksum_that_came_with_it()
    {
        PlasmaStore store = Anonymous();
        var image = new ObjectImage { Id = Id("a"), PayloadBytes = 3, Incarnation = 7, HasChecksum = true, Checksum = 0x1234 };
        Assert.Equal(PlasmaStatus.Ok, store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out ObjectWriter writer));
        Assert.Equal(3, writer.ImageBytes);
        new Span<byte>(writer.ImageAddress, 3).Fill(1);
        writer.Seal();
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        Assert.Equal(0x1234UL, obj.Checksum);
        Assert.False(obj.VerifyChecksum());
        VerifyAtEnd = false;
    }

    [Fact]
    public void Impossible_image_is_refused_before_anything_is_taken()
    {
        PlasmaStore store = Anonymous();
        var image = new ObjectImage { Id = Id("a"), PayloadBytes = 1, Incarnation = 1 };
        foreach (ObjectImage bad in (ObjectImage[])
            [
                image with { PayloadBytes = -1 }, image with { PayloadBytes = long.MaxValue }, image with { NameBytes = -1 }, image with { NameBytes = PlasmaStore.NameBytesMax + 1 }, image with { ContentTypeBytes = 256 },
                image with { ContentTypeBytes = -1 }, image with { UserBytes = PlasmaStore.MetadataBytesMax + 1 }, image with { UserBytes = int.MinValue }, image with { CreatedAtTicks = -1 },
                image with { CreatedAtTicks = long.MaxValue },
            ])
        {
            Assert.NotNull(bad.Validate());
            Assert.Throws<ArgumentException>(() => store.TryCreateReplica(bad, TimeSpan.Zero, CancellationToken.None, out _));
        }
        Assert.Equal(PlasmaStatus.TooLarge, store.TryCreateReplica(image with { PayloadBytes = 1L << 50 }, TimeSpan.Zero, CancellationToken.None, out _));
        Assert.Equal(PlasmaStatus.TooLarge, store.TryCreateReplica(image with { PayloadBytes = store.CapacityBytes, UserBytes = 1 }, TimeSpan.Zero, CancellationToken.None, out _));
        Assert.Empty(store.List());
    }

    [Fact]
    public void Replica_that_is_given_up_leaves_nothing()
    {
        PlasmaStore store = Anonymous();
        var image = new ObjectImage { Id = Id("a"), PayloadBytes = 1 << 20, NameBytes = 10, Incarnation = 1 };
        Assert.Equal(PlasmaStatus.Ok, store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out ObjectWriter writer));
        Assert.Equal(PlasmaStatus.Exists, store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out _));
        writer.Dispose();
        Assert.Equal(PlasmaStatus.Closed, store.SealAndPin(writer, out PlasmaObject pinned));
        Assert.False(pinned.IsValid);
        Assert.Empty(store.List());
        Assert.Equal(0, store.Stats().UsedBytes);
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("a"), new byte[store.CapacityBytes]));
    }

    [Fact]
    public void Wait_for_room_for_a_replica_ends_with_a_cancellation_with_room_or_with_its_deadline()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("all"), new byte[store.CapacityBytes]);
        var image = new ObjectImage { Id = Id("a"), PayloadBytes = 1 << 20, Incarnation = 1 };
        Assert.Equal(PlasmaStatus.StoreFull, store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out _));
        Assert.Equal(PlasmaStatus.StoreFull, store.TryCreateReplica(image, Ms(50), CancellationToken.None, out _));
        using var cancellation = new CancellationTokenSource();
        Eventually.Run run = Eventually.Start(() => Assert.ThrowsAny<OperationCanceledException>(() => store.TryCreateReplica(image, Timeout.InfiniteTimeSpan, cancellation.Token, out _)));
        Eventually.True(() => (Volatile.Read(ref *store.Memory.Wait(WaitWord.SpaceIndex)) & WaitWord.WaitersFlag) != 0, "the create waits");
        cancellation.Cancel();
        run.Join();
        run = Eventually.Start(() =>
        {
            Assert.Equal(PlasmaStatus.Ok, store.TryCreateReplica(image, Eventually.Patience, CancellationToken.None, out ObjectWriter writer));
            writer.Dispose();
        });
        store.Delete(Id("all"));
        run.Join();
    }

    [Fact]
    public void Only_the_named_incarnation_is_deleted()
    {
        PlasmaStore store = Anonymous();
        Assert.Equal(PlasmaStatus.NotFound, store.DeleteIncarnation(Id("a"), 1));
        store.Put(Id("a"), [1]);
        ulong first = store.List().Single().Incarnation;
        Assert.Equal(PlasmaStatus.NotFound, store.DeleteIncarnation(Id("a"), first + 1));
        Assert.Equal(PlasmaStatus.Ok, store.DeleteIncarnation(Id("a"), first));
        using (ObjectWriter writer = store.Create(Id("a"), 1))
            Assert.Equal(PlasmaStatus.NotSealed, store.DeleteIncarnation(Id("a"), first));
        store.Put(Id("a"), [2]);
        Assert.Equal(PlasmaStatus.NotFound, store.DeleteIncarnation(Id("a"), first));
        Assert.True(store.Contains(Id("a")));
    }

    [Fact]
    public void Delete_of_an_old_incarnation_never_hits_the_one_that_replaces_it_at_that_moment()
    {
        PlasmaStore store = Anonymous();
        ulong wanted = 0;
        bool over = false;
        Eventually.Run deleter = Eventually.Start(() =>
        {
            while (!Volatile.Read(ref over)) // Ends with the test.
                store.DeleteIncarnation(Id("a"), Volatile.Read(ref wanted));
        });
        for (int i = 0; i < 20_000; i++)
        {
            store.Put(Id("a"), BitConverter.GetBytes(i));
            ulong own;
            using (PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero)) // Nobody has been told its incarnation yet.
                own = obj.Incarnation;
            Assert.True(store.Contains(Id("a")));
            Volatile.Write(ref wanted, own);
            store.Delete(Id("a")); // Against the other thread: one of the two gets it.
        }
        Volatile.Write(ref over, true);
        deleter.Join();
    }

    [Fact]
    public void Object_that_is_sealed_and_pinned_is_never_evicted_before_its_release()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 4 << 20 });
        bool over = false;
        Eventually.Run evictor = Eventually.Start(() =>
        {
            while (!Volatile.Read(ref over)) // Ends with the test.
            {
                store.Evict(4 << 20);
                store.Delete(Id("a"));
                store.TryPut(Id("noise"), new byte[3000], new ObjectOptions { Retention = Retention.Evictable }); // Takes the memory again that was freed too early.
            }
        });
        byte[] payload = Pattern.Of(3, 3000);
        long start = Stopwatch.GetTimestamp();
        int rounds = 0;
        for (; rounds < 20_000 && Stopwatch.GetElapsedTime(start) < Eventually.Patience / 4; rounds++)
        {
            var image = new ObjectImage { Id = Id("a"), PayloadBytes = payload.Length, Incarnation = (ulong)rounds, IsEvictable = true };
            PlasmaStatus created = store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out ObjectWriter writer);
            if (created != PlasmaStatus.Ok)
                continue;
            payload.CopyTo(writer.Span);
            Assert.Equal(PlasmaStatus.Ok, store.SealAndPin(writer, out PlasmaObject pinned));
            Assert.Equal((ulong)rounds, pinned.Incarnation);
            Same(payload, pinned.Span);
            pinned.Dispose();
            store.Delete(Id("a"));
        }
        Volatile.Write(ref over, true);
        evictor.Join();
        Assert.InRange(rounds, 100, int.MaxValue);
    }

    /// <summary>What a transfer does, with memory instead of a network.</summary>
    internal static PlasmaStatus Replicate(PlasmaStore from, in PlasmaObject original, PlasmaStore to, out PlasmaObject replica)
    {
        replica = default;
        ObjectImage image = from.ImageOf(original, out byte* address);
        PlasmaStatus status = to.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out ObjectWriter writer);
        if (status != PlasmaStatus.Ok)
            return status;
        Assert.Equal(image.ImageBytes, writer.ImageBytes);
        Buffer.MemoryCopy(address, writer.ImageAddress, writer.ImageBytes, image.ImageBytes);
        return to.SealAndPin(writer, out replica);
    }
}
