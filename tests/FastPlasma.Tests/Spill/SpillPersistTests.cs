using FastPlasma.Native;

namespace FastPlasma.Tests.Spill;

/// <summary>Objects on disk that outlive their store; what a damaged, cut off or used up catalogue does; and spill files that nobody wants.</summary>
public sealed class SpillPersistTests : SpillTest
{
    private const int LargeBytes = 700_000, SmallBytes = 3000;

    private PlasmaOptions Persistent => WithSpill() with { Persist = true };

    [Fact]
    public void Objects_on_disk_are_there_again_in_the_next_store_of_that_name()
    {
        string name = NewName();
        Leave(name, Persistent);
        Assert.Single(Directory.GetFiles(Folder, "*.catalog"));

        PlasmaStore next = Keep(PlasmaStore.Create(name, Persistent));
        Assert.Empty(Directory.GetFiles(Folder, "*.catalog*"));
        CheckObjects(next);
        Assert.Equal(4, next.List().Count(static info => info.State is ObjectState.Spilled or ObjectState.Sealed));
        Assert.Empty(next.Verify().Problems);
        Assert.Empty(next.VerifySpill().Errors);

        // They are ordinary objects: deleted ones give their disk space back, and new ones are written beside them.
        long used = next.SpillInfo().Directories[0].UsedBytes;
        Assert.Equal(PlasmaStatus.Ok, next.Delete(Id("large-0")));
        next.Maintain();
        Assert.True(next.SpillInfo().Directories[0].UsedBytes < used);
        next.Put(Id("new"), Content("new", LargeBytes));
        Assert.True(next.Unload(long.MaxValue) > 0);
        using PlasmaObject obj = next.Get(Id("new"), TimeSpan.FromSeconds(10));
        Same(Content("new", LargeBytes), obj.Span);
    }

    [Fact]
    public void A_store_that_outlives_its_processes_takes_its_own_catalogue_back_and_leaves_another()
    {
        string name = NewName();
        using (PlasmaStore first = PlasmaStore.Create(name, Persistent))
            Fill(first);
        Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        using (PlasmaStore second = PlasmaStore.Open(name, Small))
        {
            Assert.Empty(Directory.GetFiles(Folder, "*.catalog"));
            CheckObjects(second);
            second.Delete(Id("small-0"));
            second.Maintain();
        }
        PlasmaStore.Destroy(name, keepSpilled: true);
        PlasmaStore next = Keep(PlasmaStore.Create(name, Persistent));
        Assert.False(next.Contains(Id("small-0")));
        Assert.True(next.Contains(Id("small-1")));
    }

    [Fact]
    public void The_last_of_several_writers_leaves_the_catalogue()
    {
        string name = NewName();
        PlasmaStore first = PlasmaStore.Create(name, Persistent), second = PlasmaStore.Open(name, Small);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        Fill(first);
        first.Dispose();
        Assert.Empty(Directory.GetFiles(Folder, "*.catalog"));
        second.Dispose();
        Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        Assert.True(reader.Contains(Id("large-0")));
    }

    [Fact]
    public void Of_writers_that_leave_at_once_one_leaves_the_catalogue()
    {
        for (int round = 0; round < 20; round++)
        {
            string name = NewName();
            PlasmaStore[] stores = [PlasmaStore.Create(name, Persistent), PlasmaStore.Open(name, Small), PlasmaStore.Open(name, Small)];
            Fill(stores[0]);
            Parallel.ForEach(stores, new ParallelOptions { MaxDegreeOfParallelism = 3 }, static store => store.Dispose());
            Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
            PlasmaStore.Destroy(name);
            Assert.Empty(Directory.GetFiles(Folder));
        }
    }

    [Fact]
    public void A_process_that_is_killed_leaves_no_catalogue_and_its_store_goes_on()
    {
        string name = NewName();
        using (PlasmaStore store = PlasmaStore.Create(name, Persistent))
        {
            WorkerProcess worker = StartWorker(name);
            Fill(store);
            store.Dispose();
            Assert.Empty(Directory.GetFiles(Folder, "*.catalog"));
            worker.Kill();
        }
        Assert.Empty(Directory.GetFiles(Folder, "*.catalog"));
        CheckObjects(Open(name));
    }

