using FastPlasma.Nodes;
using FastPlasma.Spill;

namespace FastPlasma.Tests.Spill;

/// <summary>What the spill space says of copies that are missing, cut off, changed, or another object's: object, file, offset, and what was expected. Never wrong bytes.</summary>
public sealed class SpillErrorTests : SpillTest
{
    private const int LargeBytes = 900_000, SmallBytes = 5000;

    [Theory]
    [InlineData(LargeBytes, 0)]
    [InlineData(LargeBytes, 50)]
    [InlineData(LargeBytes, 130)]
    [InlineData(LargeBytes, 4096)]
    [InlineData(LargeBytes, 4096 + LargeBytes - 1)]
    [InlineData(SmallBytes, 8)]
    [InlineData(SmallBytes, 121)]
    [InlineData(SmallBytes, 128)]
    [InlineData(SmallBytes, 128 + SmallBytes - 1)]
    public void A_flipped_bit_is_found(int bytes, int at)
    {
        PlasmaStore store = Named(out _, WithSpill());
        using PlasmaObject obj = Put(store, "a", bytes);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        Flip(place.Offset + at);
        SpillError error = ReadFails(store, place, image);
        Assert.Equal(SpillErrorKind.Damaged, error.Kind);
        Expect(error, obj, place);
        Assert.Equal(1, store.SpillInfo().Directories[0].BadCopies);
        Flip(place.Offset + at);
        Same(ImageBytes(store, obj), ReadBack(store, place, image));
    }

    [Fact]
    public void A_part_is_read_past_damage_in_other_pieces()
    {
        PlasmaStore store = Named(out _, WithSpill());
        using PlasmaObject obj = Put(store, "a", LargeBytes);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        Flip(place.Offset + 4096 + 600_000);
        byte[] part = new byte[200_000];
        Assert.Null(ReadRange(store, place, image, 0, part));
        Same(Content("a", LargeBytes).AsSpan(0, part.Length), part);
        SpillError? error = ReadRange(store, place, image, 550_000, part);
        Assert.NotNull(error);
        Assert.Equal(SpillErrorKind.Damaged, error.Kind);
        Expect(error, obj, place);
    }

    [Theory]
    [InlineData(LargeBytes)]
    [InlineData(SmallBytes)]
    public void A_file_that_was_cut_off_says_so(int bytes)
    {
        PlasmaStore store = Named(out _, WithSpill());
        using PlasmaObject obj = Put(store, "a", bytes);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        using (FileStream file = File.OpenWrite(SpillFile(Folder)))
            file.SetLength(place.Offset + 1000);
        SpillError error = ReadFails(store, place, image);
        Assert.Equal(SpillErrorKind.Truncated, error.Kind);
        Expect(error, obj, place);
        Assert.Equal(SpillErrorKind.Truncated, ReadRange(store, place, image, 0, new byte[10])!.Kind);
    }

