using FastPlasma.Format;
using FastPlasma.Nodes;
using FastPlasma.Spill;

namespace FastPlasma.Tests.Spill;

/// <summary>What tests of the spill space need: stores with spill directories, objects with known bytes, copies of them on disk.</summary>
public abstract unsafe class SpillTest : StoreTest
{
    private readonly List<(PlasmaStore Store, SpillPlace Place, long ImageBytes, ulong Owner)> _copies = [];

    private protected string Folder { get; }

    private protected SpillTest() => Folder = NewFolder();

    private protected PlasmaOptions WithSpill(params string[] directories) => Small with { SpillDirectories = directories.Length == 0 ? [Folder] : directories, SpillReserve = 0 };

    /// <summary>The bytes that every object of a name and length has.</summary>
    private protected static byte[] Content(string name, int bytes)
    {
        byte[] content = new byte[bytes];
        new Random(name.Sum(static c => c) * 31 + bytes).NextBytes(content);
        return content;
    }

    private protected static PlasmaObject Put(PlasmaStore store, string name, int bytes, bool tail = false)
    {
        store.Put(Id(name), Content(name, bytes), tail ? new ObjectOptions { Name = name, ContentType = "application/test", Metadata = Content(name, 100), Checksum = true } : default);
        return store.Get(Id(name), TimeSpan.Zero);
    }

    private protected static SpillSpace SpaceOf(PlasmaStore store)
    {
        Assert.NotNull(store.Spill);
        return store.Spill;
    }

    /// <summary>Owner of an object's blocks.</summary>
    private protected static ulong OwnerOf(PlasmaStore store, in PlasmaObject obj)
    {
        obj.GetNumbers(out ObjectEntry* entry, out _, out _, out _, out _);
        return BlockOwner.Of(new StateWord(Volatile.Read(ref entry->State)).Generation, (uint)(entry - store.Memory.Entries));
    }

    /// <summary>A copy that no entry names; freed at the end.</summary>
    private protected SpillPlace Write(PlasmaStore store, in PlasmaObject obj, out ObjectImage image)
    {
        image = ImageOf(store, obj);
        Assert.True(TryWrite(store, obj, out SpillPlace place, out SpillError? error), error?.Message);
        Assert.True(place.IsPlace);
        return place;
    }

    private protected bool TryWrite(PlasmaStore store, in PlasmaObject obj, out SpillPlace place, out SpillError? error)
    {
        ObjectImage image = store.ImageOf(obj, out byte* address);
        bool written = SpaceOf(store).TryWrite(OwnerOf(store, obj), image, address, out place, out error);
        if (written)
            FreeAtEnd(store, obj, place);
        return written;
    }

    private protected void FreeAtEnd(PlasmaStore store, in PlasmaObject obj, SpillPlace place) => _copies.Add((store, place, ImageOf(store, obj).ImageBytes, OwnerOf(store, obj)));

    private protected static ObjectImage ImageOf(PlasmaStore store, in PlasmaObject obj) => store.ImageOf(obj, out _);

    /// <summary>A worker whose calls of one kind to the system are refused for the spill file, all of them.</summary>
    private protected WorkerProcess StartWithFault(string call, string errno) =>
        StartWorker(null, uid: null, ["strace", "-f", "-qq", "-o", "/dev/null", "-e", $"trace={call}", "-P", SpillFile(Folder), "-e", $"inject={call}:error={errno}"]);

    /// <summary>A worker whose calls of one kind to the system are answered so much later for a spill file, all of them.</summary>
    private protected WorkerProcess StartWithDelay(string call, int delayMs, string? file = null) =>
        StartWorker(null, uid: null, ["strace", "-f", "-qq", "-o", "/dev/null", "-e", $"trace={call}", "-P", file ?? SpillFile(Folder), "-e", $"inject={call}:delay_enter={delayMs}000"]);

    /// <summary>As <see cref="SpillSpace.ReadRange"/>, for memory of a test.</summary>
    private protected static SpillError? ReadRange(PlasmaStore store, SpillPlace place, in ObjectImage image, long offset, Span<byte> destination)
    {
        fixed (byte* p = destination)
            return SpaceOf(store).ReadRange(place, image, offset, new ReadTarget(p, destination.Length));
    }

    public override void Dispose()
    {
        GC.SuppressFinalize(this);
        foreach ((PlasmaStore store, SpillPlace place, long imageBytes, ulong owner) in _copies)
            if (!store.IsClosing)
                SpaceOf(store).Free(place, imageBytes, owner);
        base.Dispose();
    }

    private protected static SpillError WriteRefused(PlasmaStore store, in PlasmaObject obj)
    {
        ObjectImage image = store.ImageOf(obj, out byte* address);
        Assert.False(SpaceOf(store).TryWrite(OwnerOf(store, obj), image, address, out SpillPlace place, out SpillError? error));
        Assert.True(place.IsNone);
        Assert.NotNull(error);
        return error;
    }

    private protected static byte[] ReadBack(PlasmaStore store, SpillPlace place, in ObjectImage image, int shift = 0)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)image.ImageBytes + 8192, pinned: true);
        fixed (byte* p = bytes)
        {
            byte* at = (byte*)(((ulong)p + 4095) & ~4095UL) + shift;
            SpillError? error = SpaceOf(store).Read(place, image, at);
            Assert.True(error is null, error?.Message);
            return new ReadOnlySpan<byte>(at, (int)image.ImageBytes).ToArray();
        }
    }

    private protected static SpillError ReadFails(PlasmaStore store, SpillPlace place, in ObjectImage image)
    {
        byte[] bytes = new byte[image.ImageBytes];
        fixed (byte* p = bytes)
        {
            SpillError? error = SpaceOf(store).Read(place, image, p);
            Assert.NotNull(error);
            return error;
        }
    }

    /// <summary>The image of a held object as it lies in memory.</summary>
    private protected static byte[] ImageBytes(PlasmaStore store, in PlasmaObject obj)
    {
        ObjectImage image = store.ImageOf(obj, out byte* address);
        return new ReadOnlySpan<byte>(address, (int)image.ImageBytes).ToArray();
    }

    /// <summary>The one spill file of a folder.</summary>
    private protected static string SpillFile(string folder) => Assert.Single(Directory.GetFiles(folder, "fastplasma.*.spill"));
}
