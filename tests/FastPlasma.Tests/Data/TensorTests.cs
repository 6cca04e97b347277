using System.Numerics;
using System.Numerics.Tensors;
using System.Text;
using FastPlasma.Data;

namespace FastPlasma.Tests.Data;

/// <summary>Tensors: written and read in place, and never read as what they are not.</summary>
public sealed unsafe class TensorTests : StoreTest
{
    private readonly PlasmaStore _store;
    private readonly ObjectId _id = Id("tensor");

    public TensorTests() => _store = Anonymous();

    [Fact]
    public void A_tensor_is_written_in_place_and_read_in_place()
    {
        using (TensorWriter<double> writer = _store.CreateTensor<double>(_id, [20, 300]))
        {
            for (nint row = 0; row < 20; row++)
                for (nint column = 0; column < 300; column++)
                    writer.Span[[row, column]] = row * 1000 + column;
            writer.Seal();
        }
        OperationCounts before = _store.Stats().Process;
        Assert.True(_store.TryGetTensor<double>(_id, out TensorObject<double> tensor, rank: 2));
        using (tensor)
        {
            Assert.Equal([20, 300], tensor.Span.Lengths.ToArray());
            Assert.Equal(19_299, tensor.Span[[19, 299]]);
            Assert.Equal((nint)tensor.Object.Pointer, AddressOf(tensor.Span));
            Assert.Equal(0, AddressOf(tensor.Span) % 4096); // 48,000 bytes.
        }
        OperationCounts after = _store.Stats().Process;
        Assert.Equal((0, 0), (after.CreateCopiedBytes, after.GetCopiedBytes - before.GetCopiedBytes));
    }

    [Fact]
    public void A_put_of_a_dense_tensor_is_one_copy_and_one_with_gaps_is_gathered()
    {
        float[] values = [.. Enumerable.Range(0, 60).Select(static i => (float)i)];
        _store.PutTensor(_id, new ReadOnlyTensorSpan<float>(values, [3, 4, 5]));
        Assert.Equal(240, _store.Stats().Process.PutCopiedBytes);
        using (TensorObject<float> dense = _store.GetTensor<float>(_id, TimeSpan.Zero, rank: 3))
        {
            Assert.Equal(59, dense.Span[[2, 3, 4]]);
            Assert.Equal(0, AddressOf(dense.Span) % 64);
            _store.PutTensor(Id("part"), dense.Span.Slice([1..3, 1..3, 2..4]));
        }
        using TensorObject<float> part = _store.GetTensor<float>(Id("part"), TimeSpan.Zero);
        Assert.Equal([2, 2, 2], part.Span.Lengths.ToArray());
        var flat = new float[8];
        part.Span.FlattenTo(flat);
        Assert.Equal([27, 28, 32, 33, 47, 48, 52, 53], flat);
    }

    [Fact]
    public void Transposed_and_repeated_sources_are_stored_in_their_own_order()
    {
        float[] values = [0, 1, 2, 3, 4, 5];
        _store.PutTensor(_id, new ReadOnlyTensorSpan<float>(values, [3, 2], [1, 3]));
        using TensorObject<float> transposed = _store.GetTensor<float>(_id, TimeSpan.Zero);
        var flat = new float[6];
        transposed.Span.FlattenTo(flat);
        Assert.Equal([0, 3, 1, 4, 2, 5], flat);
        _store.PutTensor(Id("repeated"), new ReadOnlyTensorSpan<float>(values, [2, 3], [0, 1]));
        using TensorObject<float> repeated = _store.GetTensor<float>(Id("repeated"), TimeSpan.Zero);
        repeated.Span.FlattenTo(flat);
        Assert.Equal([0, 1, 2, 0, 1, 2], flat);
        Assert.Throws<ArgumentException>(() => _store.PutTensor(Id("nothing"), default(ReadOnlyTensorSpan<float>)));
    }

