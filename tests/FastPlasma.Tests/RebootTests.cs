using FastPlasma.Format;

namespace FastPlasma.Tests;

/// <summary>Stores on disk after another boot: opened when no writer was left, refused otherwise. The boot is changed in the header, where the next opener reads it.</summary>
public sealed unsafe class RebootTests : StoreTest
{
    private const string Name = "disk";

    private readonly string _folder;
    private readonly PlasmaOptions _options;

    public RebootTests()
    {
        _folder = NewFolder();
        _options = Small with { CapacityBytes = 4 << 20, Directory = _folder };
    }

    private PlasmaStore OpenHere(StoreAccess access = StoreAccess.ReadWrite) => Keep(PlasmaStore.Open(Name, _options with { Access = access }));

    private PlasmaStore CreateHere()
    {
        PlasmaStore store = Keep(PlasmaStore.Create(Name, _options));
        store.Put(Id("a"), Pattern.Of(1, 1000));
        return store;
    }

    /// <summary>The machine goes down and comes up again.</summary>
    private void Reboot()
    {
        string meta = Directory.EnumerateFiles(_folder).Single(static f => Path.GetExtension(f) == $".{Name}");
        using FileStream file = File.OpenWrite(meta);
        file.Position = (long)System.Runtime.InteropServices.Marshal.OffsetOf<StoreHeader>(nameof(StoreHeader.BootId));
        file.Write(Guid.NewGuid().ToByteArray());
    }

    private void IsThere(PlasmaStore store)
    {
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        Same(Pattern.Of(1, 1000), obj.Span);
    }

    [Fact]
    public void Store_that_every_writer_has_left_opens_again()
    {
        CreateHere().Dispose();
        for (int boot = 0; boot < 3; boot++)
        {
            Reboot();
            using PlasmaStore store = OpenHere();
            IsThere(store);
        }
    }

    [Fact]
    public void Store_whose_writer_was_attached_is_refused()
    {
        PlasmaStore store = CreateHere();
        Reboot();
        Assert.Contains("in use when the machine went down", Assert.Throws<PlasmaFormatException>(() => OpenHere()).Message, StringComparison.Ordinal);
        store.Dispose();
        Reboot();
        IsThere(OpenHere());
    }

    [Fact]
    public void Readers_that_leave_last_do_not_count()
    {
        PlasmaStore store = CreateHere(), reader = OpenHere(StoreAccess.ReadOnly);
        store.Dispose();
        Reboot();
        IsThere(OpenHere(StoreAccess.ReadOnly));
        reader.Dispose();
        IsThere(OpenHere());
    }

    [Fact]
    public void Writer_that_comes_while_the_last_one_leaves_is_not_overlooked()
    {
        PlasmaStore here = CreateHere();
        StoreHeader* header = here.Memory.Header;
        ulong seen = Volatile.Read(ref header->WriterAttaches);
        Assert.Equal(0UL, seen & StoreHeader.NoWriterLeft);

        // One that looked before the second came and marks afterwards, whatever the second has done meanwhile.
        PlasmaStore second = OpenHere();
        PlasmaStore.MarkNoWriterLeft(header, seen);
        Assert.Equal(0UL, Volatile.Read(ref header->WriterAttaches) & StoreHeader.NoWriterLeft);
        second.Dispose();
        PlasmaStore.MarkNoWriterLeft(header, seen);
        Assert.Equal(0UL, Volatile.Read(ref header->WriterAttaches) & StoreHeader.NoWriterLeft); // The second saw the first.
        ulong last = Volatile.Read(ref header->WriterAttaches);
        PlasmaStore.MarkNoWriterLeft(header, last);
        Assert.Equal(last | StoreHeader.NoWriterLeft, Volatile.Read(ref header->WriterAttaches));
        OpenHere();
        Assert.Equal(0UL, Volatile.Read(ref header->WriterAttaches) & StoreHeader.NoWriterLeft);
    }
}
