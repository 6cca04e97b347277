using System.Buffers;

namespace FastPlasma.Tests;

/// <summary>Objects beyond what one span can hold.</summary>
public sealed class LargeObjectTests : StoreTest
{
    [Fact]
    public void Object_beyond_2_GiB_is_written_and_read_by_offset()
    {
        const long bytes = 5L << 29; // 2.5 GiB
        var memory = new DriveInfo("/dev/shm");
        if (memory.AvailableFreeSpace < bytes + (1L << 30) || GC.GetGCMemoryInfo().TotalAvailableMemoryBytes < bytes + (2L << 30))
        {
            Assert.Fail($"Only {memory.AvailableFreeSpace} bytes of shared memory are free, too few for an object beyond 2 GiB.");
            return;
        }
        PlasmaStore store = Anonymous(new PlasmaOptions { CapacityBytes = bytes + (4L << 20), ObjectCountMax = 64, PopulateAheadBytes = 0 });
        long[] places = [0, int.MaxValue - 5L, (1L << 31) + 30, (1L << 30) - 5, bytes - 10];
        using (ObjectWriter writer = store.Create(Id("big"), bytes))
        {
            Assert.Equal(bytes, writer.Length);
            Assert.Contains("OpenStream", Assert.Throws<InvalidOperationException>(() => writer.Span.Length).Message, StringComparison.Ordinal);
            for (int i = 0; i < places.Length; i++)
            {
                if (i % 2 == 0)
                    writer.CopyFrom(Pattern.Of(i, 10), places[i]);
                else
                    Pattern.Fill(writer.GetSpan(places[i], 10), i);
            }
            Assert.Throws<ArgumentOutOfRangeException>(() => writer.GetSpan(bytes - 9, 10).Length);
            using Stream end = writer.OpenStream();
            end.Position = bytes - 1;
            end.WriteByte(77);
            Assert.Throws<IOException>(() => end.WriteByte(78));
            writer.Seal();
        }
        using PlasmaObject obj = store.Get(Id("big"), TimeSpan.Zero);
        Assert.Equal(bytes, obj.Length);
        Assert.Contains("AsSequence", Assert.Throws<InvalidOperationException>(() => obj.Span.Length).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => obj.AsMemory());
        Assert.Throws<ArgumentException>(() => obj.CopyTo(new byte[1000]));
        ReadOnlySequence<byte> sequence = obj.AsSequence();
        Assert.Equal(bytes, sequence.Length);
        Assert.Equal(3, sequence.ToArrayOfLengths().Length);
        using Stream stream = obj.OpenStream();
        Assert.Equal(bytes, stream.Length);
        for (int i = 0; i < places.Length; i++)
        {
            byte[] expected = Pattern.Of(i, 10), read = new byte[10];
            if (i == places.Length - 1)
                expected[9] = 77;
            Same(expected, obj.GetSpan(places[i], 10));
            obj.CopyTo(places[i], read);
            Assert.Equal(expected, read);
            Assert.Equal(expected, sequence.Slice(places[i], 10).ToArray());
            stream.Seek(places[i], SeekOrigin.Begin);
            stream.ReadExactly(read);
            Assert.Equal(expected, read);
        }
        Assert.Equal(-1, stream.ReadByte());
        Assert.Equal(bytes, store.List().Single().PayloadBytes);
        obj.Dispose();
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("big")));
        Assert.Equal(store.CapacityBytes, store.Stats().LargestFreeRunBytes);
    }
}

file static class Sequences
{
    internal static long[] ToArrayOfLengths(this ReadOnlySequence<byte> sequence)
    {
        var lengths = new List<long>();
        foreach (ReadOnlyMemory<byte> segment in sequence)
            lengths.Add(segment.Length);
        return [.. lengths];
    }
}
