using System.Runtime.CompilerServices;

namespace FastPlasma.Tests;

/// <summary>Promises about creating, sealing, reading and giving up objects.</summary>
public sealed unsafe class ObjectTests : StoreTest
{
    [Fact, Trait("Anchor", "1")]
    public void Second_create_of_an_id_fails_with_Exists_whether_the_first_is_sealed_or_not()
    {
        PlasmaStore store = Anonymous();
        ObjectId id = ObjectId.NewRandom();
        using ObjectWriter first = store.Create(id, 100);
        ExpectExists();
        first.Seal();
        ExpectExists();

        void ExpectExists()
        {
            Assert.Equal(PlasmaStatus.Exists, store.TryCreate(id, 100, out ObjectWriter second));
            Assert.False(second.IsOpen);
            Assert.Equal(PlasmaStatus.Exists, store.TryPut(id, [1, 2, 3]));
            var e = Assert.Throws<PlasmaException>(() => store.Put(id, [1]));
            Assert.Equal(PlasmaStatus.Exists, e.Status);
            Assert.Contains(id.ToString(), e.Message, StringComparison.Ordinal);
        }
    }

    [Fact, Trait("Anchor", "1")]
    public void After_abort_or_delete_the_id_is_free_again()
    {
        PlasmaStore store = Anonymous();
        ObjectId id = ObjectId.NewRandom();
        store.Create(id, 10).Dispose();
        using (ObjectWriter writer = store.Create(id, 20))
            Assert.Equal(PlasmaStatus.Ok, store.Abort(id));
        store.Put(id, [1, 2, 3]);
        Assert.Equal(PlasmaStatus.Ok, store.Delete(id));
        store.Put(id, [4, 5]);
        using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
        Same([4, 5], obj.Span);
    }

    [Fact, Trait("Anchor", "2")]
    public void Sealing_twice_and_sealing_nothing_are_answers_and_change_nothing()
    {
        PlasmaStore store = Anonymous();
        ObjectId id = ObjectId.NewRandom();
        ObjectWriter writer = store.Create(id, 3);
        Pattern.Fill(writer.Span, 1);
        Assert.Equal(PlasmaStatus.Ok, writer.TrySeal());
        Assert.Equal(PlasmaStatus.Closed, writer.TrySeal());
        Assert.Throws<InvalidOperationException>(writer.Seal);
        Assert.Equal(PlasmaStatus.Closed, default(ObjectWriter).TrySeal());
        writer.Dispose(); // Of a sealed object: does nothing.
        using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
        Same(Pattern.Of(1, 3), obj.Span);

        ObjectWriter given = store.Create(ObjectId.NewRandom(), 3);
        given.Dispose();
        given.Dispose();
        Assert.Equal(PlasmaStatus.Closed, given.TrySeal());
        Assert.False(given.IsOpen);
        Assert.Throws<InvalidOperationException>(() => given.Span.Length);
        Assert.Throws<InvalidOperationException>(() => given.GetSpan(0, 1).Length);
        Assert.Throws<InvalidOperationException>(() => (nint)given.Pointer);
        Assert.Throws<InvalidOperationException>(() => given.CopyFrom([1]));
        Assert.Throws<InvalidOperationException>(given.OpenStream);
        Assert.Equal(1, store.Stats().Process.Aborts);
    }

    [Fact, Trait("Anchor", "2")]
    public void Abort_of_an_unknown_sealed_or_foreign_object_says_so_and_changes_nothing()
    {
        PlasmaStore store = Named(out string name);
        PlasmaStore other = Open(name);
        ObjectId id = ObjectId.NewRandom();
        Assert.Equal(PlasmaStatus.NotFound, store.Abort(id));
        using ObjectWriter writer = other.Create(id, 10);
        Assert.Equal(PlasmaStatus.NotOwner, store.Abort(id));
        Assert.True(writer.IsOpen);
        Pattern.Fill(writer.Span, 7);
        writer.Seal();
        Assert.Equal(PlasmaStatus.AlreadySealed, store.Abort(id));
        Assert.Equal(PlasmaStatus.AlreadySealed, other.Abort(id));
        using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
        Same(Pattern.Of(7, 10), obj.Span);
    }