    [Fact]
    public void The_copy_of_another_object_is_not_taken_for_this_one()
    {
        PlasmaStore store = Anonymous(WithSpill());
        using PlasmaObject a = Put(store, "a", LargeBytes), b = Put(store, "b", LargeBytes);
        Write(store, a, out ObjectImage imageOfA);
        SpillPlace placeOfB = Write(store, b, out _);
        SpillError error = ReadFails(store, placeOfB, imageOfA);
        Assert.Equal(SpillErrorKind.WrongObject, error.Kind);
        Expect(error, a, placeOfB);
        Assert.Contains(b.Id.ToString(), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_place_outside_of_the_file_is_an_error_and_nothing_else()
    {
        PlasmaStore store = Anonymous(WithSpill());
        using PlasmaObject obj = Put(store, "a", LargeBytes);
        Write(store, obj, out ObjectImage image);
        foreach (SpillPlace place in (SpillPlace[])[default, SpillPlace.Claim(3), new(0, 0), new(7, 1 << 21), new(ulong.MaxValue), new(0, 1L << 50), new(0, 3L << 20)])
        {
            SpillError error = ReadFails(store, place, image);
            Assert.Equal(obj.Id, error.Id);
            Assert.Equal(0, SpaceOf(store).Free(place, image, OwnerOf(store, obj)));
        }
    }

    [Fact]
    public void A_file_that_was_removed_keeps_its_copies_for_who_has_it_open_and_takes_no_more()
    {
        PlasmaStore store = Named(out string name, WithSpill());
        using PlasmaObject obj = Put(store, "a", LargeBytes);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        File.Delete(SpillFile(Folder));
        Same(ImageBytes(store, obj), ReadBack(store, place, image));
        SpillError error = WriteRefused(store, obj);
        Assert.Equal(SpillErrorKind.Missing, error.Kind);
        Assert.Contains("removed", error.Message, StringComparison.Ordinal);

        // Who attaches now finds nothing, and says what.
        PlasmaStore other = Open(name);
        SpillError missing = ReadFails(other, place, image);
        Assert.Equal(SpillErrorKind.Missing, missing.Kind);
        Expect(missing, obj, place, file: false);
        Assert.NotNull(other.SpillInfo().Directories[0].Problem);
    }

    [Fact]
    public void When_a_directory_fails_the_next_one_is_taken_and_the_reason_is_known()
    {
        string second = NewFolder();
        PlasmaStore store = Named(out _, WithSpill(Folder, second));
        using PlasmaObject obj = Put(store, "a", LargeBytes);
        Assert.Equal(0, Write(store, obj, out _).Directory);
        File.Delete(SpillFile(Folder));
        SpillPlace place = Write(store, obj, out ObjectImage image);
        Assert.Equal(1, place.Directory);
        Same(ImageBytes(store, obj), ReadBack(store, place, image));
        SpillInfo info = store.SpillInfo();
        Assert.Contains("removed", info.Directories[0].Problem, StringComparison.Ordinal);
        Assert.Null(info.Directories[1].Problem);
    }

    [Fact]
    public void A_directory_that_cannot_be_used_at_creation_is_left_out_and_none_is_an_error()
    {
        string missing = Path.Combine(Folder, "missing");
        PlasmaStore store = Named(out string name, WithSpill(missing, Folder));
        using PlasmaObject obj = Put(store, "a", LargeBytes);
        Assert.Equal(1, Write(store, obj, out _).Directory);
        Assert.Contains(missing, store.SpillInfo().Directories[0].Problem, StringComparison.Ordinal);
        PlasmaStore other = Open(name);
        Assert.Contains(missing, other.SpillInfo().Directories[0].Problem, StringComparison.Ordinal);

        IOException refused = Assert.ThrowsAny<IOException>(() => PlasmaStore.Create(NewName(), WithSpill(missing, Path.Combine(missing, "more"))));
        Assert.Contains("ENOENT", refused.Message, StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(Folder));
    }

    [Fact]
    public void Options_that_cannot_be_are_refused_with_value_and_limit()
    {
        void Refused(PlasmaOptions options, string part)
        {
            ArgumentException e = Assert.ThrowsAny<ArgumentException>(() => PlasmaStore.CreateAnonymous(options));
            Assert.Contains(part, e.Message, StringComparison.Ordinal);
        }

        Refused(Small with { SpillBytes = 1 << 20 }, "SpillDirectories");
        Refused(Small with { Persist = true }, "SpillDirectories");
        Refused(WithSpill() with { SpillBytes = 0 }, "SpillBytes is 0");
        Refused(WithSpill() with { SpillReserve = 1 }, "SpillReserve is 1");
        Refused(WithSpill() with { SpillReserve = double.NaN }, "SpillReserve is NaN");
        Refused(WithSpill(Folder, Folder + "/"), "twice");
        Refused(WithSpill([.. Enumerable.Range(0, 17).Select(i => $"{Folder}/{i}")]), "at most 16");
        Refused(WithSpill("/" + new string('x', 1100)), "1024");
        Assert.Empty(Directory.GetFiles(Folder));
    }

    [Fact]
    public void A_damaged_map_refuses_the_store_and_names_the_field()
    {
        PlasmaStore store = Named(out string name, WithSpill());
        string map = Assert.Single(Directory.GetFiles("/dev/shm", $"fastplasma.{name}.*.spillmap"));
        using (FileStream file = File.OpenWrite(map))
        {
            file.Position = 24;
            file.WriteByte(9);
        }
        PlasmaFormatException e = Assert.Throws<PlasmaFormatException>(() => PlasmaStore.Open(name, Small));
        Assert.Contains("Checksum", e.Message, StringComparison.Ordinal);
        Assert.Contains(map, e.Message, StringComparison.Ordinal);
        store.Dispose();
        PlasmaStore.Destroy(name);
        Assert.NotEmpty(PlasmaStore.CleanSpillDirectory(Folder)); // Nobody could say any more which files are its own; the clean-up finds out.
        Assert.Empty(Directory.GetFiles(Folder));
    }

    private void Flip(long at)
    {
        using FileStream file = File.Open(SpillFile(Folder), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        file.Position = at;
        int value = file.ReadByte();
        file.Position = at;
        file.WriteByte((byte)(value ^ 0x10));
    }

    private void Expect(SpillError error, in PlasmaObject obj, SpillPlace place, bool file = true)
    {
        Assert.Equal(obj.Id, error.Id);
        Assert.Contains(obj.Id.ToString(), error.Message, StringComparison.Ordinal);
        Assert.Contains(Folder, error.Message, StringComparison.Ordinal);
        if (file)
            Assert.Equal(File.Exists(error.File) ? SpillFile(Folder) : error.File, error.File);
        Assert.True(error.Offset >= place.Offset, $"{error.Offset} is before {place.Offset}");
        Assert.Contains(error.Offset.ToString(System.Globalization.CultureInfo.InvariantCulture), error.Message, StringComparison.Ordinal);
    }
}
