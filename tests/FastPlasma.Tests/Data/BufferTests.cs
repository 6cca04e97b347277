using System.Buffers;
using System.IO.Pipelines;
using FastPlasma.Data;

namespace FastPlasma.Tests.Data;

/// <summary>Buffers, sequences, streams and pipes: one copy in, none out.</summary>
public sealed class BufferTests : StoreTest
{
    private readonly PlasmaStore _store;
    private readonly ObjectId _id = Id("bytes");
    private readonly byte[] _payload = Pattern.Of(3, 100_000);

    public BufferTests() => _store = Anonymous();

    [Fact]
    public unsafe void A_buffer_writer_writes_into_the_object_itself()
    {
        using (ObjectWriter writer = _store.Create(_id, _payload.Length))
        {
            var target = new ObjectBufferWriter(writer);
            fixed (byte* p = target.GetSpan(10))
                Assert.Equal((nint)writer.Pointer, (nint)p);
            _payload.AsSpan(0, 40_000).CopyTo(target.GetSpan(40_000));
            target.Advance(40_000);
            Assert.Equal((40_000, 60_000), (target.WrittenCount, target.FreeCount));
            Assert.Throws<InvalidOperationException>(target.RequireFull);
            _payload.AsSpan(40_000).CopyTo(target.GetMemory().Span);
            using (MemoryHandle pinned = target.GetMemory().Slice(5).Pin())
                Assert.Equal((nint)writer.Pointer + 40_005, (nint)pinned.Pointer);
            target.Advance(60_000);
            target.RequireFull();
            Assert.Equal(0, target.SpareCopiedCount);
            writer.Seal();
        }
        Assert.Equal(0, _store.Stats().Process.CreateCopiedBytes);
        Reads(_payload);
    }