    [Fact, Trait("Anchor", "2")]
    public void Second_release_does_nothing_also_when_its_slot_has_a_new_owner()
    {
        PlasmaStore store = Anonymous();
        ObjectId a = ObjectId.NewRandom(), b = ObjectId.NewRandom();
        store.Put(a, [1]);
        store.Put(b, [2]);
        PlasmaObject first = store.Get(a, TimeSpan.Zero), copy = first;
        first.Dispose();
        Assert.False(copy.IsValid);
        using PlasmaObject second = store.Get(b, TimeSpan.Zero); // Takes the slot that was just freed.
        copy.Dispose();
        first.Dispose();
        Eventually.Ends(copy.Dispose);
        Assert.True(second.IsValid);
        Assert.Equal(1, store.Stats().Participants.Single().Pins);
        store.Delete(b);
        Same([2], second.Span);
        Assert.Throws<ObjectDisposedException>(() => first.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => first.Length);
        Assert.Throws<ObjectDisposedException>(() => first.Metadata.Length);
        Assert.Throws<ObjectDisposedException>(() => first.Id);
        Assert.Throws<ObjectDisposedException>(() => default(PlasmaObject).Length);
        default(PlasmaObject).Dispose();
        default(ObjectWriter).Dispose();
    }

    [Fact, Trait("Anchor", "3")]
    public void Payloads_and_metadata_of_0_to_999_bytes_read_back_exactly()
    {
        PlasmaStore store = Anonymous();
        for (int n = 0; n < 1000; n++)
        {
            byte[] payload = Pattern.Of(n, n), metadata = Pattern.Of(-n, 999 - n);
            ObjectId put = Id($"put{n}"), made = Id($"made{n}");
            store.Put(put, payload, new ObjectOptions { Metadata = metadata });
            using (ObjectWriter writer = store.Create(made, n, new ObjectOptions { Metadata = metadata }))
            {
                payload.CopyTo(writer.Span);
                writer.Seal();
            }
            foreach (ObjectId id in (ObjectId[])[put, made])
            {
                using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
                Assert.Equal(n, obj.Length);
                Assert.True(obj.Span.SequenceEqual(payload) && obj.Metadata.SequenceEqual(metadata), $"payload {n}, metadata {999 - n}");
                Assert.Equal(0, (long)obj.Pointer % 64);
                Assert.Equal(id, obj.Id);
                store.Delete(id);
            }
        }
        store.Put(Id("nothing"), []);
        using PlasmaObject nothing = store.Get(Id("nothing"), TimeSpan.Zero);
        Assert.True(nothing.Span.IsEmpty && nothing.Metadata.IsEmpty && nothing.AsMemory().IsEmpty && nothing.AsSequence().IsEmpty);
        Assert.Equal(0, nothing.OpenStream().Length);
        store.Put(Id("metadata only"), [], new ObjectOptions { Metadata = [9] });
        using PlasmaObject metadataOnly = store.Get(Id("metadata only"), TimeSpan.Zero);
        Assert.True(metadataOnly.Span.IsEmpty);
        Same([9], metadataOnly.Metadata);
    }

