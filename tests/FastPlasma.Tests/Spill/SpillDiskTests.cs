using System.Globalization;
using FastPlasma.Nodes;
using FastPlasma.Spill;

namespace FastPlasma.Tests.Spill;

/// <summary>Disks that run full, fail, or go away: an error with the numbers, the next directory, and never a signal.</summary>
public sealed class SpillDiskTests : SpillTest
{
    [Fact]
    public void A_full_file_system_is_an_error_with_numbers_and_frees_make_room()
    {
        using var disk = new LoopMount(48, 64);
        using var filler = new Filler(disk.Path, leaveBytes: 20 << 20);
        PlasmaStore store = Named(out string name, WithSpill(disk.Path) with { CapacityBytes = 64 << 20 });
        using PlasmaObject obj = Put(store, "a", 1 << 20);
        var places = new List<SpillPlace>();
        ObjectImage image = default;
        SpillError? error = null;
        for (int i = 0; i < 64 && error is null; i++)
        {
            if (TryWrite(store, obj, out SpillPlace place, out error))
                places.Add(place);
        }
        Assert.NotNull(error);
        Assert.Equal(SpillErrorKind.NoSpace, error.Kind);
        Assert.Contains(disk.Path, error.Message, StringComparison.Ordinal);
        Assert.InRange(places.Count, 5, 24);
        image = ImageOf(store, obj);
        foreach (SpillPlace place in places)
            Same(ImageBytes(store, obj), ReadBack(store, place, image));
        Assert.NotNull(store.SpillInfo().Directories[0].Problem);

        // A free takes the directory back into use at once.
        SpaceOf(store).Free(places[0], image, OwnerOf(store, obj));
        Assert.True(TryWrite(store, obj, out _, out error), error?.Message);
        store.Dispose();
        PlasmaStore.Destroy(name);
    }

    [Fact]
    public void The_share_that_has_to_stay_free_stays_free()
    {
        using var disk = new LoopMount(64, 100);
        PlasmaStore store = Named(out string name, WithSpill(disk.Path) with { SpillReserve = 0.5 });
        using PlasmaObject obj = Put(store, "a", 1 << 20);
        SpillError? error = null;
        for (int i = 0; i < 64 && error is null; i++)
            TryWrite(store, obj, out _, out error);
        Assert.NotNull(error);
        Assert.Equal(SpillErrorKind.NoSpace, error.Kind);
        Assert.Equal(0, error.ErrorNumber);
        Assert.Contains("have to stay free", error.Message, StringComparison.Ordinal);
        SpillDirectoryInfo info = store.SpillInfo().Directories[0];
        Assert.True(info.AvailableBytes >= info.FileSystemBytes / 2, $"{info.AvailableBytes} of {info.FileSystemBytes} bytes are free");
        Assert.True(info.BackedBytes > 0);
        store.Dispose();
        PlasmaStore.Destroy(name);
    }

    [Fact]
    public void A_device_that_fails_is_left_for_the_next_directory_and_what_it_holds_stays_readable()
    {
        using var disk = new LoopMount(256, 64);
        PlasmaStore store = Named(out string name, WithSpill(disk.Path, Folder) with { CapacityBytes = 64 << 20 });
        using PlasmaObject obj = Put(store, "a", 4 << 20);
        SpillPlace first = Write(store, obj, out ObjectImage image);
        Assert.Equal(0, first.Directory);
        disk.FillBacking();
        SpillPlace place = first;
        for (int i = 0; i < 20 && place.Directory == 0; i++) // What the device has memory for already may still succeed.
            place = Write(store, obj, out _);
        Assert.Equal(1, place.Directory);
        SpillDirectoryInfo failed = store.SpillInfo().Directories[0];
        Assert.Contains("ENOSPC", failed.Problem, StringComparison.Ordinal); // Of the device, for blocks that the file system had reserved.
        Assert.True(failed.WriteErrors >= 1);
        Same(ImageBytes(store, obj), ReadBack(store, first, image));
        Same(ImageBytes(store, obj), ReadBack(store, place, image));
        store.Dispose();
        PlasmaStore.Destroy(name);
    }

    [Theory]
    [InlineData("pwritev", "EIO", "InputOutput")]
    [InlineData("pwritev", "ENOSPC", "NoSpace")]
    [InlineData("pwritev", "EDQUOT", "NoSpace")]
    [InlineData("fallocate", "EIO", "InputOutput")]
    [InlineData("fallocate", "ENOSPC", "NoSpace")]
    public void An_error_of_the_system_while_a_copy_is_written_names_call_file_and_number(string call, string errno, string kind)
    {
        Named(out string name, WithSpill());
        WorkerProcess worker = StartWithFault(call, errno);
        worker.Call($"open {name}");
        worker.Call("put a 900000 1");
        string answer = worker.Call("spill write a");
        Assert.Contains($"error {kind}", answer, StringComparison.Ordinal);
        Assert.Contains(errno, answer, StringComparison.Ordinal);
        Assert.Contains(SpillFile(Folder), answer, StringComparison.Ordinal);
        worker.Dispose();
    }