    [Fact]
    public void An_element_type_whose_name_is_too_long_is_refused()
    {
        Assert.Contains("longer than 512", Assert.Throws<NotSupportedException>(() => Create<Both<Both<Both<Both<byte, byte>, Both<byte, byte>>, Both<Both<byte, byte>, Both<byte, byte>>>, Both<Both<Both<byte, byte>, Both<byte, byte>>, Both<Both<byte, byte>, Both<byte, byte>>>>>()).Message, StringComparison.Ordinal);
        RoundTrip(new Both<Point, byte> { Left = new Point(1, 2, 3) });

        void Create<T>()
            where T : unmanaged => _store.CreateTensor<T>(_id, [1]).Dispose();
    }

    [Fact]
    public void Every_unmanaged_element_type_comes_back()
    {
        RoundTrip<byte>(255);
        RoundTrip<sbyte>(-1);
        RoundTrip<short>(-2);
        RoundTrip<ushort>(65535);
        RoundTrip(-3);
        RoundTrip(4u);
        RoundTrip(-5L);
        RoundTrip(6ul);
        RoundTrip((Half)0.5);
        RoundTrip(0.25f);
        RoundTrip(0.125);
        RoundTrip(true);
        RoundTrip(new Complex(1, -1));
        RoundTrip(new Point(1, 2, 3));
        RoundTrip(Guid.Parse("11111111-2222-3333-4444-555555555555"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(32)]
    public void Every_rank_from_1_to_32_comes_back(int rank)
    {
        nint[] lengths = [.. Enumerable.Repeat((nint)1, rank - 1), 7];
        using (TensorWriter<int> writer = _store.CreateTensor<int>(_id, lengths))
        {
            writer.Span.Fill(9);
            writer.Seal();
        }
        using TensorObject<int> tensor = _store.GetTensor<int>(_id, TimeSpan.Zero, rank);
        Assert.Equal(lengths, tensor.Span.Lengths.ToArray());
        Assert.Equal(63, Tensor.Sum(tensor.Span));
    }

    [Fact]
    public void An_empty_tensor_keeps_its_lengths()
    {
        using (TensorWriter<int> writer = _store.CreateTensor<int>(_id, [3, 0, 5]))
            writer.Seal();
        using TensorObject<int> tensor = _store.GetTensor<int>(_id, TimeSpan.Zero);
        Assert.True(tensor.Span.IsEmpty);
        Assert.Equal([3, 0, 5], tensor.Span.Lengths.ToArray());
    }

    [Fact]
    public void Another_process_reads_the_same_tensor()
    {
        PlasmaStore store = Named(out string name);
        using (TensorWriter<double> writer = store.CreateTensor<double>(_id, [3, 4]))
        {
            writer.Span.Fill(0.5);
            writer.Seal();
        }
        Assert.Equal("3x4 6", StartWorker(name).Call("tensor tensor"));
    }

    [Fact]
    public void A_get_of_a_tensor_allocates_nothing()
    {
        foreach (nint[] lengths in (nint[][])[[24], [4, 6], [2, 3, 4], [1, 2, 3, 4]])
        {
            ObjectId id = Id($"of {lengths.Length}");
            using (TensorWriter<float> writer = _store.CreateTensor<float>(id, lengths))
                writer.Seal();
            Assert.Equal(0, AllocatedPerRound.Least(() =>
            {
                if (!_store.TryGetTensor<float>(id, out TensorObject<float> tensor) || tensor.Span.FlattenedLength != 24)
                    Assert.Fail("wrong tensor");
                tensor.Dispose();
                using TensorObject<float> again = _store.GetTensor<float>(id, TimeSpan.FromSeconds(1), lengths.Length);
                using PlasmaObject obj = _store.Get(id, TimeSpan.Zero);
                if (obj.AsTensor<float>().Rank != again.Span.Rank)
                    Assert.Fail("wrong rank");
            }));
        }
    }

    [Fact]
    public void A_missing_tensor_is_an_answer()
    {
        Assert.False(_store.TryGetTensor<int>(_id, out _));
        Assert.Throws<TimeoutException>(() => _store.GetTensor<int>(_id, TimeSpan.Zero).Dispose());
    }

    [Fact]
    public void Another_element_type_is_refused_by_name_and_size()
    {
        _store.PutTensor(_id, new ReadOnlyTensorSpan<float>([1, 2], [2]));
        var e = Assert.Throws<InvalidCastException>(() => _store.TryGetTensor<int>(_id, out _));
        Assert.Contains("float32 (4 bytes each), not of int32 (4 bytes each)", e.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidCastException>(() => _store.GetTensor<Point>(_id, TimeSpan.Zero).Dispose());
        NothingIsPinned();
    }

    [Fact]
    public void Another_rank_is_refused_with_both_numbers()
    {
        _store.PutTensor(_id, new ReadOnlyTensorSpan<float>([1, 2], [2, 1]));
        var e = Assert.Throws<InvalidCastException>(() => _store.TryGetTensor<float>(_id, out _, rank: 3));
        Assert.Contains("2 dimensions, 3 were asked for", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => _store.TryGetTensor<float>(_id, out _, rank: -1));
        NothingIsPinned();
    }

    [Fact]
    public void Lengths_that_make_no_tensor_are_refused_before_anything_happens()
    {
        Assert.Throws<ArgumentException>(() => _store.CreateTensor<int>(_id, []).Dispose());
        Assert.Throws<ArgumentException>(() => _store.CreateTensor<int>(_id, new nint[33]).Dispose());
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => _store.CreateTensor<int>(_id, [2, -1]).Dispose()).Message, StringComparison.Ordinal);
        Assert.Contains("2^63", Assert.Throws<ArgumentException>(() => _store.CreateTensor<int>(_id, [nint.MaxValue, 2]).Dispose()).Message, StringComparison.Ordinal);
        Assert.Contains("metadata", Assert.Throws<ArgumentException>(() => _store.CreateTensor<int>(_id, [2], new ObjectOptions { Metadata = [1] }).Dispose()).Message, StringComparison.Ordinal);
        Assert.Equal(PlasmaStatus.TooLarge, Assert.Throws<PlasmaException>(() => _store.CreateTensor<int>(_id, [(nint)1 << 40]).Dispose()).Status);
        Assert.Equal(0, _store.Stats().CreatingCount);
    }

    [Fact]
    public void A_writer_that_is_given_up_or_sealed_gives_out_nothing_more()
    {
        TensorWriter<int> writer = _store.CreateTensor<int>(_id, [2]);
        Assert.True(writer.Writer.IsOpen);
        writer.Dispose();
        bool thrown = false;
        try
        {
            _ = writer.Span;
        }
        catch (InvalidOperationException)
        {
            thrown = true;
        }
        Assert.True(thrown);
        Assert.Equal(PlasmaStatus.Closed, writer.TrySeal());
        Assert.False(_store.Contains(_id));
    }

    [Fact]
    public void An_object_that_is_no_tensor_says_so()
    {
        _store.Put(_id, new byte[8]);
        Assert.Contains("no tensor", Assert.Throws<InvalidDataException>(() => _store.TryGetTensor<byte>(_id, out _)).Message, StringComparison.Ordinal);
        NothingIsPinned();
    }

    /// <summary>Whatever header another process writes: it is refused, or describes exactly the payload.</summary>
    [Fact]
    public void A_damaged_header_is_refused_or_describes_exactly_the_payload()
    {
        using (TensorWriter<int> writer = _store.CreateTensor<int>(_id, [4, 6]))
            writer.Seal();
        byte[] good;
        using (PlasmaObject obj = _store.Get(_id, TimeSpan.Zero))
            good = obj.Metadata.ToArray();

        // By hand: each field by itself.
        foreach ((int offset, int bytes, long value, string said) in ((int, int, long, string)[])
        [
            (0, 4, 0, "no tensor"), (4, 2, 2, "version 2"), (6, 2, 0, "0 dimensions"), (6, 2, 33, "33 dimensions"), (6, 2, 3, "damaged"), (12, 4, -1, "-1 bytes"), (12, 4, 513, "513 bytes"), (12, 4, 4, "damaged"),
            (16, 8, -4, "length -4"), (16, 8, 5, "5 x 6"), (16, 8, long.MaxValue, "x 6"), (24, 8, 1L << 62, "4 x"),
        ])
        {
            byte[] bad = [.. good];
            BitConverter.GetBytes(value).AsSpan(0, bytes).CopyTo(bad.AsSpan(offset));
            Assert.Contains(said, Assert.Throws<InvalidDataException>(() => Read(bad, out _)).Message, StringComparison.Ordinal);
        }
        byte[] otherSize = [.. good];
        otherSize[8] = 8;
        Assert.Throws<InvalidCastException>(() => Read(otherSize, out _));
        for (int length = 0; length < good.Length; length++)
            Assert.Throws<InvalidDataException>(() => Read(good[..length], out _));

        // At random.
        int seed = LongRun.Seed, read = 0;
        var random = new Random(seed);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bad = [.. good];
            for (int n = random.Next(1, 4); n > 0; n--)
                bad[random.Next(bad.Length)] = (byte)(random.Next(3) == 0 ? random.Next(256) : random.Next(8));
            try
            {
                Read(bad, out long elements);
                Assert.True(elements == 24, $"seed {seed}: {elements} elements of {Convert.ToHexString(bad)}");
                read++;
            }
            catch (Exception e) when (e is InvalidDataException or InvalidCastException)
            {
                // Refused.
            }
        }
        Assert.InRange(read, 1, 19_999); // Damage that changes nothing happens; if all were read or none, nothing was tried.
        NothingIsPinned();

        void Read(byte[] header, out long elements)
        {
            _store.Delete(_id);
            _store.Put(_id, new byte[96], new ObjectOptions { Metadata = header });
            using TensorObject<int> tensor = _store.GetTensor<int>(_id, TimeSpan.Zero);
            elements = tensor.Span.FlattenedLength;
            Assert.Equal(0, Tensor.Sum(tensor.Span));
        }
    }

