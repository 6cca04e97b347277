using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using CsCheck;
using FastPlasma.Copying;

namespace FastPlasma.Tests;

/// <summary>Promises of <see cref="Checksum"/>: one value per object, however it is computed.</summary>
public sealed unsafe class ChecksumTests
{
    [Fact]
    public void Checksum_is_XXH3_of_payload_then_metadata_then_both_lengths()
    {
        byte[] payload = Bytes(1000), metadata = Bytes(37);
        byte[] lengths = new byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(lengths, payload.Length);
        BinaryPrimitives.WriteInt64LittleEndian(lengths.AsSpan(8), metadata.Length);
        Assert.Equal(XxHash3.HashToUInt64([.. payload, .. metadata, .. lengths]), HashOnly(payload, metadata));
    }

    [Fact]
    public void Copying_and_hashing_copies_and_gives_the_checksum_of_the_object() =>
        Gen.Select(Gen.Int[0, 200_000], Gen.Int[0, 70_000]).Sample(
            (payloadBytes, metadataBytes) =>
            {
                byte[] payload = Bytes(payloadBytes), metadata = Bytes(metadataBytes);
                byte[] payloadTo = new byte[payloadBytes], metadataTo = new byte[metadataBytes];
                ulong value;
                fixed (byte* p = payload, m = metadata, pt = payloadTo, mt = metadataTo)
                {
                    Checksum checksum = Checksum.Start();
                    checksum.CopyAndAppend(pt, p, (nuint)payloadBytes);
                    checksum.CopyAndAppend(mt, m, (nuint)metadataBytes);
                    value = checksum.Finish((ulong)payloadBytes, (ulong)metadataBytes);
                }

                Assert.Equal(payload, payloadTo);
                Assert.Equal(metadata, metadataTo);
                Assert.Equal(HashOnly(payload, metadata), value);
            },
            iter: 100,
            threads: 1);

    [Fact]
    public void Pieces_of_any_size_give_the_same_checksum()
    {
        byte[] payload = Bytes(100_000), copy = new byte[100_000];
        var random = new Random(7);
        for (int round = 0; round < 20; round++)
        {
            Checksum checksum = Checksum.Start();
            fixed (byte* p = payload, c = copy)
            {
                for (int done = 0; done < payload.Length;)
                {
                    int piece = Math.Min(random.Next(1, 40_000), payload.Length - done);
                    if (random.Next(2) == 0)
                        checksum.Append(p + done, (nuint)piece);
                    else
                        checksum.CopyAndAppend(c + done, p + done, (nuint)piece);
                    done += piece;
                }
            }

            Assert.Equal(HashOnly(payload, []), checksum.Finish((ulong)payload.Length, 0));
        }
    }

    [Fact]
    public void Same_bytes_divided_differently_have_different_checksums()
    {
        byte[] bytes = Bytes(64);
        var values = Enumerable.Range(0, bytes.Length + 1).Select(split => HashOnly(bytes[..split], bytes[split..])).ToHashSet();
        Assert.Equal(bytes.Length + 1, values.Count);
    }

    [Fact]
    public void Checksums_under_way_on_one_thread_do_not_disturb_each_other()
    {
        byte[] a = Bytes(5000), b = Bytes(7000);
        Checksum first = Checksum.Start(), second = Checksum.Start();
        fixed (byte* pa = a, pb = b)
        {
            first.Append(pa, 2000);
            second.Append(pb, 3000);
            first.Append(pa + 2000, 3000);
            second.Append(pb + 3000, 4000);
        }

        Assert.Equal(HashOnly(b, []), second.Finish(7000, 0));
        Assert.Equal(HashOnly(a, []), first.Finish(5000, 0));
    }

    [Fact]
    public void Steady_state_allocates_nothing()
    {
        byte[] payload = Bytes(100_000), copy = new byte[100_000];
        Assert.Equal(0, AllocatedPerRound.Least(() =>
        {
            fixed (byte* p = payload, c = copy)
            {
                Checksum checksum = Checksum.Start();
                checksum.CopyAndAppend(c, p, 100_000);
                checksum.Finish(100_000, 0);
                Checksum.HashOnly(p, 100_000, c, 10);
            }
        }));
    }

    [Fact]
    public void Payload_above_2_GiB_is_hashed_to_its_last_byte()
    {
        // Never written, so the pages are the kernel's zero page and cost no memory worth mentioning.
        nuint bytes = (nuint)int.MaxValue + 4097;
        byte* payload = (byte*)NativeMemory.AllocZeroed(bytes);
        try
        {
            ulong zeros = Checksum.HashOnly(payload, bytes, null, 0);
            payload[bytes - 1] = 1;
            ulong changed = Checksum.HashOnly(payload, bytes, null, 0);
            Assert.NotEqual(zeros, changed);

            Checksum pieces = Checksum.Start();
            const int firstBytes = 700_000_000;
            pieces.Append(payload, firstBytes);
            pieces.Append(payload + firstBytes, bytes - firstBytes);
            Assert.Equal(changed, pieces.Finish(bytes, 0));
        }
        finally
        {
            NativeMemory.Free(payload);
        }
    }

    private static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    private static ulong HashOnly(byte[] payload, byte[] metadata)
    {
        fixed (byte* p = payload, m = metadata)
            return Checksum.HashOnly(p, (nuint)payload.Length, m, (nuint)metadata.Length);
    }
}
