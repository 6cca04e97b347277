using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Apache.Arrow;
using Apache.Arrow.Types;
using FastPlasma.Data;
using FastPlasma.Format;

namespace FastPlasma.Tests.Data;

/// <summary>Beyond 2 GiB: what cannot be is refused with its numbers, before anything is created. The memory is only asked for, never touched.</summary>
public sealed unsafe class LargeDataTests : StoreTest
{
    private const int Bytes = 1_200_000_000;
    private readonly PlasmaStore _store;

    public LargeDataTests() => _store = Anonymous();

    [Fact]
    public void Arrow_batches_of_2_GiB_together_are_refused_with_the_limit_before_anything_is_created()
    {
        using var bytes = new UntouchedBytes(Bytes);
        var column = new UInt8Array(new ArrayData(UInt8Type.Default, Bytes, 0, 0, [ArrowBuffer.Empty, new ArrowBuffer(bytes.Memory)]));
        var schema = new Schema([new Field("a", UInt8Type.Default, false)], null);
        var batch = new RecordBatch(schema, [column], Bytes);
        string message = Assert.Throws<NotSupportedException>(() => _store.PutArrow(Id("a"), schema, [batch, batch])).Message;
        Assert.Matches($@"would have 24\d{{8}} bytes; Apache.Arrow reads at most {int.MaxValue}", message);
        Assert.Equal(PlasmaStatus.TooLarge, Assert.Throws<PlasmaException>(() => _store.PutArrow(Id("a"), batch)).Status); // Below that the store decides.
        NothingWasCreated();
    }

    [Fact]
    public void An_object_of_more_than_2_GiB_is_refused_as_an_arrow_stream_with_the_limit_and_is_not_kept()
    {
        _store.Put(Id("a"), [1, 2, 3]);
        PlasmaObject small = _store.Get(Id("a"), TimeSpan.Zero);
        small.GetNumbers(out ObjectEntry* entry, out byte* payload, out _, out int slot, out long sequence);
        PlasmaObject.Init(out PlasmaObject large, _store, entry, payload, 3L << 30, slot, sequence); // As if it were so long: only its length is looked at.
        string message = Assert.Throws<NotSupportedException>(() => ArrowObject.Open(large)).Message;
        Assert.Contains($"has {3L << 30} bytes; Apache.Arrow reads at most {int.MaxValue}", message, StringComparison.Ordinal);
        Assert.False(small.IsValid);
        Assert.Empty(_store.List().Single().Holders);
    }

    [Fact]
    public void Tensors_beyond_the_store_are_refused_with_their_bytes_before_anything_is_created()
    {
        PlasmaException created = Assert.Throws<PlasmaException>(() => { _store.CreateTensor<float>(Id("a"), [1 << 16, 1 << 15]).Dispose(); });
        Assert.Equal(PlasmaStatus.TooLarge, created.Status);
        Assert.Contains($"{8L << 30} bytes", created.Message, StringComparison.Ordinal);
        long all = 2;
        all *= Bytes;
        byte* untouched = (byte*)NativeMemory.Alloc(Bytes * 2u);
        try
        {
            PlasmaException put = Assert.Throws<PlasmaException>(() => _store.PutTensor(Id("a"), new ReadOnlyTensorSpan<byte>(untouched, (nint)all, [2, Bytes])));
            Assert.Equal(PlasmaStatus.TooLarge, put.Status);
            Assert.Contains($"{Bytes * 2L} bytes", put.Message, StringComparison.Ordinal);
        }
        finally
        {
            NativeMemory.Free(untouched);
        }
        Assert.Contains("larger than 2^63 bytes", Assert.Throws<ArgumentException>(() => { _store.CreateTensor<double>(Id("a"), [nint.MaxValue, 2]).Dispose(); }).Message, StringComparison.Ordinal);
        NothingWasCreated();
    }

    /// <summary>Headers of tensors beyond 2 GiB, and beyond 2^31 elements in one dimension, mean what they say.</summary>
    [Fact]
    public void Headers_of_tensors_beyond_2_GiB_are_read_back_exactly()
    {
        Span<byte> header = stackalloc byte[TensorHeader.BytesMax];
        Span<nint> read = stackalloc nint[TensorHeader.RankMax];
        nint many = 5;
        many *= 1_000_000_000;
        foreach (nint[] lengths in (nint[][])[[1 << 16, 1 << 15], [3, many], [1, 1, (nint)1 << 40]])
        {
            long bytes = TensorHeader.PayloadBytes<float>(lengths);
            Assert.Equal(lengths.Aggregate(4L, static (product, length) => product * length), bytes);
            TensorHeader.Write<float>(header, lengths);
            Span<byte> written = header[..TensorHeader.BytesFor<float>(lengths.Length)];
            Assert.Equal(lengths.Length, TensorHeader.Read<float>(written, bytes, read));
            Assert.Equal(lengths, read[..lengths.Length].ToArray());
            foreach (long other in (long[])[bytes - 4, bytes + 4, (int)bytes, bytes & uint.MaxValue])
            {
                byte[] copy = written.ToArray();
                Assert.Contains($"not the {other} bytes", Assert.Throws<InvalidDataException>(() => TensorHeader.Read<float>(copy, other, new nint[TensorHeader.RankMax])).Message, StringComparison.Ordinal);
            }
        }
    }

    private void NothingWasCreated()
    {
        StoreStats stats = _store.Stats();
        Assert.Equal((0, 0, 0, 0), (stats.Process.Creates, stats.Process.Puts, stats.SealedCount, stats.CreatingCount));
    }

    private sealed class UntouchedBytes(int length) : MemoryManager<byte>
    {
        private readonly byte* _start = (byte*)NativeMemory.Alloc((nuint)length);

        public override Span<byte> GetSpan() => new(_start, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(_start + elementIndex);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing) => NativeMemory.Free(_start);
    }
}
