using FastPlasma.Format;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>What lies under a store's name and is no store of this build is refused with the reason, and left as it is.</summary>
public sealed unsafe class FormatTests : StoreTest
{
    private static bool IsRoot => Syscall.geteuid() == 0;

    [Fact, Trait("Anchor", "25")]
    public void Empty_short_and_random_files_are_refused()
    {
        string name = NewName();
        foreach (int length in (int[])[0, 1, 4096, 8191, 8192, 100_000, 1_000_000])
        {
            File.WriteAllBytes(MetaOf(name), Pattern.Of(length, length));
            SetMode(MetaOf(name), 0x180);
            Refused(name, length < 8192 ? $"{length} bytes long" : "Magic");
            Assert.Equal(Pattern.Of(length, length), File.ReadAllBytes(MetaOf(name)));
        }
    }

    [Theory, Trait("Anchor", "25")]
    [InlineData(0, "Magic")]
    [InlineData(8, "LayoutVersion is 69, expected 5")]
    [InlineData(12, "FeatureBits")]
    [InlineData(16, "Fingerprint")]
    [InlineData(24, "HeaderChecksum")] // The UUID.
    [InlineData(56, "HeaderChecksum")] // The capacity.
    [InlineData(176, "HeaderChecksum")] // The owner.
    [InlineData(248, "HeaderChecksum")]
    public void Header_that_differs_in_one_field_is_refused_by_the_name_of_the_field(int offset, string reason)
    {
        VerifyAtEnd = false;
        Named(out string name).Dispose();
        Change(name, offset, static b => (byte)(b == 1 ? 2 : b ^ 0x40));
        Refused(name, reason);
    }

    [Theory, Trait("Anchor", "25")]
    [InlineData(56, 3L << 20, "CapacityBytes")]
    [InlineData(56, 1L << 50, "CapacityBytes")]
    [InlineData(64, 5L, "ObjectCountMax")]
    [InlineData(96, 12288L, "geometry")]
    [InlineData(240, 5000L, "DataDirectoryBytes")]
    public void Impossible_number_in_a_well_signed_header_is_refused(int offset, long value, string reason)
    {
        VerifyAtEnd = false;
        Named(out string name).Dispose();
        using (FileStream file = File.Open(MetaOf(name), FileMode.Open))
        {
            byte[] head = new byte[StoreHeader.SizeBytes];
            file.ReadExactly(head);
            BitConverter.TryWriteBytes(head.AsSpan(offset), offset == 64 ? BitConverter.ToInt64(head, 64) & ~0xFFFFFFFFL | value : value);
            fixed (byte* p = head)
                ((StoreHeader*)p)->HeaderChecksum = StoreHeader.ChecksumOf((StoreHeader*)p);
            file.Position = 0;
            file.Write(head);
        }
        Refused(name, reason);
    }

    [Fact, Trait("Anchor", "25")]
    public void Truncated_or_missing_files_of_a_store_are_refused()
    {
        Named(out string name).Dispose();
        string data = PartOf(name, "data"), pins = PartOf(name, "pins.w"), locks = PartOf(name, "lock.w");
        Truncated(MetaOf(name), 20_000, "its header says");
        Truncated(data, 1 << 20, $"{1 << 20} bytes long");
        Truncated(pins, 5000, "truncated");
        Truncated(pins, 0, "not the pins file");
        foreach (string file in (string[])[data, pins, locks])
        {
            File.Move(file, file + ".away"); // A name that is no store's.
            Refused(name, "incomplete");
            File.Move(file + ".away", file);
        }
        Open(name).Put(Id("a"), [1]); // As good as before.

        void Truncated(string file, long length, string reason)
        {
            byte[] all = File.ReadAllBytes(file);
            using (FileStream stream = File.Open(file, FileMode.Open))
                stream.SetLength(length);
            Refused(name, reason);
            using (FileStream stream = File.Open(file, FileMode.Open))
                stream.Write(all);
        }
    }

    [Fact, Trait("Anchor", "25")]
    public void Pins_file_of_another_store_is_refused()
    {
        Named(out string name).Dispose();
        Named(out string other).Dispose();
        File.Copy(PartOf(other, "pins.w"), PartOf(name, "pins.w"), overwrite: true);
        Refused(name, "not the pins file");
    }

    [Fact, Trait("Anchor", "25")]
    public void Symbolic_links_and_other_kinds_of_files_are_refused()
    {
        Named(out string target).Dispose();
        string name = NewName();
        File.CreateSymbolicLink(MetaOf(name), MetaOf(target));
        Refused(name, "symbolic link");
        Assert.True(PlasmaStore.Destroy(name)); // The link goes, its target stays.
        Open(target).Put(Id("a"), [1]);

        string fifo = NewName();
        Assert.Equal(0, Syscall.mkfifo(MetaOf(fifo), FilePermissions.S_IRUSR | FilePermissions.S_IWUSR));
        Eventually.Ends(() => Refused(fifo, "not a regular file"));
        Eventually.Ends(() => Assert.True(PlasmaStore.Destroy(fifo)));
        string folder = NewName();
        Directory.CreateDirectory(MetaOf(folder));
        try
        {
            Assert.ThrowsAny<Exception>(() => PlasmaStore.OpenOrCreate(folder, Small));
        }
        finally
        {
            Directory.Delete(MetaOf(folder));
        }
    }

