using FastPlasma.Allocator;

namespace FastPlasma.Tests;

/// <summary>Promises of <see cref="SizeClasses"/>, each checked for every size that a slab can hold.</summary>
public sealed class SizeClassTests
{
    [Fact]
    public void Every_size_gets_the_smallest_class_that_holds_it()
    {
        for (int bytes = 1; bytes <= SizeClasses.SlabMaxBytes; bytes++)
        {
            int sizeClass = SizeClasses.ClassOf(bytes);
            Assert.InRange(sizeClass, 0, SizeClasses.Count - 1);
            Assert.True(SizeClasses.BytesOf(sizeClass) >= bytes, $"class {sizeClass} ({SizeClasses.BytesOf(sizeClass)} bytes) does not hold {bytes}");
            Assert.True(sizeClass == 0 || SizeClasses.BytesOf(sizeClass - 1) < bytes, $"class {sizeClass - 1} would hold {bytes} too");
        }
    }

    [Fact]
    public void From_512_bytes_on_at_most_an_eighth_is_wasted()
    {
        for (int bytes = SizeClasses.LinearMaxBytes; bytes <= SizeClasses.SlabMaxBytes; bytes++)
        {
            int block = SizeClasses.BytesOf(SizeClasses.ClassOf(bytes));
            Assert.True((block - bytes) * 8L <= block, $"{bytes} bytes take a block of {block}");
        }
    }

    [Fact]
    public void Below_512_bytes_less_than_one_quantum_is_wasted()
    {
        for (int bytes = 1; bytes < SizeClasses.LinearMaxBytes; bytes++)
            Assert.InRange(SizeClasses.BytesOf(SizeClasses.ClassOf(bytes)) - bytes, 0, SizeClasses.QuantumBytes - 1);
    }

    [Fact]
    public void Classes_rise_are_multiples_of_64_and_of_a_page_from_32_KiB_on()
    {
        int before = 0;
        for (int sizeClass = 0; sizeClass < SizeClasses.Count; sizeClass++)
        {
            int bytes = SizeClasses.BytesOf(sizeClass);
            Assert.True(bytes > before);
            Assert.Equal(0, bytes % SizeClasses.QuantumBytes);
            if (bytes > 32 << 10)
                Assert.Equal(0, bytes % ChunkMap.PageBytes);
            Assert.InRange((long)SizeClasses.BlocksPerChunk(sizeClass) * bytes, ChunkMap.ChunkBytes - bytes + 1, ChunkMap.ChunkBytes);
            before = bytes;
        }
        Assert.Equal(SizeClasses.SlabMaxBytes, before);
        Assert.Equal(0, SizeClasses.BytesOf(SizeClasses.ClassOf(32 << 10)) % ChunkMap.PageBytes);
    }

    [Theory]
    [InlineData(64, 1, 64)]
    [InlineData(64, 65, 128)]
    [InlineData(64, 131072, 131072)]
    [InlineData(64, 131073, 9 * 16384)]
    [InlineData(4096, 1, 4096)]
    [InlineData(4096, 4097, 8192)]
    [InlineData(2 << 20, 1, 16384)]
    [InlineData(64, 1L << 30, 1L << 30)]
    public void A_request_takes_the_block_that_is_said_beforehand(int alignmentBytes, long bytes, long blockBytes)
    {
        Assert.Equal(blockBytes, BlockAllocator.BlockBytesFor(bytes, alignmentBytes));
    }
}