    [Fact]
    public void A_full_buffer_writer_says_so_and_writes_nothing_beyond()
    {
        using ObjectWriter writer = _store.Create(_id, 100);
        var target = new ObjectBufferWriter(writer);
        Assert.Contains("100 bytes is full: 100 are written", Assert.Throws<InvalidOperationException>(() => target.Write(new byte[101].AsSpan())).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => target.Advance(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => target.GetSpan(-1).Clear());
        Assert.Throws<InvalidOperationException>(() => target.Advance(1));
        Assert.Throws<InvalidOperationException>(() => target.GetSpan().Clear());
        Assert.Equal(100, target.WrittenCount);
    }

    [Fact]
    public void A_writer_that_asks_for_too_much_gets_room_and_only_what_fits_is_taken()
    {
        using ObjectWriter writer = _store.Create(_id, 100);
        var target = new ObjectBufferWriter(writer);
        target.GetSpan(90)[..90].Fill(1);
        target.Advance(90);
        Span<byte> spare = target.GetSpan(4096); // Ten are left.
        Assert.True(spare.Length >= 4096);
        spare.Fill(2);
        Assert.Throws<InvalidOperationException>(() => target.Advance(11));
        target.Advance(10);
        Assert.Equal((100, 10), (target.WrittenCount, target.SpareCopiedCount));
        Assert.True(target.GetMemory(50).Length >= 50); // Asked for in vain: only an advance would fail.
        target.Advance(0);
        writer.Seal();
        using PlasmaObject obj = _store.Get(_id, TimeSpan.Zero);
        Same([.. Enumerable.Repeat((byte)1, 90), .. Enumerable.Repeat((byte)2, 10)], obj.Span);
        Assert.Throws<InvalidOperationException>(() => new ObjectBufferWriter(writer).GetSpan(5).Clear()); // Sealed.
    }

    [Fact]
    public void Memory_of_a_writer_throws_after_the_seal()
    {
        using ObjectWriter writer = _store.Create(_id, 100);
        Memory<byte> memory = new ObjectBufferWriter(writer).GetMemory();
        memory.Span.Clear();
        writer.Seal();
        Assert.Throws<InvalidOperationException>(() => memory.Span.Clear());
    }

    [Fact]
    public void The_counting_writer_counts_and_keeps_nothing()
    {
        var counter = new CountingBufferWriter();
        counter.Write(_payload);
        counter.GetMemory(20_000).Span.Clear();
        counter.Advance(20_000);
        Assert.Equal(120_000, counter.WrittenCount);
        Assert.Throws<ArgumentOutOfRangeException>(() => counter.Advance(1 << 20));
        Assert.Throws<ArgumentOutOfRangeException>(() => counter.GetSpan(-1).Clear());
    }

    [Fact]
    public void A_sequence_is_put_with_one_copy()
    {
        _store.Put(_id, Segments(_payload, 999));
        Assert.Equal(_payload.Length, _store.Stats().Process.CreateCopiedBytes);
        Reads(_payload);
        _store.Put(Id("one segment"), new ReadOnlySequence<byte>(_payload));
        Assert.Equal(_payload.Length, _store.Stats().Process.PutCopiedBytes);
        _store.Put(Id("empty"), ReadOnlySequence<byte>.Empty);
        using PlasmaObject empty = _store.Get(Id("empty"), TimeSpan.Zero);
        Assert.Equal(0, empty.Length);
    }

    [Fact]
    public async Task A_stream_is_read_straight_into_the_object()
    {
        _store.Put(_id, new MemoryStream(_payload), _payload.Length);
        Reads(_payload);
        var stream = new MemoryStream(_payload) { Position = 10 };
        await _store.PutAsync(Id("async"), stream, 50, new ObjectOptions { ContentType = "x/y" }, TestContext.Current.CancellationToken);
        Assert.Equal(60, stream.Position); // The rest is left.
        using PlasmaObject obj = _store.Get(Id("async"), TimeSpan.Zero);
        Same(_payload.AsSpan(10, 50), obj.Span);
        Assert.Equal("x/y", obj.ContentType);
        Assert.Equal((0, 0), (_store.Stats().Process.CreateCopiedBytes, _store.Stats().Process.PutCopiedBytes));
    }

    [Fact]
    public async Task A_file_is_read_straight_into_the_object()
    {
        string path = Path.Combine(NewFolder(), "file");
        await File.WriteAllBytesAsync(path, _payload, TestContext.Current.CancellationToken);
        await using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.Asynchronous);
        await _store.PutAsync(_id, file, file.Length);
        Reads(_payload);
    }

