using System.Buffers;
using FastPlasma.Data;
using FastPlasma.Examples.Serializers;

namespace FastPlasma.Tests.Data;

/// <summary>Values through serializers, with the two of the examples.</summary>
public sealed class SerializerTests : StoreTest
{
    private static readonly Quote[] s_quotes = [.. Enumerable.Range(0, 2000).Select(static i => new Quote($"SYM{i}", i / 8.0, i, i % 3 == 0 ? new string('ä', i) : null))];
    private readonly PlasmaStore _store;
    private readonly ObjectId _id = Id("quotes");

    public SerializerTests() => _store = Anonymous();

    public static TheoryData<string> Names => ["json", "memorypack"];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_value_comes_back_equal(string name)
    {
        IObjectSerializer<Quote[]> serializer = Of(name);
        _store.Put(_id, s_quotes, serializer);
        Assert.True(_store.TryGet(_id, serializer, out Quote[]? back));
        Assert.Equal(s_quotes, back);
        Assert.Equal(s_quotes, _store.Get(_id, serializer, TimeSpan.Zero));
        using PlasmaObject obj = _store.Get(_id, TimeSpan.Zero);
        Assert.Equal((serializer.GetSize(s_quotes), serializer.ContentType), (obj.Length, obj.ContentType));
        _store.Put(Id("typed"), s_quotes, serializer, new ObjectOptions { ContentType = "x/y" });
        Assert.Equal("x/y", _store.List().Single(info => info.Id == Id("typed")).ContentType);
    }

    /// <summary>Serializers ask for the worst case; near the end of the object that is more than is left, and only that end is copied.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void The_store_copies_no_more_than_the_end_of_a_value(string name)
    {
        IObjectSerializer<Quote[]> serializer = Of(name);
        _store.Put(_id, s_quotes, serializer);
        OperationCounts counts = _store.Stats().Process;
        Assert.InRange(counts.CreateCopiedBytes, 0, counts.CreateBytes / 10);
        Assert.Equal((0, 0), (counts.PutCopiedBytes, counts.GetCopiedBytes));
        Assert.True(_store.TryGet(_id, serializer, out _));
        Assert.Equal(0, _store.Stats().Process.GetCopiedBytes);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Small_values_and_empty_ones_come_back(string name)
    {
        IObjectSerializer<Quote[]> serializer = Of(name);
        for (int count = 0; count < 5; count++)
        {
            _store.Put(Id($"{count}"), s_quotes[..count], serializer);
            Assert.Equal(s_quotes[..count], _store.Get(Id($"{count}"), serializer, TimeSpan.Zero));
        }
    }

    [Fact]
    public void A_missing_value_is_an_answer()
    {
        Assert.False(_store.TryGet(_id, Of("json"), out Quote[]? value));
        Assert.Null(value);
        Assert.Throws<TimeoutException>(() => _store.Get(_id, Of("json"), TimeSpan.Zero));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Bytes_that_are_no_value_are_the_serializers_error_and_leave_no_pin(string name)
    {
        _store.Put(_id, Pattern.Of(1, 100));
        Assert.ThrowsAny<Exception>(() => _store.TryGet(_id, Of(name), out Quote[]? _));
        Assert.Empty(_store.List().Single().Holders);
    }

    [Theory]
    [InlineData(9, "only 9")]
    [InlineData(11, "is full")]
    public void A_serializer_that_writes_another_size_than_it_said_gives_the_object_up(int written, string said)
    {
        string message = Assert.Throws<InvalidOperationException>(() => _store.Put(_id, written, new Liar())).Message;
        Assert.Contains(said, message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (_store.Stats().SealedCount, _store.Stats().CreatingCount));
    }

    private static IObjectSerializer<Quote[]> Of(string name) =>
        name == "json" ? new JsonObjectSerializer<Quote[]>(QuoteJson.Default.QuoteArray) : new MemoryPackObjectSerializer<Quote[]>();

    private sealed class Liar : IObjectSerializer<int>
    {
        public string ContentType => "x/liar";

        public long GetSize(int value) => 10;

        public void Serialize(int value, IBufferWriter<byte> target) => target.Write(new byte[value].AsSpan());

        public int Deserialize(in ReadOnlySequence<byte> source) => (int)source.Length;
    }
}