    [Theory, Trait("Anchor", "4")]
    [InlineData(true)]
    [InlineData(false)]
    public void Metadata_and_payload_are_read_apart_and_either_keeps_the_object(bool usePayload)
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 4 << 20 });
        byte[] payload = Pattern.Of(1, 5000), metadata = Pattern.Of(2, 3000);
        ObjectId id = ObjectId.NewRandom();
        store.Put(id, payload, new ObjectOptions { Metadata = metadata });
        using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
        ReadOnlySpan<byte> part = usePayload ? obj.Span : obj.Metadata;
        store.Delete(id);
        for (int i = 0; store.TryPut(Id($"{i}"), Pattern.Of(3, 8000)) == PlasmaStatus.Ok; i++)
            Assert.True(i < 10_000);
        Assert.True(part.SequenceEqual(usePayload ? payload : metadata));
    }

    [Fact, Trait("Anchor", "5")]
    public void One_id_lives_through_create_abort_create_seal_delete_hundreds_of_times()
    {
        PlasmaStore store = Anonymous();
        ObjectId id = ObjectId.NewRandom();
        var incarnations = new HashSet<ulong>();
        for (int round = 0; round < 500; round++)
        {
            int length = round * 37 % 100_000;
            store.Create(id, length).Dispose();
            using (ObjectWriter writer = store.Create(id, length))
            {
                Pattern.Fill(writer.Span, round);
                writer.Seal();
            }
            using (PlasmaObject obj = store.Get(id, TimeSpan.Zero))
            {
                Assert.True(obj.Span.SequenceEqual(Pattern.Of(round, length)));
                Assert.True(incarnations.Add(obj.Incarnation), "an incarnation came twice");
            }
            Assert.Equal(PlasmaStatus.Ok, store.Delete(id));
            Assert.False(store.Contains(id));
        }
        Assert.Equal(0, store.Stats().UsedBytes);
    }

    [Fact, Trait("Anchor", "6")]
    public void Of_many_threads_that_create_one_id_exactly_one_wins()
    {
        PlasmaStore store = Anonymous();
        const int threads = 4, rounds = 300;
        int[] wins = new int[rounds], others = new int[rounds];
        using var barrier = new Barrier(threads);
        Eventually.Run[] runs = [.. Enumerable.Range(0, threads).Select(t => Eventually.Start(() =>
        {
            for (int round = 0; round < rounds; round++)
            {
                barrier.SignalAndWait(Eventually.Patience);
                PlasmaStatus status = store.TryPut(Id($"{round}"), Pattern.Of(t, 100));
                Interlocked.Increment(ref status == PlasmaStatus.Ok ? ref wins[round] : ref others[round]);
                Assert.True(status is PlasmaStatus.Ok or PlasmaStatus.Exists, $"{status}");
            }
        }))];
        foreach (Eventually.Run run in runs)
            run.Join();
        Assert.All(wins, w => Assert.Equal(1, w));
        Assert.Equal(rounds, store.Stats().SealedCount);
    }

    [Fact, Trait("Anchor", "7")]
    public void Buffer_stays_valid_after_the_store_object_that_gave_it_is_garbage()
    {
        string name = NewName();
        PlasmaObject obj = Get(name);
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.True(obj.Span.SequenceEqual(Pattern.Of(1, 100_000)));
        obj.Dispose();
        Assert.Throws<ObjectDisposedException>(() => obj.Span.Length);
        Forget(obj);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static PlasmaObject Get(string name)
        {
#pragma warning disable CA2000 // Forgotten on purpose.
            PlasmaStore store = PlasmaStore.Create(name, Small);
#pragma warning restore CA2000
            store.Put(Id("a"), Pattern.Of(1, 100_000));
            return store.Get(Id("a"), TimeSpan.Zero);
        }

        static void Forget(in PlasmaObject obj) => GC.KeepAlive(obj.IsValid);
    }

    [Fact, Trait("Anchor", "8")]
    public void Checksums_of_the_same_bytes_agree_and_of_other_payload_or_metadata_differ()
    {
        PlasmaStore store = Anonymous();
        byte[] payload = Pattern.Of(1, 70_000), metadata = Pattern.Of(2, 100), otherPayload = [.. payload], otherMetadata = [.. metadata];
        otherPayload[69_999] ^= 1;
        otherMetadata[0] ^= 1;
        ulong a = Put("a", payload, metadata), again = Put("again", payload, metadata), p = Put("p", otherPayload, metadata), m = Put("m", payload, otherMetadata);
        using (ObjectWriter writer = store.Create(Id("made"), payload.Length, new ObjectOptions { Metadata = metadata, Checksum = true }))
        {
            payload.CopyTo(writer.Span);
            writer.Seal();
        }
        using PlasmaObject made = store.Get(Id("made"), TimeSpan.Zero);
        Assert.Equal(a, again);
        Assert.Equal(a, made.Checksum);
        Assert.NotEqual(a, p);
        Assert.NotEqual(a, m);
        Assert.NotEqual(p, m);
        store.Put(Id("none"), payload);
        using PlasmaObject none = store.Get(Id("none"), TimeSpan.Zero);
        Assert.Null(none.Checksum);
        Assert.True(none.VerifyChecksum());
        VerifyReport report = store.Verify();
        Assert.Equal((6, 5), (report.Objects, report.ChecksumsVerified));

        ulong Put(string name, byte[] payload, byte[] metadata)
        {
            store.Put(Id(name), payload, new ObjectOptions { Metadata = metadata, Checksum = true });
            using PlasmaObject obj = store.Get(Id(name), TimeSpan.Zero);
            Assert.True(obj.VerifyChecksum());
            return obj.Checksum!.Value;
        }
    }

    [Fact]
    public void Changed_byte_of_a_sealed_object_is_found_by_its_checksum()
    {
        VerifyAtEnd = false;
        PlasmaStore store = Anonymous();
        byte* raw;
        using (ObjectWriter writer = store.Create(Id("a"), 5000, new ObjectOptions { Checksum = true }))
        {
            writer.Span.Clear();
            raw = writer.Pointer; // The documented exception: a raw pointer that the creator kept.
            writer.Seal();
        }
        Assert.Empty(store.Verify().Problems);
        raw[4999] = 1;
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        Assert.False(obj.VerifyChecksum());
        Assert.Contains(obj.Id.ToString(), Assert.Single(store.Verify().Problems), StringComparison.Ordinal);
    }

    [Fact, Trait("Anchor", "15")]
    public void List_shows_ids_sizes_states_holders_and_times()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        DateTimeOffset before = DateTimeOffset.UtcNow.AddSeconds(-2);
        store.Put(Id("sealed"), Pattern.Of(1, 1000), new ObjectOptions { Name = "näme", ContentType = "text/plain", Metadata = [1, 2], Retention = Retention.Evictable });
        using ObjectWriter writer = store.Create(Id("creating"), 2000);
        worker.Call("hold h1 sealed 0");
        worker.Call("hold h2 sealed 0");
        using PlasmaObject own = store.Get(Id("sealed"), TimeSpan.Zero);
        store.Put(Id("condemned"), Pattern.Of(2, 3000));
        worker.Call("hold h3 condemned 0");
        store.Delete(Id("condemned"));

        Dictionary<ObjectId, ObjectInfo> list = store.List().ToDictionary(static o => o.Id);
        Assert.Equal(3, list.Count);
        ObjectInfo sealedInfo = list[Id("sealed")], creating = list[Id("creating")], condemned = list[Id("condemned")];
        Assert.Equal((ObjectState.Sealed, "näme", "text/plain", 1000L, 2, Retention.Evictable), (sealedInfo.State, sealedInfo.Name, sealedInfo.ContentType, sealedInfo.PayloadBytes, sealedInfo.MetadataBytes, sealedInfo.Retention));
        Assert.InRange(sealedInfo.BlockBytes, 1000, 1300);
        Assert.InRange(sealedInfo.CreatedAt, before, DateTimeOffset.UtcNow);
        Assert.InRange(sealedInfo.SealedAt!.Value, before, DateTimeOffset.UtcNow);
        Assert.Equal(own.Incarnation, sealedInfo.Incarnation);
        Assert.Equal([(worker.Id, 2), (Environment.ProcessId, 1)], sealedInfo.Holders.OrderByDescending(static h => h.Pins).Select(static h => (h.ProcessId, h.Pins)));
        Assert.All(sealedInfo.Holders, h => Assert.InRange(h.Since, before, DateTimeOffset.UtcNow));
        Assert.All(sealedInfo.Holders, h => Assert.NotEmpty(h.ProcessName));
        Assert.Equal((ObjectState.Creating, Environment.ProcessId, null, Retention.Keep), (creating.State, creating.CreatorProcessId, creating.SealedAt, creating.Retention));
        Assert.Empty(creating.Holders);
        Assert.Equal((ObjectState.Condemned, worker.Id), (condemned.State, condemned.Holders.Single().ProcessId));

        StoreStats stats = store.Stats();
        Assert.Equal((1, 1, 1), (stats.SealedCount, stats.CreatingCount, stats.CondemnedCount));
        Assert.Equal(2, stats.Participants.Count);
        ParticipantInfo other = stats.Participants.Single(p => p.ProcessId == worker.Id);
        Assert.Equal((3, 0, true, StoreAccess.ReadWrite), (other.Pins, other.Creating, other.Alive, other.Access));
        Assert.Equal(list.Values.Sum(static o => o.BlockBytes), stats.UsedBytes);
        Assert.Equal(1000 + 2000 + 3000, stats.ObjectBytes - "nämetext/plain".Length - 1 - 2, 64d);
        worker.Call("release h3");
        Assert.Equal(0, store.Stats().CondemnedCount);
    }

    [Fact]
    public void Name_metadata_and_content_type_read_back_at_their_limits()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 64 << 20 });
        string name = new('é', PlasmaStore.NameBytesMax / 2), type = new('t', PlasmaStore.ContentTypeBytesMax);
        byte[] metadata = Pattern.Of(3, PlasmaStore.MetadataBytesMax);
        store.Put(Id("a"), [1, 2, 3], new ObjectOptions { Name = name, ContentType = type, Metadata = metadata });
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        Assert.Equal((name, type), (obj.Name, obj.ContentType));
        Assert.Equal(PlasmaStore.NameBytesMax, obj.NameUtf8.Length);
        Assert.True(obj.Metadata.SequenceEqual(metadata));
        Same([1, 2, 3], obj.Span);
    }

    [Fact]
    public void Object_options_outside_their_limits_are_refused_before_any_change()
    {
        PlasmaStore store = Anonymous();
        Assert.Contains("4098", Assert.Throws<ArgumentException>(() => store.Put(Id("a"), [1], new ObjectOptions { Name = new string('é', 2049) })).Message, StringComparison.Ordinal);
        Assert.Contains("256", Assert.Throws<ArgumentException>(() => store.Put(Id("a"), [1], new ObjectOptions { ContentType = new string('t', 256) })).Message, StringComparison.Ordinal);
        Assert.Contains("16777217", Assert.Throws<ArgumentException>(() => store.Put(Id("a"), [1], new ObjectOptions { Metadata = new byte[PlasmaStore.MetadataBytesMax + 1] })).Message, StringComparison.Ordinal);
        foreach (int alignment in (int[])[1, 63, 128, 8192, -64])
            Assert.Contains($"{alignment}", Assert.Throws<ArgumentException>(() => store.Put(Id("a"), [1], new ObjectOptions { AlignmentBytes = alignment })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Create(Id("a"), -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Evict(-1));
        Assert.Equal((0, 0L), (store.List().Count, store.Stats().UsedBytes));
    }

    [Theory]
    [InlineData(0, 10, 64)]
    [InlineData(64, 10, 64)]
    [InlineData(0, 32768, 4096)]
    [InlineData(0, 300_000, 4096)]
    [InlineData(4096, 10, 4096)]
    [InlineData(4096, 5000, 4096)]
    [InlineData(2097152, 10, 2097152)]
    [InlineData(2097152, 3_000_000, 2097152)]
    public void Payload_has_the_alignment_asked_for_in_both_mappings(int asked, int length, int expected)
    {
        PlasmaStore store = Anonymous();
        for (int i = 0; i < 3; i++)
        {
            using ObjectWriter writer = store.Create(Id($"{i}"), length, new ObjectOptions { AlignmentBytes = asked });
            Assert.Equal(0, (long)writer.Pointer % expected);
            writer.Seal();
            using PlasmaObject obj = store.Get(Id($"{i}"), TimeSpan.Zero);
            Assert.Equal(0, (long)obj.Pointer % expected);
        }
    }

    [Fact]
    public void Spans_streams_and_copies_stay_inside_the_payload()
    {
        PlasmaStore store = Anonymous();
        byte[] payload = Pattern.Of(1, 1000);
        using ObjectWriter writer = store.Create(Id("a"), 1000);
        using (Stream stream = writer.OpenStream())
        {
            Assert.Equal((true, false, true, 1000L), (stream.CanWrite, stream.CanRead, stream.CanSeek, stream.Length));
            stream.Write(payload, 0, 600);
            stream.Write(payload.AsSpan(600, 400));
            Assert.Throws<IOException>(() => stream.WriteByte(1));
            stream.Position = 1001;
            Assert.Throws<IOException>(() => stream.WriteByte(1));
            Assert.Throws<NotSupportedException>(() => stream.ReadByte());
            Assert.Throws<NotSupportedException>(() => stream.SetLength(5));
        }
        foreach ((long offset, int length) in ((long, int)[])[(-1, 1), (0, -1), (0, 1001), (1000, 1), (1001, 0), (long.MaxValue, 1), (long.MinValue, 1), (1, int.MaxValue)])
            Assert.Throws<ArgumentOutOfRangeException>(() => writer.GetSpan(offset, length).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.CopyFrom(new byte[2], 999));
        writer.Seal();

        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        foreach ((long offset, int length) in ((long, int)[])[(-1, 1), (0, -1), (0, 1001), (1000, 1), (1001, 0), (long.MaxValue, 1), (long.MinValue, 1), (1, int.MaxValue)])
            Assert.Throws<ArgumentOutOfRangeException>(() => obj.GetSpan(offset, length).Length);
        Assert.Throws<ArgumentException>(() => obj.CopyTo(new byte[999]));
        Assert.Throws<ArgumentOutOfRangeException>(() => obj.CopyTo(500, new byte[501]));
        Assert.Equal(payload, obj.AsMemory());
        Assert.True(obj.GetSpan(1000, 0).IsEmpty);
        using Stream read = obj.OpenStream();
        using var copy = new MemoryStream();
        read.CopyTo(copy);
        Assert.Equal(payload, copy.ToArray());
        Assert.Equal(-1, read.ReadByte());
        Assert.Equal(990, read.Seek(-10, SeekOrigin.End));
        byte[] tail = new byte[20];
        Assert.Equal(10, read.Read(tail, 0, 20));
        Assert.Equal(payload[990..], tail[..10]);
        Assert.Throws<NotSupportedException>(() => read.WriteByte(1));
        ReadOnlyMemory<byte> memory = obj.AsMemory();
        obj.Dispose();
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
        read.Position = 0;
        Assert.Throws<ObjectDisposedException>(() => read.ReadByte());
    }

    [Fact]
    public void Copied_bytes_are_counted_exactly_by_operation()
    {
        PlasmaStore store = Anonymous();
        byte[] payload = Pattern.Of(1, 1000);
        store.Put(Id("put"), payload);
        Expect(new OperationCounts { Puts = 1, PutBytes = 1000, PutCopiedBytes = 1000 });
        store.Put(Id("put with checksum"), payload, new ObjectOptions { Checksum = true, Metadata = [1, 2] });
        Expect(new OperationCounts { Puts = 2, PutBytes = 2000, PutCopiedBytes = 2000 });
        Assert.Equal(PlasmaStatus.Exists, store.TryPut(Id("put"), payload));
        Expect(new OperationCounts { Puts = 2, PutBytes = 2000, PutCopiedBytes = 2000 });

        using (ObjectWriter writer = store.Create(Id("made"), 1000))
        {
            Pattern.Fill(writer.Span, 1);
            writer.Seal();
        }
        Expect(new OperationCounts { Puts = 2, PutBytes = 2000, PutCopiedBytes = 2000, Creates = 1, CreateBytes = 1000 });
        using (ObjectWriter writer = store.Create(Id("copied"), 1000))
        {
            writer.CopyFrom(payload.AsSpan(0, 400));
            using Stream stream = writer.OpenStream();
            stream.Write(payload, 0, 7);
            writer.Seal();
        }
        store.Create(Id("aborted"), 50).Dispose();
        OperationCounts made = new() { Puts = 2, PutBytes = 2000, PutCopiedBytes = 2000, Creates = 3, CreateBytes = 2050, CreateCopiedBytes = 407, Aborts = 1 };
        Expect(made);

        using (PlasmaObject obj = store.Get(Id("put"), TimeSpan.Zero))
        {
            Expect(made = made with { Gets = 1, GetBytes = 1000 });
            _ = obj.Span[5];
            _ = obj.AsMemory().Span[6];
            Expect(made);
            obj.CopyTo(new byte[1000]);
            Expect(made = made with { GetCopiedBytes = 1000 });
            obj.CopyTo(10, new byte[5]);
            Expect(made = made with { GetCopiedBytes = 1005 });
            using Stream stream = obj.OpenStream();
            Assert.Equal(100, stream.Read(new byte[100]));
            Expect(made = made with { GetCopiedBytes = 1105 });
        }
        Assert.False(store.TryGet(Id("missing"), out _));
        Assert.Equal(PlasmaStatus.NotFound, store.TryGet(Id("missing"), TimeSpan.Zero, out _));
        Expect(made = made with { GetMisses = 2 });
        store.Delete(Id("put"));
        Expect(made with { Deletes = 1 });
        Assert.Equal(store.Stats().Process, store.Stats().Store);

        void Expect(OperationCounts expected) => Assert.Equal(expected, store.Stats().Process);
    }

    [Fact]
    public void CreateAndSeal_says_for_each_object_what_became_of_it()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("taken"), [0]);
        ObjectId[] ids = [Id("a"), Id("taken"), Id("b"), Id("huge")];
        ReadOnlyMemory<byte>[] payloads = [new byte[] { 1 }, new byte[] { 2 }, new byte[] { 3 }, new byte[17 << 20]];
        var statuses = new PlasmaStatus[4];
        Assert.Equal(2, store.CreateAndSeal(ids, payloads, statuses));
        Assert.Equal([PlasmaStatus.Ok, PlasmaStatus.Exists, PlasmaStatus.Ok, PlasmaStatus.TooLarge], statuses);
        Assert.Throws<ArgumentException>(() => store.CreateAndSeal(ids, payloads.AsSpan(0, 3), statuses));
        Assert.Throws<ArgumentException>(() => store.CreateAndSeal(ids, payloads, statuses.AsSpan(0, 3)));
    }

    [Fact]
    public void Abort_that_races_with_a_seal_never_touches_the_object_that_is_made_next()
    {
        // Between the abort's look at the id and its grip on the slot the same thread seals, and announces another object in the same slot.
        PlasmaStore store = Anonymous();
        ObjectId aborted = Id("aborted"), next = Id("next");
        bool stop = false;
        long aborts = 0;
        var aborter = new Thread(() =>
        {
            while (!Volatile.Read(ref stop)) // Ends with the loop below.
                if (store.Abort(aborted) == PlasmaStatus.Ok)
                    Volatile.Write(ref aborts, aborts + 1);
        });
        aborter.Start();
        try
        {
            // Long enough for both to win; the aborter needs a processor at the right moment.
            var watch = System.Diagnostics.Stopwatch.StartNew();
            for (int i = 0; i < 300_000 || (Volatile.Read(ref aborts) == 0 && watch.Elapsed < Eventually.Patience); i++)
            {
                ObjectWriter first;
                while (store.TryCreate(aborted, 8, out first) == PlasmaStatus.Exists) // Ends with the abort that is still under way.
                    Thread.SpinWait(1);
                Thread.SpinWait(i % 8);
                if (first.TrySeal() == PlasmaStatus.Ok)
                    Assert.Equal(PlasmaStatus.Ok, store.Delete(aborted));
                ObjectWriter second = store.Create(next, 8);
                second.Span.Fill((byte)i);
                Assert.Equal(PlasmaStatus.Ok, second.TrySeal());
                Assert.Equal(PlasmaStatus.Ok, store.Delete(next));
            }
        }
        finally
        {
            Volatile.Write(ref stop, true);
            aborter.Join();
        }

        Assert.True(aborts > 0, "No abort ever won, so nothing was tried.");
        Assert.Equal(0, store.Stats().UsedBytes);
    }
}