    [Theory, Trait("Anchor", "25")]
    [InlineData("data")]
    [InlineData("pins.w")]
    [InlineData("lock.w")]
    public void Pipe_in_the_place_of_another_file_is_refused(string part)
    {
        Named(out string name).Dispose();
        string file = PartOf(name, part);
        File.Delete(file);
        Assert.Equal(0, Syscall.mkfifo(file, FilePermissions.S_IRUSR | FilePermissions.S_IWUSR));
        Eventually.Ends(() => Refused(name, "not a regular file"));
        Eventually.Ends(() => Assert.True(PlasmaStore.Destroy(name)));
    }

    [Fact, Trait("Anchor", "25")]
    public void World_writable_meta_file_is_refused()
    {
        Named(out string name).Dispose();
        SetMode(MetaOf(name), 0x1B6);
        Refused(name, "writable by everybody");
    }

    [Fact, Trait("Anchor", "25")]
    public void Meta_file_of_another_owner_than_its_header_says_is_refused()
    {
        if (!IsRoot)
        {
            Assert.Fail("Only root can give a file away: run the tests as root.");
            return;
        }
        Named(out string name).Dispose();
        Assert.Equal(0, Syscall.chown(MetaOf(name), 65534, uint.MaxValue));
        Refused(name, "belongs to user 65534");
    }

    [Theory, Trait("Anchor", "25")]
    [InlineData(true)]
    [InlineData(false)]
    public void Store_of_an_earlier_boot_is_refused_unless_it_was_closed_cleanly(bool clean)
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), [1]);
        store.Dispose();
        Change(name, 704, static b => (byte)(b ^ 1)); // The boot id.
        Assert.Equal(1, ReadByte(name, 640) & 1); // The mark that no writer is left.
        if (clean)
        {
            Assert.True(Open(name).Contains(Id("a")));
            return;
        }
        Change(name, 640, static b => (byte)(b & ~1));
        Refused(name, "went down");
    }

    [Fact]
    public void Word_that_leads_outside_its_table_marks_the_store_as_broken_instead_of_crashing()
    {
        VerifyAtEnd = false;
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), [1, 2, 3]);
        long entry = -1;
        for (int i = 0; i < store.ObjectCountMax && entry < 0; i++)
            if (store.Memory.Entries[i].Id == Id("a"))
                entry = i;
        store.Memory.Entries[entry].DataOffset = long.MaxValue - 1;
        Assert.Contains("broken", Assert.Throws<PlasmaFormatException>(() => store.TryGet(Id("a"), out _)).Message, StringComparison.Ordinal);
        Assert.Contains("found broken", Assert.Throws<PlasmaFormatException>(() => store.Put(Id("b"), [1])).Message, StringComparison.Ordinal);
        Assert.NotEmpty(store.Verify().Problems);
    }

    [Fact]
    public void Files_of_a_creator_that_died_are_removed_by_the_next_one()
    {
        Named(out string donor).Dispose();
        string name = NewName();
        string uuid = Guid.NewGuid().ToString("N");
        foreach (string kind in (string[])["data", "pins.w", "lock.w", "new"])
            File.Copy(PartOf(donor, kind == "new" ? "data" : kind), $"/dev/shm/fastplasma.{name}.{uuid}.{kind}");
        Named(out _); // Another name's creator leaves them alone.
        Assert.Equal(4, Directory.GetFiles("/dev/shm", $"fastplasma.{name}.{uuid}.*").Length);
        Keep(PlasmaStore.Create(name, Small)).Put(Id("a"), [1]);
        Assert.Empty(Directory.GetFiles("/dev/shm", $"fastplasma.{name}.{uuid}.*"));
        Assert.DoesNotContain(PlasmaStore.ListStores(), n => n.Contains(uuid, StringComparison.Ordinal));
    }

    private static string MetaOf(string name) => $"/dev/shm/fastplasma.{name}";

    private static string PartOf(string name, string kind) => Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*.{kind}").Single();

    private static void SetMode(string file, uint mode) => Assert.Equal(0, Syscall.chmod(file, (FilePermissions)mode));

    private static void Refused(string name, string reason)
    {
        foreach (Func<PlasmaStore> open in (Func<PlasmaStore>[])[() => PlasmaStore.Open(name), () => PlasmaStore.OpenOrCreate(name, Small), () => PlasmaStore.Open(name, Small with { Access = StoreAccess.ReadOnly })])
        {
            string message = Assert.Throws<PlasmaFormatException>(() => open().Dispose()).Message;
            Assert.Contains(reason, message, StringComparison.Ordinal);
            Assert.Contains(name, message, StringComparison.Ordinal);
        }
    }

    private static void Change(string name, long offset, Func<byte, byte> change)
    {
        byte value = change(ReadByte(name, offset));
        using FileStream file = File.Open(MetaOf(name), FileMode.Open);
        file.Position = offset;
        file.WriteByte(value);
    }

    private static byte ReadByte(string name, long offset)
    {
        using FileStream file = File.OpenRead(MetaOf(name));
        file.Position = offset;
        return (byte)file.ReadByte();
    }
}
