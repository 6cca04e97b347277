using FastPlasma.Cli;

namespace FastPlasma.Tests;

/// <summary>Sizes, durations and object keys as people type them.</summary>
public sealed class SizesTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("17", 17)]
    [InlineData("17B", 17)]
    [InlineData("1K", 1024)]
    [InlineData("1k", 1024)]
    [InlineData("1KiB", 1024)]
    [InlineData("1kib", 1024)]
    [InlineData("1KB", 1000)]
    [InlineData("1 MB", 1_000_000)]
    [InlineData(" 2 MiB ", 2 << 20)]
    [InlineData("1.5GiB", 3L << 29)]
    [InlineData("0.5K", 512)]
    [InlineData("2T", 2L << 40)]
    [InlineData("1PB", 1_000_000_000_000_000)]
    [InlineData("7E", 7L << 60)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Sizes_are_read_with_their_unit(string text, long bytes)
    {
        Assert.True(Sizes.TryParseBytes(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("K")]
    [InlineData("1X")]
    [InlineData("1iB")]
    [InlineData("1KK")]
    [InlineData("1KiBB")]
    [InlineData("1e3")]
    [InlineData("1,000")]
    [InlineData("1.2.3")]
    [InlineData("0.3")]
    [InlineData("0.0001K")]
    [InlineData("8E")]
    [InlineData("9223372036854775808")]
    [InlineData("99999999999999999999999999999999999999E")]
    [InlineData("1 Ki B")]
    public void What_is_no_whole_number_of_bytes_is_refused(string text) => Assert.False(Sizes.TryParseBytes(text, out _));

    [Theory]
    [InlineData("5", 5000)]
    [InlineData("5s", 5000)]
    [InlineData("250ms", 250)]
    [InlineData("1.5s", 1500)]
    [InlineData("2m", 120_000)]
    [InlineData("1h", 3_600_000)]
    [InlineData("24d", 24L * 86_400_000)]
    [InlineData("0", 0)]
    public void Durations_are_read_with_their_unit(string text, long milliseconds)
    {
        Assert.True(Sizes.TryParseDuration(text, out TimeSpan duration));
        Assert.Equal(milliseconds, (long)duration.TotalMilliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1s")]
    [InlineData("1w")]
    [InlineData("s")]
    [InlineData("25d")]
    [InlineData("1e9")]
    [InlineData("NaN")]
    public void What_is_no_duration_is_refused(string text) => Assert.False(Sizes.TryParseDuration(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData((1 << 20) - 1, "1 MiB")]
    [InlineData(1L << 40, "1 TiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    public void Sizes_are_shown_with_three_digits(long bytes, string text) => Assert.Equal(text, Sizes.Bytes(bytes));

    [Fact]
    public void Hexadecimal_digits_are_an_id_and_anything_else_a_name()
    {
        ObjectId id = ObjectId.NewRandom();
        string hex = id.ToString(), plasma = hex[..40];
        Assert.Equal(id, ObjectKey.Parse(hex).Id);
        Assert.Equal(id, ObjectKey.Parse(hex.ToUpperInvariant()).Id);
        Assert.Equal(id, ObjectKey.Parse("id:" + hex).Id);
        Assert.Equal(plasma + new string('0', 16), ObjectKey.Parse(plasma).Id.ToString());
        Assert.Equal(ObjectId.FromName(hex), ObjectKey.Parse("name:" + hex).Id);
        Assert.Equal(ObjectId.FromName("model.bin"), ObjectKey.Parse("model.bin").Id);
        Assert.Equal(ObjectId.FromName("name:x"), ObjectKey.Parse("name:name:x").Id);
        Assert.Equal(ObjectId.FromName(hex.AsSpan(0, 55)), ObjectKey.Parse(hex[..55]).Id);
    }

    [Theory]
    [InlineData("id:")]
    [InlineData("id:12")]
    [InlineData("id:zz")]
    [InlineData("name:")]
    [InlineData("")]
    public void Keys_that_name_nothing_are_refused(string text) => Assert.Equal(ExitCodes.Usage, Assert.Throws<CliException>(() => ObjectKey.Parse(text)).ExitCode);
}
