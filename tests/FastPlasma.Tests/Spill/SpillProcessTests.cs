using System.Globalization;
using FastPlasma.Format;
using FastPlasma.Nodes;
using FastPlasma.Spill;

namespace FastPlasma.Tests.Spill;

/// <summary>Several processes in one spill space, and deaths in it.</summary>
public sealed class SpillProcessTests : SpillTest
{
    [Fact]
    public void Two_processes_allocate_write_read_and_free_at_once()
    {
        int seed = Environment.TickCount & 0xFFFF;
        PlasmaStore store = Named(out string name, WithSpill() with { SpillBytes = 12 << 20, CapacityBytes = 64 << 20 });
        WorkerProcess[] workers = [StartWorker(name), StartWorker(name)];
        for (int i = 0; i < workers.Length; i++)
            workers[i].Send(string.Create(CultureInfo.InvariantCulture, $"spill churn w{i} 1500 {seed + i}"));
        foreach (WorkerProcess worker in workers)
            Assert.True(int.Parse(worker.Receive(TimeSpan.FromMinutes(2))!, CultureInfo.InvariantCulture) > 50, $"seed {seed}");
        SpillDirectoryInfo info = store.SpillInfo().Directories[0];
        Assert.Equal(0, info.UsedBytes);
        Assert.Equal(0, info.BadCopies);
        Assert.InRange(info.BackedBytes, 1, 12 << 20);
    }

    [Fact]
    public void A_process_killed_in_the_middle_of_a_write_leaves_nothing_that_its_recoverer_cannot_free()
    {
        PlasmaStore store = Named(out string name, WithSpill() with { SpillBytes = 64 << 20, CapacityBytes = 64 << 20 });
        using PlasmaObject obj = Put(store, "a", 8 << 20);
        ulong owner = OwnerOf(store, obj);
        for (int round = 0; round < 5; round++)
        {
            using WorkerProcess worker = StartWorker(name);
            worker.Call("spill endless a");
            long written = store.SpillInfo().Directories[0].WrittenCount;
            Eventually.True(() => store.SpillInfo().Directories[0].WrittenCount > written + round, "the worker writes");
            worker.Kill();
            store.Maintain();
            SpaceOf(store).FreeAbandoned(owner);
            Assert.Equal(0, store.SpillInfo().Directories[0].UsedBytes);
            Assert.Equal(0, SpaceOf(store).FreeAbandoned(owner));

            // What the dead one had half written is nobody's, and its place serves the next.
            SpillPlace place = Write(store, obj, out ObjectImage image);
            Same(ImageBytes(store, obj), ReadBack(store, place, image));
            Assert.True(SpaceOf(store).Free(place, image, owner) > 0);
        }
        for (int chunk = 0; chunk < SpaceOf(store).Directory(0).Map.ChunkCount; chunk++)
            Assert.False(SpaceOf(store).Directory(0).Map.ReadWord(chunk).IsTransient, $"chunk {chunk} stayed in somebody's hands");
    }

    [Fact]
    public void Words_of_an_object_that_is_gone_are_found_when_space_is_short()
    {
        PlasmaStore store = Named(out _, WithSpill() with { SpillBytes = 2 << 20 });
        using (PlasmaObject lost = Put(store, "lost", 1 << 20))
            Write(store, lost, out _); // No entry names it: as after a death without a recovery that knew.
        store.Delete(Id("lost"));
        Eventually.True(() => !store.Contains(Id("lost")), "the object is gone");
        using PlasmaObject obj = Put(store, "a", 1 << 20);
        Write(store, obj, out _);
    }

    [Fact]
    public void A_write_that_the_limit_refuses_leaves_the_count_of_chunks_right()
    {
        PlasmaStore store = Named(out string name, WithSpill() with { SpillBytes = 6 << 20 });
        using PlasmaObject obj = Put(store, "a", 1 << 20);
        using PlasmaObject big = Put(store, "big", 5 << 20);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        Assert.Equal(SpillErrorKind.Limit, WriteRefused(store, big).Kind);
        SpaceOf(store).Free(place, image, OwnerOf(store, obj));
        Write(store, big, out _);
        Assert.True(store.SpillInfo().Directories[0].BackedBytes <= 6 << 20);
        Assert.NotNull(name);
    }

    [Fact]
    public void Disk_space_is_given_back()
    {
        PlasmaStore store = Named(out _, WithSpill());
        using PlasmaObject obj = Put(store, "a", 6 << 20);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        Assert.True(Allocated() >= 6 << 20);
        SpaceOf(store).Free(place, image, OwnerOf(store, obj));
        Assert.True(store.TrimSpill() >= 6 << 20);
        Assert.True(Allocated() < 1 << 20, $"{Allocated()} bytes are left");
        Assert.Equal(0, store.SpillInfo().Directories[0].BackedBytes);
        place = Write(store, obj, out image);
        Same(ImageBytes(store, obj), ReadBack(store, place, image));
    }

    [Fact]
    public void A_read_only_attachment_reads_copies_and_writes_none()
    {
        PlasmaStore store = Named(out string name, WithSpill());
        using PlasmaObject obj = Put(store, "a", 100_000);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        Same(ImageBytes(store, obj), ReadBack(reader, place, image));
        Assert.Single(reader.SpillInfo().Directories);
        using PlasmaObject held = reader.Get(Id("a"), TimeSpan.Zero);
        Assert.Equal(SpillErrorKind.Missing, WriteRefused(reader, held).Kind);
    }

    private long Allocated()
    {
        using Native.SharedFile file = Native.SharedFile.Open(Folder, Path.GetFileName(SpillFile(Folder)), writable: false);
        return file.Facts().AllocatedBytes;
    }
}
