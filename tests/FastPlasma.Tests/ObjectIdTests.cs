using CsCheck;

namespace FastPlasma.Tests;

/// <summary>Promises of <see cref="ObjectId"/>.</summary>
public sealed class ObjectIdTests
{
    private static readonly Gen<ObjectId> s_ids = Gen.Byte.Array[ObjectId.SizeBytes].Select(static b => new ObjectId(b));

    [Fact]
    public void Hexadecimal_text_reads_back_as_the_same_id() => s_ids.Sample(
        static id =>
        {
            string text = id.ToString();
            Assert.Equal(56, text.Length);
            Assert.Equal(id, ObjectId.Parse(text));
            Assert.Equal(id, ObjectId.Parse(text.ToUpperInvariant()));
            Assert.True(ObjectId.TryParse(text, null, out ObjectId parsed) && parsed == id && parsed.GetHashCode() == id.GetHashCode());
            Span<char> chars = stackalloc char[56];
            Assert.True(id.TryFormat(chars, out int written, default, null) && written == 56 && chars.SequenceEqual(text));
            Assert.False(id.TryFormat(chars[..55], out _, default, null));
            Assert.Equal(text, $"{id}");
            byte[] bytes = new byte[28];
            id.CopyTo(bytes);
            Assert.Equal(text, Convert.ToHexStringLower(bytes));
        },
        iter: 300,
        threads: 1);

    [Theory]
    [InlineData("")]
    [InlineData("00")]
    [InlineData("zz")]
    [InlineData("0000000000000000000000000000000000000000000000000000000g")]
    [InlineData("000000000000000000000000000000000000000000000000000000000")]
    [InlineData("0000000000000000000000000000000000000000000000000000000 ")]
    [InlineData("00000000000000000000000000000000000000000")]
    [InlineData("é0000000000000000000000000000000000000000000000000000000")]
    public void Other_text_is_refused_with_what_was_expected(string text)
    {
        Assert.False(ObjectId.TryParse(text, null, out ObjectId id));
        Assert.Equal(default, id);
        string message = Assert.Throws<FormatException>(() => ObjectId.Parse(text)).Message;
        Assert.Contains("56", message, StringComparison.Ordinal);
        Assert.Contains($"{text.Length} characters", message, StringComparison.Ordinal);
        Assert.False(ObjectId.TryParse((string?)null, null, out _));
    }

    [Fact]
    public void Narrower_ids_are_extended_with_zero_bytes()
    {
        var guid = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");
        Assert.Equal("00112233445566778899aabbccddeeff000000000000000000000000", ObjectId.FromGuid(guid).ToString());
        byte[] plasma = [.. Enumerable.Range(1, 20).Select(static i => (byte)i)];
        Assert.Equal("0102030405060708090a0b0c0d0e0f10111213140000000000000000", ObjectId.FromPlasma(plasma).ToString());
        Assert.Equal(ObjectId.FromPlasma(plasma), ObjectId.Parse("0102030405060708090a0b0c0d0e0f1011121314"));
        Assert.Throws<ArgumentException>(() => ObjectId.FromPlasma(new byte[19]));
        Assert.Throws<ArgumentException>(() => new ObjectId(new byte[27]));
        Assert.Throws<ArgumentException>(() => ObjectId.NewRandom().CopyTo(new byte[27]));
        Assert.Throws<ArgumentException>(() => ObjectId.FromName(""));
    }

    [Fact]
    public void Names_and_contents_give_the_first_28_bytes_of_their_SHA_256()
    {
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61", ObjectId.FromName("abc").ToString());
        Assert.Equal(ObjectId.FromName("abc"), ObjectId.FromContent("abc"u8));
        string longName = new('ä', 5000);
        Assert.Equal(ObjectId.FromContent(System.Text.Encoding.UTF8.GetBytes(longName)), ObjectId.FromName(longName));
    }

    [Fact]
    public void Order_is_that_of_the_bytes() => Gen.Select(s_ids, s_ids, Gen.Int[0, 27]).Sample(
        static (a, b, same) =>
        {
            byte[] x = new byte[28], y = new byte[28];
            a.CopyTo(x);
            b.CopyTo(y);
            x.AsSpan(0, same).CopyTo(y); // Equal beginnings, so that later bytes decide.
            var left = new ObjectId(x);
            var right = new ObjectId(y);
            int expected = Math.Sign(x.AsSpan().SequenceCompareTo(y));
            Assert.Equal(expected, Math.Sign(left.CompareTo(right)));
            Assert.Equal(expected == 0, left == right);
            Assert.Equal(expected != 0, left != right);
            Assert.Equal(expected < 0, left < right);
            Assert.Equal(expected <= 0, left <= right);
            Assert.Equal(expected > 0, left > right);
            Assert.Equal(expected >= 0, left >= right);
            Assert.True(left.Equals((object)new ObjectId(x)));
        },
        iter: 500,
        threads: 1);
}
