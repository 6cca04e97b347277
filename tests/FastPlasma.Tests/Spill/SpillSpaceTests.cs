using FastPlasma.Nodes;
using FastPlasma.Spill;

namespace FastPlasma.Tests.Spill;

/// <summary>Copies of objects on disk: written, read back whole and in parts, freed and their space used again.</summary>
public sealed class SpillSpaceTests : SpillTest
{
    [Theory]
    [InlineData(1)]
    [InlineData(4000)]
    [InlineData(30720)]
    [InlineData(30721)]
    [InlineData(32768)]
    [InlineData(65536)]
    [InlineData(100_001)]
    [InlineData(1 << 20)]
    [InlineData(5_000_001)]
    public void What_was_written_is_read_back_into_any_memory(int bytes)
    {
        PlasmaStore store = Anonymous(WithSpill());
        using PlasmaObject obj = Put(store, "a", bytes, tail: true);
        SpillPlace place = Write(store, obj, out ObjectImage image);
        byte[] expected = ImageBytes(store, obj);
        Same(expected, ReadBack(store, place, image));
        Same(expected, ReadBack(store, place, image, shift: 64));
        byte[] part = new byte[Math.Min(bytes, 300_000)];
        foreach (int from in (int[])[0, bytes - part.Length, (bytes - part.Length) / 2])
        {
            Assert.Null(ReadRange(store, place, image, from, part));
            Same(expected.AsSpan(from, part.Length), part);
        }
    }

    [Fact]
    public void Freed_space_is_used_again()
    {
        PlasmaStore store = Anonymous(WithSpill() with { SpillBytes = 4 << 20 });
        using PlasmaObject obj = Put(store, "a", 1 << 20);
        for (int round = 0; round < 20; round++)
        {
            SpillPlace place = Write(store, obj, out ObjectImage image);
            Assert.True(SpaceOf(store).Free(place, image, OwnerOf(store, obj)) >= image.ImageBytes);
            Assert.Equal(0, SpaceOf(store).Free(place, image, OwnerOf(store, obj)));
        }
    }

    [Fact]
    public void A_full_space_says_which_limit_was_reached()
    {
        PlasmaStore store = Anonymous(WithSpill() with { SpillBytes = 2 << 20 });
        using PlasmaObject obj = Put(store, "a", 1 << 20);
        Write(store, obj, out _);
        SpillError error = WriteRefused(store, obj);
        Assert.Equal(SpillErrorKind.Limit, error.Kind);
        Assert.Equal(obj.Id, error.Id);
        Assert.Contains("2097152", error.Message, StringComparison.Ordinal);
    }
}