    [Theory]
    [InlineData("flipped header")]
    [InlineData("flipped content")]
    [InlineData("truncated")]
    [InlineData("empty")]
    [InlineData("another format")]
    public void A_damaged_catalogue_is_not_believed_and_nothing_is_lost_by_that(string how)
    {
        string name = NewName();
        Leave(name, Persistent);
        string catalog = Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        byte[] right = File.ReadAllBytes(catalog), wrong = [.. right];
        switch (how)
        {
            case "flipped header":
                wrong[50] ^= 1;
                break;
            case "flipped content":
                wrong[^1] ^= 1;
                break;
            case "truncated":
                wrong = wrong[..^10];
                break;
            case "empty":
                wrong = [];
                break;
            default:
                wrong = new byte[4096];
                break;
        }
        File.WriteAllBytes(catalog, wrong);
        var log = new RecordingLogger();
        using (PlasmaStore next = PlasmaStore.Create(name, WithSpill() with { Logger = log }))
            Assert.False(next.Contains(Id("large-0")));
        Assert.Contains(log.Lines, line => line.Contains(catalog, StringComparison.Ordinal));
        PlasmaStore.Destroy(name);
        Assert.True(File.Exists(catalog)); // Nobody threw away what could perhaps be mended.
        SpillFileInfo found = Assert.Single(PlasmaStore.ListSpillFiles(Folder));
        Assert.Equal(SpillFileState.Damaged, found.State);
        Assert.Empty(PlasmaStore.CleanSpillDirectory(Folder));

        File.WriteAllBytes(catalog, right);
        CheckObjects(Keep(PlasmaStore.Create(name, Persistent)));
    }

    [Fact]
    public void An_old_catalogue_brings_nothing_back()
    {
        string name = NewName();
        Leave(name, Persistent);
        string catalog = Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        byte[] old = File.ReadAllBytes(catalog);
        PlasmaStore.Create(name, WithSpill()).Dispose();
        Assert.False(File.Exists(catalog));
        PlasmaStore.Destroy(name, keepSpilled: true);
        File.WriteAllBytes(catalog, old);
        Assert.Equal(SpillFileState.Orphan, Assert.Single(PlasmaStore.ListSpillFiles(Folder)).State);
        PlasmaStore next = Keep(PlasmaStore.Create(name, Persistent));
        Assert.False(next.Contains(Id("large-0")));
        Assert.Single(Directory.GetFiles(Folder));
    }

    [Fact]
    public void A_creation_that_fails_leaves_what_was_there_for_the_next()
    {
        string name = NewName();
        Leave(name, Persistent);
        Assert.ThrowsAny<ArgumentException>(() => PlasmaStore.Create(name, Persistent with { ObjectCountMax = 64, CapacityBytes = 0 })); // Refused before anything.
        using (var files = Files.StoreFiles.TryCreate(name, Persistent))
            Assert.NotNull(files); // Its creator gives up before the store has its name.
        Assert.Equal(2, Directory.GetFiles(Folder).Length);
        CheckObjects(Keep(PlasmaStore.Create(name, Persistent)));
    }

    [Fact]
    public void Bytes_that_were_lost_meanwhile_are_an_error_of_that_object_only()
    {
        string name = NewName();
        Leave(name, Persistent);
        using (FileStream file = File.OpenWrite(SpillFile(Folder)))
            file.SetLength(3 << 20); // Behind the first chunk: what lies in the others is gone.
        PlasmaStore next = Keep(PlasmaStore.Create(name, Persistent));
        VerifyAtEnd = false;
        SpillVerifyReport report = next.VerifySpill();
        Assert.NotEmpty(report.Errors);
        Assert.All(report.Errors, static e => Assert.Equal(SpillErrorKind.Truncated, e.Kind));
        Assert.True(report.CopyCount == 4);
        foreach (SpillError error in report.Errors)
            Assert.ThrowsAny<Exception>(() => next.Get(error.Id!.Value, TimeSpan.FromSeconds(5)).Dispose());
    }

    [Fact]
    public void The_files_of_a_store_that_is_gone_are_removed_by_the_next_creation_in_that_directory()
    {
        string gone = NewName(), other = NewName();
        Leave(gone, WithSpill(), keep: true);
        string orphan = SpillFile(Folder);
        Assert.Equal(SpillFileState.Orphan, Assert.Single(PlasmaStore.ListSpillFiles(Folder)).State);
        PlasmaStore store = Keep(PlasmaStore.Create(other, WithSpill()));
        Assert.False(File.Exists(orphan));
        Assert.Single(Directory.GetFiles(Folder));
        Assert.Equal(SpillFileState.InUse, Assert.Single(PlasmaStore.ListSpillFiles(Folder)).State);
        Assert.NotNull(store);
    }