    [Fact]
    public void The_header_has_the_documented_bytes()
    {
        using (TensorWriter<float> writer = _store.CreateTensor<float>(_id, [2, 3]))
            writer.Seal();
        using PlasmaObject obj = _store.Get(_id, TimeSpan.Zero);
        Assert.Equal("4650544E" + "0100" + "0200" + "04000000" + "07000000" + "0200000000000000" + "0300000000000000" + Convert.ToHexString(Encoding.UTF8.GetBytes("float32")), Convert.ToHexString(obj.Metadata));
        Assert.Equal("application/x-fastplasma-tensor", obj.ContentType);
    }

    private void RoundTrip<T>(T value)
        where T : unmanaged
    {
        ObjectId id = Id(typeof(T).Name);
        _store.PutTensor(id, new ReadOnlyTensorSpan<T>([default, value], [1, 2]));
        using TensorObject<T> tensor = _store.GetTensor<T>(id, TimeSpan.Zero, rank: 2);
        Assert.Equal(value, tensor.Span[[0, 1]]);
    }

    private void NothingIsPinned() => Assert.All(_store.List(), static info => Assert.Empty(info.Holders));

    private static nint AddressOf<T>(ReadOnlyTensorSpan<T> span)
        where T : unmanaged
    {
        fixed (T* p = &span.GetPinnableReference())
            return (nint)p;
    }

    private record struct Both<TLeft, TRight>(TLeft Left, TRight Right);

    private readonly record struct Point(short X, int Y, long Z);
}
