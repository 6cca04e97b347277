using FastPlasma.Allocator;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>P8: a file system that runs full is an error value with the numbers in it, never a signal, and the store goes on working.</summary>
public sealed unsafe class OutOfSpaceTests
{
    [Fact]
    public void An_object_larger_than_the_file_system_is_refused_with_the_systems_answer()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        using var scratch = new ScratchStore(256 << 20, mount.Path);
        long before = mount.UsedBytes;
        StoreFullException e = Assert.Throws<StoreFullException>(() => scratch.Store.Create(ObjectId.NewRandom(), 64 << 20));
        Assert.Equal(PlasmaStatus.StoreFull, e.Status);
        Assert.Contains("reserve 67108864 bytes at 0 of ", e.Report.ReservationError, StringComparison.Ordinal);
        Assert.Contains("ENOSPC", e.Message, StringComparison.Ordinal);
        Assert.Contains(mount.Path, e.Message, StringComparison.Ordinal);
        Assert.Contains("no room for 67108864 bytes", e.Message, StringComparison.Ordinal);
        Assert.Equal(before, mount.UsedBytes);
        PutAndCheck(scratch.Store, 4 << 20);
    }

    [Fact]
    public void A_reservation_that_fails_half_way_gives_its_first_half_back()
    {
        // More than one piece of 64 MiB: the first fits, the second does not.
        using var mount = new TempMount("tmpfs", "size=96m");
        using var scratch = new ScratchStore(256 << 20, mount.Path);
        long before = mount.UsedBytes;
        Assert.Equal(PlasmaStatus.StoreFull, scratch.Store.TryCreate(ObjectId.NewRandom(), 200 << 20, out _));
        Assert.Equal(before, mount.UsedBytes);
        Assert.Equal(0, scratch.Store.Stats().BackedBytes);
        PutAndCheck(scratch.Store, 60 << 20);
    }

    [Fact]
    public void A_full_file_system_fills_the_store_and_deletes_make_room_again()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        using var scratch = new ScratchStore(64 << 20, mount.Path);
        PlasmaStore store = scratch.Store;
        byte[] payload = new byte[100_000];
        var ids = new List<ObjectId>();
        PlasmaStatus status;
        while ((status = store.TryPut(Id(ids.Count), payload)) == PlasmaStatus.Ok) // Ends with the file system.
            ids.Add(Id(ids.Count));
        Assert.Equal(PlasmaStatus.StoreFull, status);
        Assert.InRange(ids.Count, 60, 160);
        StoreFullException e = Assert.Throws<StoreFullException>(() => store.Put(ObjectId.NewRandom(), payload));
        Assert.Contains("ENOSPC", e.Report.ReservationError, StringComparison.Ordinal);

        // What is there stays readable, every byte of it; what is deleted makes room for another size.
        foreach (ObjectId id in ids)
        {
            Assert.True(store.TryGet(id, out PlasmaObject found));
            using (found)
                Assert.Equal(-1, found.GetSpan(0, payload.Length).IndexOfAnyExcept((byte)0));
        }
        Assert.Empty(store.Verify().Problems);
        foreach (ObjectId id in ids)
            Assert.Equal(PlasmaStatus.Ok, store.Delete(id));
        PutAndCheck(store, 5 << 20);
        Assert.True(store.Trim() > 0);
        Assert.Empty(store.Verify().Problems);
    }

    [Fact]
    public void The_systems_answer_is_not_repeated_when_the_limit_is_the_stores_own()
    {
        using var mount = new TempMount("tmpfs", "size=24m");
        using var scratch = new ScratchStore(12 << 20, mount.Path);
        string ballast = Ballast(mount);
        Assert.Contains("ENOSPC", Assert.Throws<StoreFullException>(() => scratch.Store.Create(Id(0), 12 << 20)).Report.ReservationError, StringComparison.Ordinal);
        File.Delete(ballast);
        scratch.Store.Put(Id(1), new byte[10 << 20]);
        StoreFullException e = Assert.Throws<StoreFullException>(() => scratch.Store.Create(Id(2), 4 << 20));
        Assert.Null(e.Report.ReservationError);
        Assert.DoesNotContain("ENOSPC", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Free_chunks_are_found_behind_one_that_the_system_refuses_to_back()
    {
        using var mount = new TempMount("tmpfs", "size=8m");
        using var rig = new AllocatorRig(3, SharedFile.Create(mount.Path, "data", 0x180));
        BlockAllocator allocator = rig.AllocatorOf(0);
        var cache = new BlockCache();
        Assert.True(allocator.TryAllocate(cache, rig.CapacityBytes, 64, 1, rig.Place(0), Effort.Normal, out _));
        allocator.Free(cache, *rig.Place(0), 1);
        Assert.Equal(3, allocator.RetireEmpty());
        rig.SetChunk(0, ChunkState.Unbacked);
        Assert.Equal(0, rig.Data.TryPunch(0, ChunkMap.ChunkBytes));
        Ballast(mount);
        Assert.True(allocator.TryAllocate(cache, 2 * ChunkMap.ChunkBytes, 64, 2, rig.Place(0), Effort.Pressure, out long offset));
        Assert.Equal(ChunkMap.ChunkBytes, offset);
    }

    [Fact]
    public void A_store_whose_metadata_does_not_fit_is_not_created_and_leaves_no_file()
    {
        using var mount = new TempMount("tmpfs", "size=512k");
        string name = ScratchStore.NewName();
        IOException e = Assert.ThrowsAny<IOException>(() => PlasmaStore.Create(name, new PlasmaOptions { Directory = mount.Path, CapacityBytes = 1 << 30 }));
        Assert.Contains("reserve ", e.Message, StringComparison.Ordinal);
        Assert.Contains("ENOSPC", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(mount.Path));
        Assert.Equal(0, mount.UsedBytes);
    }

    [Fact]
    public void At_every_size_of_file_system_a_store_is_created_and_usable_or_leaves_no_file()
    {
        int created = 0, refused = 0;
        for (int pages = 8; pages <= 480; pages = pages < 220 || pages > 250 ? pages + 17 : pages + 1)
        {
            using var mount = new TempMount("tmpfs", $"size={pages * 4}k");
            string name = ScratchStore.NewName();
            var options = new PlasmaOptions { Directory = mount.Path, CapacityBytes = 2 << 20, ObjectCountMax = 64 };
            try
            {
                using PlasmaStore store = PlasmaStore.Create(name, options);
                created++;
                Assert.Empty(store.List());
                Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id(1), new byte[10]));
                Assert.False(store.TryGet(Id(1), out _));
                Assert.Empty(store.Verify().Problems);
            }
            catch (IOException e)
            {
                refused++;
                Assert.Contains("ENOSPC", e.Message, StringComparison.Ordinal);
                Assert.True(Directory.GetFiles(mount.Path).Length == 0, $"{pages} pages: {e.Message} left {string.Join(' ', Directory.GetFiles(mount.Path))}");
            }
        }
        Assert.True(created > 0 && refused > 0, $"{created} created, {refused} refused: the sizes do not cover both");
    }

    [Fact]
    public void An_attach_that_finds_no_page_is_refused_and_disturbs_nobody()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        using var scratch = new ScratchStore(8 << 20, mount.Path);
        scratch.Store.Put(Id(1), [1, 2, 3]);
        string ballast = Ballast(mount);
        IOException e = Assert.ThrowsAny<IOException>(() => PlasmaStore.Open(scratch.Name, new PlasmaOptions { Directory = mount.Path }));
        Assert.Contains("ENOSPC", e.Message, StringComparison.Ordinal);
        Assert.True(scratch.Store.TryGet(Id(1), out PlasmaObject found));
        found.Dispose();
        File.Delete(ballast);
        using PlasmaStore second = PlasmaStore.Open(scratch.Name, new PlasmaOptions { Directory = mount.Path });
        Assert.Equal(2, second.Stats().Participants.Count);
    }

    [Fact]
    public void Pin_slots_that_find_no_page_are_too_many_pins_and_the_store_still_detaches()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        using var scratch = new ScratchStore(8 << 20, mount.Path);
        scratch.Store.Put(Id(1), [1, 2, 3]);
        Ballast(mount);
        var pins = new List<PlasmaObject>();
        PlasmaException? refusal = null;
        for (int i = 0; i < 1000 && refusal is null; i++)
        {
            try
            {
                Assert.True(scratch.Store.TryGet(Id(1), out PlasmaObject found));
                pins.Add(found);
            }
            catch (PlasmaException e)
            {
                refusal = e;
            }
        }
        Assert.Equal(PlasmaStatus.TooManyPins, refusal?.Status);
        Assert.Contains("ENOSPC", refusal!.Message, StringComparison.Ordinal);
        Assert.InRange(pins.Count, 50, 999);
        foreach (PlasmaObject pin in pins)
            pin.Dispose();
        Assert.True(scratch.Store.TryGet(Id(1), out PlasmaObject again));
        again.Dispose();

        // The failed call must not count as one that is still running: the token falls with Dispose.
        scratch.Store.Dispose();
        string locks = Path.GetFileName(Directory.GetFiles(mount.Path, "*.lock.w").Single());
        using var probe = new LifeTokens(SharedFile.Open(mount.Path, locks, writable: true));
        Assert.False(probe.IsHeldElsewhere(0));
    }

    [Fact]
    public void A_read_only_file_system_is_named_as_such()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        using (var scratch = new ScratchStore(8 << 20, mount.Path))
        {
            scratch.Store.Dispose();
            mount.MakeReadOnly();
            IOException e = Assert.ThrowsAny<IOException>(() => PlasmaStore.Create("other", new PlasmaOptions { Directory = mount.Path }));
            Assert.Contains("EROFS", e.Message, StringComparison.Ordinal);
            Assert.Contains(mount.Path, e.Message, StringComparison.Ordinal);
            e = Assert.ThrowsAny<IOException>(() => PlasmaStore.Open(scratch.Name, new PlasmaOptions { Directory = mount.Path, Access = StoreAccess.ReadOnly }));
            Assert.Contains("EROFS", e.Message, StringComparison.Ordinal);
            e = Assert.ThrowsAny<IOException>(() => PlasmaStore.Destroy(scratch.Name, mount.Path));
            Assert.Contains("EROFS", e.Message, StringComparison.Ordinal);
            mount.MakeWritable();
        }
    }

    private static ObjectId Id(int i) => ObjectId.FromName($"object {i}");

    private static void PutAndCheck(PlasmaStore store, int bytes)
    {
        byte[] payload = new byte[bytes];
        new Random(bytes).NextBytes(payload);
        ObjectId id = ObjectId.NewRandom();
        store.Put(id, payload);
        Assert.True(store.TryGet(id, out PlasmaObject found));
        using (found)
            Assert.True(found.GetSpan(0, bytes).SequenceEqual(payload));
    }

    /// <summary>Takes every page that is left of a file system.</summary>
    private static string Ballast(TempMount mount)
    {
        using SharedFile file = SharedFile.Create(mount.Path, "ballast", 0x180);
        long offset = 0;
        for (int bytes = 1 << 20; bytes >= 4096; bytes /= 16)
            for (; file.TryReserve(offset, bytes) == 0; offset += bytes)
            {
            }
        Assert.Equal(Libc.ENOSPC, file.TryReserve(offset, 4096));
        return file.Path;
    }
}
