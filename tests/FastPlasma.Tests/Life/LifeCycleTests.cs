using System.Diagnostics;
using FastPlasma.Format;

namespace FastPlasma.Tests.Life;

/// <summary>Promises about objects that are on disk: nothing of what is to be kept is lost, and every call says of it what it says of an object in memory.</summary>
public sealed class LifeCycleTests : StoreTest
{
    private const int MiB = 1 << 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    /// <summary>16 MiB of memory, and disk.</summary>
    private PlasmaStore Spilling(out string name, long capacityBytes = 16 * MiB) => Named(out name, Small with { CapacityBytes = capacityBytes, SpillDirectories = [NewFolder()] });

    /// <summary>One object that is on disk only.</summary>
    private static byte[] PutOnDisk(PlasmaStore store, string id, int bytes, ObjectOptions options = default)
    {
        byte[] payload = Pattern.Of(bytes % 97 + 1, bytes);
        store.Put(Id(id), payload, options);
        Assert.True(store.Unload(long.MaxValue) >= bytes);
        Assert.False(store.TryGet(Id(id), out _));
        return payload;
    }

    private static ObjectInfo InfoOf(PlasmaStore store, string id) => store.List().Single(info => info.Id == Id(id));

    [Fact, Trait("Anchor", "20")]
    public void Twenty_objects_of_a_fifth_of_the_store_each_are_all_kept_and_read_back()
    {
        PlasmaStore store = Spilling(out _);
        const int bytes = 16 * MiB / 5;
        for (int i = 0; i < 20; i++)
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"{i}"), Pattern.Of(i, bytes), new ObjectOptions { Retention = Retention.Keep, Checksum = i % 2 == 0 }));
        for (int round = 0; round < 2; round++)
            for (int i = 0; i < 20; i++)
            {
                using PlasmaObject obj = store.Get(Id($"{i}"), s_patience);
                Same(Pattern.Of(i, bytes), obj.Span);
                Assert.True(obj.VerifyChecksum());
            }
        StoreStats stats = store.Stats();
        Assert.Equal(20, stats.SealedCount);
        Assert.True(stats.SpilledCount >= 15, $"{stats.SpilledCount} are on disk only.");
        Assert.True(stats.Store.Restores >= 30, $"{stats.Store.Restores} came back.");
    }

    [Fact]
    public void Object_on_disk_is_there_for_every_call_that_does_not_need_its_bytes()
    {
        PlasmaStore store = Spilling(out string name);
        PutOnDisk(store, "a", 300_000);
        Assert.True(store.Contains(Id("a")));
        Assert.Equal(PlasmaStatus.Exists, store.TryPut(Id("a"), [1]));
        Assert.Equal(PlasmaStatus.AlreadySealed, store.Abort(Id("a")));
        Assert.Equal(1, store.Wait([Id("a")], 1, TimeSpan.Zero, new bool[1]));
        ObjectInfo info = InfoOf(store, "a");
        Assert.Equal((ObjectState.Spilled, true, true, 0L, 300_000L), (info.State, info.IsSealed, info.IsOnDisk, info.BlockBytes, info.PayloadBytes));
        StoreStats stats = store.Stats();
        Assert.Equal((1, 1, 300_000L, 0L), (stats.SealedCount, stats.SpilledCount, stats.SpilledBytes, stats.UsedBytes));
        using WorkerProcess worker = StartWorker(name);
        Assert.Equal("True", worker.Call("contains a"));
    }

    [Fact]
    public void Get_without_time_reads_memory_only_and_says_so()
    {
        PlasmaStore store = Spilling(out _);
        PutOnDisk(store, "a", 300_000);
        Assert.False(store.TryGet(Id("a"), out _));
        Assert.Equal(PlasmaStatus.NotResident, store.TryGet(Id("a"), TimeSpan.Zero, out _));
        Assert.Equal(PlasmaStatus.NotFound, store.TryGet(Id("b"), TimeSpan.Zero, out _));
        Assert.Equal(PlasmaStatus.NotResident, Assert.Throws<PlasmaException>(() => store.Get(Id("a"), TimeSpan.Zero)).Status);
        var objects = new PlasmaObject[2];
        Assert.Equal(0, store.Get([Id("a"), Id("b")], objects));
        Assert.Equal(ObjectState.Spilled, InfoOf(store, "a").State);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4000)]
    [InlineData(40_000)]
    [InlineData(1_000_003)]
    public void Everything_of_an_object_comes_back(int bytes)
    {
        PlasmaStore store = Spilling(out _);
        byte[] payload = PutOnDisk(store, "a", bytes, new ObjectOptions { Name = "näme", ContentType = "text/plain", Metadata = [1, 2, 3], Checksum = true });
        ulong incarnation = InfoOf(store, "a").Incarnation;
        using PlasmaObject obj = store.Get(Id("a"), s_patience);
        Same(payload, obj.Span);
        Assert.Equal(("näme", "text/plain", incarnation), (obj.Name, obj.ContentType, obj.Incarnation));
        Same([1, 2, 3], obj.Metadata);
        Assert.True(obj.Checksum is not null && obj.VerifyChecksum());
        ObjectInfo info = InfoOf(store, "a");
        Assert.Equal((ObjectState.Sealed, true), (info.State, info.IsOnDisk));
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(2 * MiB)]
    public unsafe void Object_comes_back_with_the_alignment_that_its_creator_asked_for(int alignment)
    {
        PlasmaStore store = Spilling(out _);
        PutOnDisk(store, "a", 10_000, new ObjectOptions { AlignmentBytes = alignment });
        store.Put(Id("other"), new byte[20_000]); // Takes the place that it had.
        using PlasmaObject obj = store.Get(Id("a"), s_patience);
        Assert.Equal(0UL, (ulong)obj.Pointer % (ulong)alignment);
    }

    [Fact]
    public void Clean_object_leaves_memory_again_without_being_written()
    {
        PlasmaStore store = Spilling(out _);
        PutOnDisk(store, "a", 300_000);
        for (int i = 0; i < 3; i++)
        {
            store.Get(Id("a"), s_patience).Dispose();
            Assert.True(store.Unload(long.MaxValue) > 0);
        }
        OperationCounts counts = store.Stats().Process;
        Assert.Equal((1L, 300_000L, 3L, 900_000L), (counts.Spills, counts.SpilledBytes, counts.Restores, counts.RestoredBytes));
    }

    [Fact]
    public void Pinned_object_stays_in_memory_and_keeps_its_address()
    {
        PlasmaStore store = Spilling(out string name);
        using WorkerProcess worker = StartWorker(name);
        store.Put(Id("a"), Pattern.Of(1, 300_000));
        store.Put(Id("b"), Pattern.Of(2, 300_000));
        using PlasmaObject pinned = store.Get(Id("a"), TimeSpan.Zero);
        Assert.Equal("Ok", worker.Call("hold h b 0"));
        Assert.Equal(0, store.Unload(long.MaxValue));
        Same(Pattern.Of(1, 300_000), pinned.Span);
        Assert.Equal((ObjectState.Sealed, ObjectState.Sealed), (InfoOf(store, "a").State, InfoOf(store, "b").State));
        worker.Call("release h");
        pinned.Dispose();
        Assert.True(store.Unload(long.MaxValue) >= 600_000);
    }

    [Fact]
    public void Evictable_object_is_evicted_and_not_moved_to_disk()
    {
        PlasmaStore store = Spilling(out _);
        store.Put(Id("e"), new byte[MiB], Evictable);
        Assert.Equal(0, store.Unload(long.MaxValue));
        for (int i = 0; i < 20; i++)
            store.Put(Id($"{i}"), new byte[MiB]);
        Assert.False(store.Contains(Id("e")));
    }

    [Fact]
    public void Deleted_object_on_disk_is_gone_at_once_and_its_disk_space_is_free()
    {
        PlasmaStore store = Spilling(out string name);
        PutOnDisk(store, "a", 3 * MiB);
        Assert.True(DiskWords(store) > 0);
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Assert.Equal(PlasmaStatus.NotFound, store.Delete(Id("a")));
        Assert.False(store.Contains(Id("a")));
        Assert.Equal(0, DiskWords(store));
        byte[] payload = PutOnDisk(store, "a", 2 * MiB);
        using WorkerProcess worker = StartWorker(name);
        Assert.Equal("Ok", worker.Call("delete a"));
        Assert.Equal(PlasmaStatus.NotFound, store.TryGet(Id("a"), TimeSpan.Zero, out _));
        Assert.Equal(0, DiskWords(store));
        Assert.Equal(2 * MiB, payload.Length);
    }

    [Fact]
    public void Deleted_object_with_a_copy_keeps_its_bytes_for_who_reads_it_and_then_frees_both()
    {
        PlasmaStore store = Spilling(out _);
        byte[] payload = PutOnDisk(store, "a", 3 * MiB);
        PlasmaObject obj = store.Get(Id("a"), s_patience);
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Same(payload, obj.Span);
        obj.Dispose();
        store.Maintain();
        Assert.Equal((0, 0L), (DiskWords(store), store.Stats().UsedBytes));
    }

    [Fact]
    public void Concurrent_gets_of_processes_and_threads_restore_an_object_once()
    {
        PlasmaStore store = Spilling(out string name);
        byte[] payload = PutOnDisk(store, "a", 6 * MiB);
        WorkerProcess[] workers = [.. Enumerable.Range(0, 3).Select(_ => StartWorker(name))];
        for (int round = 0; round < 5; round++)
        {
            long before = store.Stats().Store.Restores;
            foreach (WorkerProcess worker in workers)
                worker.Call("bg g hold h a 20000");
            Parallel.For(0, 4, _ =>
            {
                using PlasmaObject obj = store.Get(Id("a"), s_patience);
                Same(payload, obj.Span);
            });
            foreach (WorkerProcess worker in workers)
            {
                Assert.Equal("Ok", worker.Call("join g"));
                worker.Call("release h");
            }
            Assert.Equal(before + 1, store.Stats().Store.Restores);
            Assert.True(store.Unload(long.MaxValue) > 0);
        }
    }

    [Fact]
    public async Task Every_form_of_get_with_time_brings_objects_back()
    {
        PlasmaStore store = Spilling(out _);
        for (int i = 0; i < 6; i++)
            store.Put(Id($"{i}"), Pattern.Of(i, MiB));
        store.Unload(long.MaxValue);
        using (PlasmaObject obj = await store.GetAsync(Id("0"), s_patience, TestContext.Current.CancellationToken))
            Same(Pattern.Of(0, MiB), obj.Span);
        using (PlasmaObject obj = store.Get(Id("1"), s_patience, spin: TimeSpan.FromMilliseconds(10), TestContext.Current.CancellationToken))
            Same(Pattern.Of(1, MiB), obj.Span);
        GetMany(store);

        static void GetMany(PlasmaStore store)
        {
            var objects = new PlasmaObject[5];
            Assert.Equal(4, store.Get([Id("2"), Id("3"), Id("missing"), Id("2"), Id("4")], objects, TimeSpan.FromMilliseconds(200)));
            Same(Pattern.Of(2, MiB), objects[0].Span);
            Same(Pattern.Of(3, MiB), objects[1].Span);
            Assert.False(objects[2].IsValid);
            Same(Pattern.Of(2, MiB), objects[3].Span);
            Same(Pattern.Of(4, MiB), objects[4].Span);
            foreach (PlasmaObject obj in objects)
                obj.Dispose();
        }
    }

    [Fact]
    public void Part_of_an_object_is_read_from_disk_and_it_stays_there()
    {
        PlasmaStore store = Spilling(out string name);
        byte[] payload = PutOnDisk(store, "a", 3 * MiB + 5);
        byte[] part = new byte[100_000];
        foreach (long offset in (long[])[0, 1, 4095, 1_500_000, 3 * MiB - 7])
        {
            int bytes = store.ReadInto(Id("a"), offset, part);
            Assert.Equal(Math.Min(part.Length, payload.Length - offset), bytes);
            Same(payload.AsSpan((int)offset, bytes), part.AsSpan(0, bytes));
        }
        Assert.Equal(0, store.ReadInto(Id("a"), payload.Length, part));
        Assert.Throws<ArgumentOutOfRangeException>(() => store.ReadInto(Id("a"), payload.Length + 1, part));
        Assert.Equal((ObjectState.Spilled, 0L), (InfoOf(store, "a").State, store.Stats().Process.Restores));
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        Assert.Equal(PlasmaStatus.Ok, reader.TryReadInto(Id("a"), 77, part, out int read));
        Same(payload.AsSpan(77, read), part.AsSpan(0, read));
        store.Get(Id("a"), s_patience).Dispose();
        Assert.Equal(part.Length, store.ReadInto(Id("a"), 10, part));
        Same(payload.AsSpan(10, part.Length), part);
        Assert.Equal(PlasmaStatus.NotFound, Assert.Throws<PlasmaException>(() => store.ReadInto(Id("b"), 0, part)).Status);
    }

    [Fact]
    public void Attachment_that_cannot_write_is_brought_what_it_asks_for()
    {
        PlasmaStore store = Spilling(out string name);
        byte[] payload = PutOnDisk(store, "a", 3 * MiB);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        Assert.False(reader.TryGet(Id("a"), out _));
        Assert.Equal(PlasmaStatus.NotResident, reader.TryGet(Id("a"), TimeSpan.Zero, out _));
        using PlasmaObject obj = reader.Get(Id("a"), s_patience);
        Same(payload, obj.Span);
        var objects = new PlasmaObject[1];
        PutOnDisk(store, "b", MiB);
        Assert.Equal(1, reader.Get([Id("b")], objects, s_patience));
        objects[0].Dispose();
    }

    [Fact]
    public void Reader_of_another_user_is_brought_what_it_asks_for()
    {
        if (Environment.UserName != "root")
            return;
        PlasmaStore store = Spilling(out string name);
        store.AdmitReader("65534");
        byte[] payload = PutOnDisk(store, "a", 2 * MiB);
        WorkerProcess worker = StartAs(65534);
        worker.Call($"open {name} ro");
        Assert.Equal("NotResident", worker.Call("get a 0"));
        Assert.Equal($"Ok {WorkerProcess.Describe(payload)}", worker.Call("get a 20000"));
    }

    [Fact]
    public void Gets_of_many_objects_bring_them_together()
    {
        PlasmaStore store = Spilling(out _);
        ObjectId[] ids = [.. Enumerable.Range(0, 40).Select(static i => Id($"{i}"))];
        for (int i = 0; i < ids.Length; i++)
            store.Put(ids[i], Pattern.Of(i, 100_000 + i));
        store.Unload(long.MaxValue);
        var objects = new PlasmaObject[ids.Length];
        Assert.Equal(ids.Length, store.Get(ids, objects, s_patience));
        for (int i = 0; i < ids.Length; i++)
        {
            Same(Pattern.Of(i, 100_000 + i), objects[i].Span);
            objects[i].Dispose();
        }
        Assert.Equal(ids.Length, store.Stats().Store.Restores);
    }

    [Fact]
    public void Stopped_process_that_moves_an_object_delays_no_delete_and_other_objects_not_at_all()
    {
        PlasmaStore store = Spilling(out string name);
        using WorkerProcess worker = StartWorker(name);
        byte[] other = PutOnDisk(store, "other", MiB);
        PutOnDisk(store, "a", 12 * MiB);
        PlasmaObject pin = store.Get(Id("other"), s_patience);
        store.Put(Id("pinned"), new byte[8 * MiB]);
        PlasmaObject second = store.Get(Id("pinned"), TimeSpan.Zero);
        worker.Call("bg g get a 20000"); // Waits for memory, in Restoring.
        Eventually.True(() => InfoOf(store, "a").State == ObjectState.Restoring, "The worker did not begin to restore");
        worker.Stop();
        PlasmaException error = Assert.Throws<PlasmaException>(() => store.Get(Id("a"), TimeSpan.FromMilliseconds(200)));
        Assert.Equal(PlasmaStatus.NotResident, error.Status);
        Assert.Contains($"process {worker.Id}", error.Message, StringComparison.Ordinal);
        Same(other, pin.Span);
        pin.Dispose();
        second.Dispose();
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Assert.False(store.Contains(Id("a")));
        byte[] again = PutOnDisk(store, "a", MiB);
        using (PlasmaObject obj = store.Get(Id("a"), s_patience))
            Same(again, obj.Span);
        worker.Kill();
        Eventually.True(() => store.Maintain() >= 0 && store.Stats() is { CondemnedCount: 0, Participants.Count: 1 }, "The dead one was not recovered");
    }

    [Fact]
    public void Attachment_that_cannot_write_is_told_when_no_writer_brings_what_it_asks_for()
    {
        PlasmaStore store = Spilling(out string name);
        PutOnDisk(store, "a", MiB);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        store.Dispose();
        PlasmaException error = Assert.Throws<PlasmaException>(() => reader.Get(Id("a"), TimeSpan.FromMilliseconds(250)));
        Assert.Equal(PlasmaStatus.NotResident, error.Status);
        Assert.Contains("no writer of the store has brought it", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Object_whose_copy_cannot_be_read_is_an_error_that_names_it_and_the_others_go_on()
    {
        string folder = NewFolder();
        PlasmaStore store = Named(out string name, Small with { SpillDirectories = [folder] });
        PutOnDisk(store, "a", 3 * MiB);
        byte[] fine = PutOnDisk(store, "b", MiB);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        (string file, long offset) = PlaceOf(store, "a");
        using (FileStream stream = new(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.Position = offset + 4096 + 1_000_000;
            stream.Write(new byte[5000]);
        }
        for (int i = 0; i < 2; i++)
        {
            PlasmaException error = Assert.Throws<PlasmaException>(() => store.Get(Id("a"), s_patience));
            Assert.Equal(PlasmaStatus.NotResident, error.Status);
            Assert.Contains(Id("a").ToString(), error.Message, StringComparison.Ordinal);
            Assert.Contains(file, error.Message, StringComparison.Ordinal);
        }
        var objects = new PlasmaObject[2];
        Assert.Equal(1, store.Get([Id("a"), Id("b")], objects, s_patience)); // At once: what cannot come is not waited for.
        Same(fine, objects[1].Span);
        objects[1].Dispose();
        Assert.Contains("could not read its copy", Assert.Throws<PlasmaException>(() => reader.Get(Id("a"), s_patience)).Message, StringComparison.Ordinal);
        Assert.Equal((ObjectState.Spilled, 0L), (InfoOf(store, "a").State, store.Stats().Store.Recoveries));
        Assert.True(store.Stats().Store.RestoreErrors >= 3);
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
    }

    [Fact]
    public async Task Get_that_finds_no_memory_until_its_deadline_says_who_has_it_and_leaves_the_object_on_disk()
    {
        PlasmaStore store = Spilling(out _);
        byte[] payload = PutOnDisk(store, "a", 8 * MiB);
        PlasmaObject[] pins = [.. Enumerable.Range(0, 6).Select(i =>
        {
            store.Put(Id($"{i}"), new byte[2 * MiB]);
            return store.Get(Id($"{i}"), TimeSpan.Zero);
        })];
        long start = Stopwatch.GetTimestamp();
        PlasmaException error = Assert.Throws<PlasmaException>(() => store.Get(Id("a"), TimeSpan.FromMilliseconds(300)));
        Assert.Equal(PlasmaStatus.NotResident, error.Status);
        Assert.Contains("no memory of", error.Message, StringComparison.Ordinal);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 290, 5000);
        Assert.Equal(ObjectState.Spilled, InfoOf(store, "a").State);
        Task<byte[]> waiter = Task.Run(() =>
        {
            using PlasmaObject obj = store.Get(Id("a"), s_patience);
            return obj.Span.ToArray();
        });
        foreach (PlasmaObject pin in pins)
            pin.Dispose();
        byte[] got = await waiter;
        Same(payload, got);
    }

    [Fact]
    public void Store_full_of_pinned_objects_refuses_a_put_and_loses_nothing()
    {
        PlasmaStore store = Spilling(out _);
        var pins = new List<PlasmaObject>();
        for (int i = 0; store.TryPut(Id($"{i}"), Pattern.Of(i, MiB)) == PlasmaStatus.Ok; i++)
            pins.Add(store.Get(Id($"{i}"), TimeSpan.Zero));
        Assert.InRange(pins.Count, 12, 16);
        Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("one more"), new byte[MiB]));
        for (int i = 0; i < pins.Count; i++)
        {
            Same(Pattern.Of(i, MiB), pins[i].Span);
            pins[i].Dispose();
        }
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("one more"), new byte[MiB]));
    }

    [Fact]
    public void Memory_is_made_ready_ahead_of_need()
    {
        PlasmaStore store = Spilling(out _, capacityBytes: 64 * MiB);
        for (int i = 0; i < 62; i++)
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"{i}"), Pattern.Of(i, MiB)));
        Eventually.True(() => store.Stats() is var s && s.CapacityBytes - s.UsedBytes + s.CleanBytes >= s.CapacityBytes / 4 && s.SpilledCount > 0, "Nothing went to disk in the background.");
    }

    [Fact]
    public void Store_without_spill_directories_moves_nothing()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), new byte[MiB]);
        Assert.Equal(0, store.Unload(long.MaxValue));
        Assert.Equal(PlasmaStatus.NotFound, store.TryGet(Id("b"), TimeSpan.Zero, out _));
    }

    [Fact]
    public void Killed_process_that_used_the_disk_loses_nothing()
    {
        PlasmaStore store = Spilling(out string name, capacityBytes: 8 * MiB);
        for (int round = 0; round < 4; round++)
        {
            using WorkerProcess worker = StartWorker(name);
            for (int i = 0; i < 10; i++)
                Assert.Equal("Ok", worker.Call($"put r{round}-{i} {MiB} {round * 10 + i}"));
            worker.Call($"bg p put r{round}-10 {MiB} 1");
            worker.Kill();
        }
        for (int round = 0; round < 4; round++)
            for (int i = 0; i < 10; i++)
            {
                using PlasmaObject obj = store.Get(Id($"r{round}-{i}"), s_patience);
                Same(Pattern.Of(round * 10 + i, MiB), obj.Span);
            }
    }

    [Fact]
    public unsafe void Verification_finds_a_block_on_disk_that_belongs_to_nobody_and_a_copy_that_lost_its_block()
    {
        VerifyAtEnd = false;
        PlasmaStore store = Spilling(out _);
        PutOnDisk(store, "a", 3 * MiB);
        Assert.Empty(store.Verify().Problems);
        Allocator.ChunkMap map = store.Spill!.Directory(0).Map;
        ulong* word = FirstWord(map);
        ulong owner = *word;
        *word = 0;
        Assert.Contains(store.Verify().Problems, static p => p.StartsWith("E3", StringComparison.Ordinal));
        *word = owner + 1;
        Assert.Contains(store.Verify().Problems, static p => p.StartsWith("B1", StringComparison.Ordinal) && p.Contains("spill", StringComparison.Ordinal));
        *word = owner;
        Assert.Empty(store.Verify().Problems);
    }

    private static unsafe ulong* FirstWord(Allocator.ChunkMap map)
    {
        for (long chunk = 0; chunk < map.ChunkCount; chunk++)
            for (int i = 0; i < Allocator.ChunkMap.BlockCountOf(map.ReadWord(chunk)); i++)
                if (*map.Word(chunk * Allocator.ChunkMap.WordsPerChunk + i) != 0)
                    return map.Word(chunk * Allocator.ChunkMap.WordsPerChunk + i);
        throw new InvalidOperationException("No word is set.");
    }

    private static unsafe int DiskWords(PlasmaStore store)
    {
        int words = 0;
        for (int d = 0; d < store.Spill!.DirectoryCount; d++)
        {
            Allocator.ChunkMap map = store.Spill.Directory(d).Map;
            for (long chunk = 0; chunk < map.ChunkCount; chunk++)
                for (int i = 0; i < Allocator.ChunkMap.BlockCountOf(map.ReadWord(chunk)); i++)
                    words += *map.Word(chunk * Allocator.ChunkMap.WordsPerChunk + i) != 0 ? 1 : 0;
        }
        return words;
    }

    private static unsafe (string File, long Offset) PlaceOf(PlasmaStore store, string id)
    {
        Assert.True(store.Index.TryFindCommitted(Id(id), store.Index.HashOf(Id(id)), out _, out uint entry));
        var place = new FastPlasma.Spill.SpillPlace(store.Memory.Entry(entry)->SpillPlace);
        return (store.Spill!.Directory(place.Directory).FilePath, place.Offset);
    }
}
