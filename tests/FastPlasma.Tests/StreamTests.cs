using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastPlasma.Tests;

/// <summary>Streams over payloads: one copy where one is asked for, none where the other side takes memory, and nothing allocated on the way.</summary>
public sealed class StreamTests : StoreTest
{
    private const int Bytes = 100_000;
    private readonly PlasmaStore _store;
    private readonly byte[] _payload = Pattern.Of(3, Bytes);

    public StreamTests()
    {
        _store = Anonymous(Small with { CapacityBytes = 48 << 20 });
        _store.Put(Id("a"), _payload);
    }

    [Fact]
    public async Task Reads_are_done_at_once_and_allocate_nothing_asynchronous_or_not()
    {
        using PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
        using Stream stream = obj.OpenStream();
        using var native = new NativeBytes(1000); // Memory without an array: the base class would read into a rented one and copy that.
        Memory<byte> memory = native.Memory;
        Assert.Equal(0, AllocatedPerRound.Least(() =>
        {
            stream.Position = 10;
            ValueTask<int> read = stream.ReadAsync(memory);
            if (!read.IsCompletedSuccessfully || read.Result != 1000)
                Assert.Fail("The read is not done.");
            if (stream.ReadByte() < 0)
                Assert.Fail("There is more.");
        }));
        Same(_payload.AsSpan(10, 1000), memory.Span);
        long before = _store.Stats().Process.GetCopiedBytes;
        stream.Position = Bytes - 5;
        Assert.Equal(5, await stream.ReadAsync(memory));
        Assert.Equal(0, await stream.ReadAsync(memory));
        Assert.Equal(-1, stream.ReadByte());
        Assert.Equal(before + 5, _store.Stats().Process.GetCopiedBytes);
        byte[] array = new byte[20];
        stream.Position = 7;
        Task<int> task = stream.ReadAsync(array, 5, 10, CancellationToken.None);
        Assert.True(task.IsCompletedSuccessfully);
        Assert.Equal(10, await task);
        Assert.Equal([.. new byte[5], .. _payload[7..17], .. new byte[5]], array);
    }

    [Fact]
    public void Writes_are_done_at_once_and_allocate_nothing_asynchronous_or_not()
    {
        using ObjectWriter writer = _store.Create(Id("b"), Bytes);
        using Stream stream = writer.OpenStream();
        using var native = new NativeBytes(1000);
        _payload.AsSpan(0, 1000).CopyTo(native.Memory.Span);
        ReadOnlyMemory<byte> memory = native.Memory;
        Assert.Equal(0, AllocatedPerRound.Least(() =>
        {
            stream.Position = 10;
            ValueTask written = stream.WriteAsync(memory);
            if (!written.IsCompletedSuccessfully || !stream.FlushAsync().IsCompletedSuccessfully)
                Assert.Fail("The write is not done.");
            stream.WriteByte(9);
        }));
        Same(_payload.AsSpan(0, 1000), writer.GetSpan(10, 1000));
        Assert.Equal((9, 1011L), (writer.Span[1010], stream.Position));
        long before = _store.Stats().Process.CreateCopiedBytes;
        Assert.True(stream.WriteAsync(_payload, 100, 50, CancellationToken.None).IsCompletedSuccessfully);
        Same(_payload.AsSpan(100, 50), writer.GetSpan(1011, 50));
        Assert.Equal(before + 50, _store.Stats().Process.CreateCopiedBytes);
    }

    [Fact]
    public async Task Copying_to_a_stream_gives_it_the_objects_own_memory()
    {
        const int large = (32 << 20) + 100; // More than one piece.
        using (ObjectWriter writer = _store.Create(Id("large"), large))
        {
            Pattern.Fill(writer.Span, 5);
            writer.Seal();
        }
        using PlasmaObject obj = _store.Get(Id("large"), TimeSpan.Zero);
        long before = _store.Stats().Process.GetCopiedBytes;
        var sink = new Sink();
        using Stream stream = obj.OpenStream();
        stream.Position = 50;
        stream.CopyTo(sink);
        Check(0);
        stream.Position = 50;
        await stream.CopyToAsync(sink);
        Check(3);
        stream.CopyTo(sink); // Nothing is left.
        await stream.CopyToAsync(sink);
        Assert.Equal((6, before), (sink.Taken.Count, _store.Stats().Process.GetCopiedBytes));
        Assert.Equal(large, stream.Position);

        void Check(int first)
        {
            nint start = AddressOf(obj.GetSpan(0, 1)), next = start + 50;
            foreach ((nint address, int bytes) in sink.Taken.Skip(first))
            {
                Assert.Equal(next, address);
                next += bytes;
            }
            Assert.Equal(start + large, next);
        }
    }