    [Fact]
    public void Files_of_a_store_that_nobody_has_open_and_of_a_persistent_one_are_no_orphans()
    {
        string idle = NewName(), persistent = NewName();
        using (PlasmaStore store = PlasmaStore.Create(idle, WithSpill()))
            Fill(store);
        Leave(persistent, Persistent);
        Assert.Empty(PlasmaStore.CleanSpillDirectory(Folder));
        Assert.Equal([SpillFileState.InUse, SpillFileState.Persisted], PlasmaStore.ListSpillFiles(Folder).Select(static f => f.State).Order());
        CheckObjects(Open(idle));
        Assert.Equal(4, PlasmaStore.ListSpillFiles(Folder).Single(static f => f.State == SpillFileState.Persisted).ObjectCount);
        Assert.Single(PlasmaStore.CleanSpillDirectory(Folder, persisted: true));
    }

    [Fact]
    public void What_is_not_a_spill_file_and_what_its_creator_left_half_made_are_told_apart()
    {
        string id = new('a', 32), foreign = Path.Combine(Folder, "fastplasma.notes.txt"), half = Path.Combine(Folder, $"fastplasma.x.{id}.spill"), odd = Path.Combine(Folder, $"fastplasma.y.{id}.spill");
        string lonely = Path.Combine(Folder, $"fastplasma.z.{id}.catalog");
        File.WriteAllText(foreign, "mine");
        File.WriteAllBytes(half, new byte[100]);
        File.WriteAllBytes(odd, new byte[10_000]);
        File.WriteAllBytes(lonely, new byte[10]);
        Assert.Equal([half, lonely], PlasmaStore.CleanSpillDirectory(Folder).Select(static f => f.Path).Order());
        Assert.True(File.Exists(foreign) && File.Exists(odd));
        Assert.Equal([odd], PlasmaStore.CleanSpillDirectory(Folder, damaged: true).Select(static f => f.Path));
    }

    [Fact]
    public void A_file_that_somebody_is_making_is_no_orphan()
    {
        using var files = Files.StoreFiles.TryCreate(NewName(), WithSpill());
        Assert.NotNull(files);
        Assert.Empty(PlasmaStore.CleanSpillDirectory(Folder));
        Assert.Single(Directory.GetFiles(Folder));
    }

    [Fact]
    public void A_kill_of_every_process_leaves_an_orphan_that_the_next_creation_removes()
    {
        string name = NewName();
        PlasmaStore.Create(name, WithSpill()).Dispose();
        WorkerProcess worker = StartWorker(name);
        worker.Call("put a 800000 1");
        worker.Call("spill unload 100000000");
        worker.Kill();
        PlasmaStore.Destroy(name, keepSpilled: true); // As a restart of the machine leaves it: nothing in memory, a file on disk.
        Assert.Single(Directory.GetFiles(Folder));
        Keep(PlasmaStore.Create(name, WithSpill()));
        Assert.Single(Directory.GetFiles(Folder));
    }

    [Fact]
    public void Destroy_removes_spill_files_and_catalogues()
    {
        string name = NewName();
        Leave(name, Persistent, destroy: false);
        Assert.Equal(2, Directory.GetFiles(Folder).Length);
        PlasmaStore.Destroy(name);
        Assert.Empty(Directory.GetFiles(Folder));
        Assert.Empty(Directory.GetFiles("/dev/shm", $"fastplasma.{name}*"));
    }

    [Fact]
    public void A_catalogue_with_more_objects_than_the_store_has_records_refuses_the_creation_and_stays()
    {
        string name = NewName();
        using (PlasmaStore store = PlasmaStore.Create(name, Persistent))
        {
            for (int i = 0; i < 70; i++)
                store.Put(Id($"o{i}"), Content($"o{i}", 100));
            store.Unload(long.MaxValue);
        }
        PlasmaStore.Destroy(name, keepSpilled: true);
        ArgumentException e = Assert.Throws<ArgumentException>(() => PlasmaStore.Create(name, Persistent with { ObjectCountMax = 64 }));
        Assert.Contains("70 objects", e.Message, StringComparison.Ordinal);
        Assert.Contains("64", e.Message, StringComparison.Ordinal);
        PlasmaStore next = Keep(PlasmaStore.Create(name, Persistent with { ObjectCountMax = 100 }));
        for (int i = 0; i < 70; i++)
        {
            using PlasmaObject obj = next.Get(Id($"o{i}"), TimeSpan.FromSeconds(10));
            Same(Content($"o{i}", 100), obj.Span);
        }
    }