    [Fact]
    public void After_an_error_a_directory_is_left_alone_by_all_and_its_reason_is_known_to_all()
    {
        PlasmaStore store = Named(out string name, WithSpill(Folder, NewFolder()));
        store.Put(Id("a"), Content("a", 900_000));
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.FromSeconds(5));
        WorkerProcess worker = StartWithFault("pwritev", "EIO");
        worker.Call($"open {name}");
        SpillPlace place = PlaceOf(worker.Call("spill write a"));
        FreeAtEnd(store, obj, place);
        Assert.Equal(1, place.Directory);
        Assert.Contains("EIO", store.SpillInfo().Directories[0].Problem, StringComparison.Ordinal);
        Assert.Equal(1, Write(store, obj, out _).Directory);
        Assert.Equal(1, store.SpillInfo().Directories[0].WriteErrors);
        worker.Dispose();
    }

    [Fact]
    public void A_file_system_that_cannot_reserve_is_used_all_the_same()
    {
        PlasmaStore store = Named(out string name, WithSpill());
        WorkerProcess worker = StartWithFault("fallocate", "EOPNOTSUPP");
        worker.Call($"open {name}");
        store.Put(Id("a"), Content("a", 900_000));
        string answer = worker.Call("spill write a");
        Assert.DoesNotContain("error", answer, StringComparison.Ordinal);
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.FromSeconds(5));
        SpillPlace place = PlaceOf(answer);
        FreeAtEnd(store, obj, place);
        Same(ImageBytes(store, obj), ReadBack(store, place, ImageOf(store, obj)));
        worker.Dispose();
    }

    [Fact]
    public void An_error_of_the_system_while_an_object_comes_back_is_told_to_who_wants_it_and_not_to_others()
    {
        PlasmaStore store = Named(out string name, WithSpill());
        store.Put(Id("a"), Content("a", 900_000));
        Assert.True(store.Unload(long.MaxValue) > 0);
        WorkerProcess worker = StartWithFault("preadv", "EIO");
        worker.Call($"open {name}");
        WorkerException e = Assert.ThrowsAny<WorkerException>(() => worker.Call("await a 5000"));
        Assert.Contains("EIO", e.Message, StringComparison.Ordinal);
        Assert.Contains(SpillFile(Folder), e.Message, StringComparison.Ordinal);
        Assert.Contains(Id("a").ToString(), e.Message, StringComparison.Ordinal);
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.FromSeconds(5));
        Same(Content("a", 900_000), obj.Span);
        Assert.True(store.SpillInfo().Directories[0].ReadErrors >= 1);
        worker.Dispose();
    }

    [Fact]
    public void A_limit_on_the_length_of_files_is_an_error_and_no_signal()
    {
        Named(out string name, WithSpill());
        WorkerProcess worker = StartWorker(null, uid: null, ["prlimit", "--fsize=3000000"]);
        worker.Call($"open {name}");
        worker.Call("put a 900000 1");
        Assert.Contains("EFBIG", worker.Call("spill write a"), StringComparison.Ordinal);
        worker.Dispose();
    }

    [Fact]
    public void A_read_only_file_system_at_creation_is_a_reason_like_any_other()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        mount.MakeReadOnly();
        IOException e = Assert.ThrowsAny<IOException>(() => PlasmaStore.Create(NewName(), WithSpill(mount.Path)));
        Assert.Contains("EROFS", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_system_without_direct_reads_and_writes_is_used_through_the_page_cache()
    {
        using var mount = new TempMount("tmpfs", "size=64m");
        PlasmaStore store = Named(out string name, WithSpill(mount.Path));
        foreach (int bytes in (int[])[100, 40_000, 1_000_001])
        {
            using PlasmaObject obj = Put(store, $"a{bytes}", bytes);
            SpillPlace place = Write(store, obj, out ObjectImage image);
            Same(ImageBytes(store, obj), ReadBack(store, place, image));
        }
        store.Dispose();
        PlasmaStore.Destroy(name);
    }

    private static SpillPlace PlaceOf(string answer) => new(ulong.Parse(answer, NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    /// <summary>A file that takes all of a file system but some bytes.</summary>
    private sealed class Filler : IDisposable
    {
        private readonly string _path;

        internal Filler(string folder, long leaveBytes)
        {
            _path = Path.Combine(folder, "filler");
            long bytes = new DriveInfo(folder).AvailableFreeSpace - leaveBytes;
            using Native.SharedFile file = Native.SharedFile.Create(folder, "filler", 0x180);
            Assert.Equal(0, bytes <= 0 ? 0 : file.TryReserve(0, bytes));
        }

        public void Dispose() => File.Delete(_path);
    }
}