    [Fact]
    public async Task A_file_gets_an_object_and_an_object_a_file()
    {
        string path = Path.Combine(NewFolder(), "file");
        using (PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero))
        await using (var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 4096, useAsync: true))
        {
            using Stream stream = obj.OpenStream();
            await stream.CopyToAsync(file);
        }
        Assert.Equal(_payload, File.ReadAllBytes(path));
        using ObjectWriter writer = _store.Create(Id("b"), Bytes);
        await using (var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 4096, useAsync: true))
        {
            using Stream stream = writer.OpenStream();
            await file.CopyToAsync(stream);
        }
        Same(_payload, writer.Span);
    }

    [Fact]
    public async Task What_cannot_be_is_said_by_the_task_and_by_the_call()
    {
        PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
        using Stream read = obj.OpenStream();
        using ObjectWriter writer = _store.Create(Id("b"), 10);
        using Stream write = writer.OpenStream();
        var cancelled = new CancellationToken(canceled: true);
        foreach (Task task in (Task[])
        [
            read.ReadAsync(new byte[1], cancelled).AsTask(), read.ReadAsync(new byte[1], 0, 1, cancelled), read.CopyToAsync(Stream.Null, cancelled),
            write.WriteAsync(new byte[1], cancelled).AsTask(), write.WriteAsync(new byte[1], 0, 1, cancelled), write.FlushAsync(cancelled),
        ])
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
        Assert.Equal((0L, 0L), (read.Position, write.Position));
        ValueTask tooLong = write.WriteAsync(new byte[11]), immutable = read.WriteAsync(new byte[1]);
        ValueTask<int> unsealed = write.ReadAsync(new byte[1]);
        Assert.Contains("11 bytes do not fit", (await Assert.ThrowsAsync<IOException>(async () => await tooLong)).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<NotSupportedException>(async () => await immutable);
        await Assert.ThrowsAsync<NotSupportedException>(async () => await unsealed);
        Assert.Throws<NotSupportedException>(() => write.CopyTo(Stream.Null));
        await Assert.ThrowsAsync<NotSupportedException>(() => read.CopyToAsync(new MemoryStream([], writable: false)));
        Assert.Throws<ArgumentOutOfRangeException>(() => read.Read(new byte[1], 0, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = read.ReadAsync(new byte[1], 0, 2, CancellationToken.None); });
        Assert.Throws<ArgumentNullException>(() => { _ = write.WriteAsync(null!, 0, 0, CancellationToken.None); });
        obj.Dispose();
        ValueTask<int> late = read.ReadAsync(new byte[1]);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await late);
        Assert.Throws<ObjectDisposedException>(() => read.CopyTo(Stream.Null));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.CopyToAsync(Stream.Null));
    }

    private static unsafe nint AddressOf(ReadOnlySpan<byte> memory) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(memory)); // Native: it does not move.

    /// <summary>Remembers which memory it was given.</summary>
    private sealed class Sink : Stream
    {
        internal List<(nint Address, int Bytes)> Taken { get; } = [];

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer) => Taken.Add((AddressOf(buffer), buffer.Length));

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await Task.Yield();
            Write(buffer.Span);
        }
    }

    private sealed unsafe class NativeBytes(int length) : MemoryManager<byte>
    {
        private readonly byte* _start = (byte*)NativeMemory.AllocZeroed((nuint)length);

        public override Span<byte> GetSpan() => new(_start, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(_start + elementIndex);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing) => NativeMemory.Free(_start);
    }
}