    [Theory]
    [InlineData("spill")]
    [InlineData("catalog")]
    public void Files_of_another_user_are_not_taken_over(string kind)
    {
        string name = NewName();
        Leave(name, Persistent);
        string file = Assert.Single(Directory.GetFiles(Folder, $"*.{kind}"));
        Assert.Equal(0, Mono.Unix.Native.Syscall.chown(file, 65533, 65533));
        var log = new RecordingLogger();
        using (PlasmaStore next = PlasmaStore.Create(name, WithSpill() with { Logger = log }))
            Assert.False(next.Contains(Id("large-0")));
        Assert.Contains(log.Lines, static line => line.Contains("another user", StringComparison.Ordinal));
        PlasmaStore.Destroy(name);
        Assert.Equal(0, Mono.Unix.Native.Syscall.chown(file, 0, 0));
        CheckObjects(Keep(PlasmaStore.Create(name, Persistent)));
    }

    [Fact]
    public void A_catalogue_that_cannot_be_written_is_told()
    {
        string name = NewName(), elsewhere = Folder + "-moved";
        var log = new RecordingLogger();
        using (PlasmaStore store = PlasmaStore.Create(name, Persistent with { Logger = log }))
        {
            Fill(store);
            Directory.Move(Folder, elsewhere);
        }
        Directory.Move(elsewhere, Folder);
        Assert.Contains(log.Lines, static line => line.Contains("will not be there again", StringComparison.Ordinal) && line.Contains("ENOENT", StringComparison.Ordinal));
        Assert.Empty(Directory.GetFiles(Folder, "*.catalog*"));
        CheckObjects(Open(name)); // The store itself has lost nothing.
    }

    [Fact]
    public void Who_cannot_take_a_catalogue_back_reads_and_writes_nothing()
    {
        string name = NewName();
        Leave(name, Persistent, destroy: false);
        WorkerProcess worker = StartWithFault("pwritev", "EIO");
        worker.Call($"open {name}");
        worker.Call("put mine 900000 1");
        string answer = worker.Call("spill write mine");
        Assert.Contains("could not be taken back", answer, StringComparison.Ordinal);
        Assert.Contains("EIO", answer, StringComparison.Ordinal);
        Assert.StartsWith("Ok 700000 ", worker.Call("await large-0 10000"), StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        CheckObjects(Open(name));
        Assert.Empty(Directory.GetFiles(Folder, "*.catalog"));
        worker.Dispose();
    }

    private static void Fill(PlasmaStore store)
    {
        for (int i = 0; i < 2; i++)
        {
            store.Put(Id($"large-{i}"), Content($"large-{i}", LargeBytes), new ObjectOptions { Name = $"large-{i}", Checksum = true, Metadata = Content("meta", 77), AlignmentBytes = 4096 });
            store.Put(Id($"small-{i}"), Content($"small-{i}", SmallBytes));
        }
        Assert.True(store.Unload(long.MaxValue) > 0);
        Assert.Equal(4, store.SpillInfo().Directories[0].ObjectCount);
    }

    private static void CheckObjects(PlasmaStore store)
    {
        for (int i = 0; i < 2; i++)
        {
            using PlasmaObject large = store.Get(Id($"large-{i}"), TimeSpan.FromSeconds(10)), small = store.Get(Id($"small-{i}"), TimeSpan.FromSeconds(10));
            Same(Content($"large-{i}", LargeBytes), large.Span);
            Same(Content("meta", 77), large.Metadata);
            Assert.Equal($"large-{i}", large.Name);
            Same(Content($"small-{i}", SmallBytes), small.Span);
        }
    }

    /// <summary>A store with four objects on disk that was closed in order; then, as after a restart of the machine, only its files on disk are left.</summary>
    private static void Leave(string name, PlasmaOptions options, bool keep = true, bool destroy = true)
    {
        using (PlasmaStore store = PlasmaStore.Create(name, options))
            Fill(store);
        if (destroy)
            PlasmaStore.Destroy(name, keepSpilled: keep);
    }
}