    [Fact]
    public async Task A_source_that_ends_too_soon_gives_the_object_up()
    {
        Assert.Contains("after 100000 of 100001", Assert.Throws<EndOfStreamException>(() => _store.Put(_id, new MemoryStream(_payload), _payload.Length + 1)).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<EndOfStreamException>(() => _store.PutAsync(_id, new MemoryStream(_payload), _payload.Length + 1));
        PipeReader pipe = PipeReader.Create(new ReadOnlySequence<byte>(_payload));
        await Assert.ThrowsAsync<EndOfStreamException>(() => _store.PutAsync(_id, pipe, _payload.Length + 1));
        Assert.Equal((0, 0), (_store.Stats().SealedCount, _store.Stats().CreatingCount));
    }

    [Fact]
    public async Task Bytes_out_of_a_pipe_are_copied_once_and_the_rest_stays()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 8192, resumeWriterThreshold: 4096, useSynchronizationContext: false));
        Task writing = Task.Run(async () =>
        {
            foreach (byte[] piece in _payload.Chunk(777))
                await pipe.Writer.WriteAsync(piece);
            await pipe.Writer.CompleteAsync();
        });
        await _store.PutAsync(_id, pipe.Reader, 90_000);
        Assert.Equal(10_000, await _store.PutToEndAsync(Id("rest"), pipe.Reader, Retention.Evictable));
        await writing;
        OperationCounts counts = _store.Stats().Process;
        Assert.Equal(100_000, counts.CreateCopiedBytes + counts.PutCopiedBytes);
        Reads(_payload.AsSpan(0, 90_000));
        using PlasmaObject rest = _store.Get(Id("rest"), TimeSpan.Zero);
        Same(_payload.AsSpan(90_000), rest.Span);
    }

    [Fact]
    public async Task A_pipe_is_read_to_its_end_although_it_pauses_its_writer()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 4096, resumeWriterThreshold: 2048, useSynchronizationContext: false));
        Task writing = Task.Run(async () =>
        {
            foreach (byte[] piece in _payload.Chunk(1000))
                await pipe.Writer.WriteAsync(piece);
            await pipe.Writer.CompleteAsync();
        });
        Assert.Equal(_payload.Length, await _store.PutToEndAsync(_id, pipe.Reader).WaitAsync(Eventually.Patience));
        await writing;
        Reads(_payload);
    }

    [Fact]
    public async Task A_put_that_fails_leaves_the_bytes_in_the_pipe()
    {
        _store.Put(_id, [1]);
        PipeReader pipe = PipeReader.Create(new ReadOnlySequence<byte>(_payload));
        await Assert.ThrowsAsync<PlasmaException>(() => _store.PutToEndAsync(_id, pipe));
        Assert.Equal(_payload.Length, await _store.PutToEndAsync(Id("second try"), pipe));
    }

    [Fact]
    public async Task A_cancelled_put_gives_the_object_up()
    {
        var pipe = new Pipe();
        using var cancelled = new CancellationTokenSource();
        Task put = _store.PutAsync(_id, pipe.Reader, 10, cancellationToken: cancelled.Token), end = Task.CompletedTask;
        Assert.Equal(1, _store.Stats().CreatingCount); // The id is taken from the beginning.
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => put);
        end = _store.PutToEndAsync(_id, pipe.Reader);
        pipe.Reader.CancelPendingRead();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => end);
        Assert.Equal((0, 0), (_store.Stats().SealedCount, _store.Stats().CreatingCount));
    }

    [Fact]
    public async Task A_pipe_reader_over_an_object_gives_out_its_own_memory()
    {
        _store.Put(_id, _payload);
        PlasmaObject obj = _store.Get(_id, TimeSpan.Zero);
        PipeReader reader = obj.OpenPipeReader();
        ReadResult result = await reader.ReadAsync(TestContext.Current.CancellationToken);
        Assert.Equal(_payload.Length, result.Buffer.Length);
        Assert.True(IsInPlace(obj, result.Buffer));
        reader.AdvanceTo(result.Buffer.GetPosition(99_990));
        result = await reader.ReadAsync(TestContext.Current.CancellationToken);
        Same(_payload.AsSpan(99_990), result.Buffer.FirstSpan);
        Assert.True(result.IsCompleted);
        Assert.Equal(0, _store.Stats().Process.GetCopiedBytes);
        obj.Dispose();
        Assert.Throws<ObjectDisposedException>(() => result.Buffer.FirstSpan.Length);

        static unsafe bool IsInPlace(PlasmaObject obj, in ReadOnlySequence<byte> buffer)
        {
            fixed (byte* p = buffer.FirstSpan)
                return p == obj.Pointer;
        }
    }

    private void Reads(ReadOnlySpan<byte> expected)
    {
        using PlasmaObject obj = _store.Get(_id, TimeSpan.Zero);
        Same(expected, obj.Span);
    }

    private static ReadOnlySequence<byte> Segments(byte[] payload, int segmentBytes)
    {
        Segment? first = null, last = null;
        foreach (byte[] piece in payload.Chunk(segmentBytes))
        {
            last = new Segment(piece, last);
            first ??= last;
        }
        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(byte[] bytes, Segment? previous)
        {
            Memory = bytes;
            RunningIndex = previous is null ? 0 : previous.RunningIndex + previous.Memory.Length;
            previous?.Next = this;
        }
    }
}
