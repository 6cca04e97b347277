namespace FastPlasma.Load.Peers;

/// <summary>Whether a peer keeps the promises of <see cref="IPeer"/>; a benchmark of one that does not would say nothing.</summary>
/// <remarks>No call of a client gives the bytes themselves, so their length and sum are compared; the sum does not notice eight-byte words that changed places.</remarks>
internal static class PeerCheck
{
    private const int CountMany = 200;

    private static readonly int[] s_sizes = [0, 1, 2, 7, 8, 255, 1000, 1024, 4096, 65_535, 65_536, 1 << 20];

    /// <summary>Starts an empty store, checks every call on it with all sizes up to the largest of the setup, from two processes when the peer is shared, otherwise from two clients, and takes it away.</summary>
    /// <param name="peer">Which peer.</param>
    /// <param name="setup">How large; the largest object is put too when it is larger than the usual sizes. The capacity has to hold two of those and some MiB.</param>
    /// <param name="other">Runs <see cref="RunOther"/> with the address in another process, for a peer that is shared; throws when that does.</param>
    /// <exception cref="PeerCheckException">The peer broke a promise.</exception>
    internal static void Run(IPeer peer, PeerSetup setup, Action<string> other)
    {
        if (peer.Missing is string missing)
            throw new PeerCheckException(peer, missing);
        int[] sizes = [.. s_sizes.Append(setup.ObjectBytesMax).Where(size => size <= setup.ObjectBytesMax).Distinct()];
        string[] before = Directory.GetFileSystemEntries(setup.Directory);
        using (IPeerInstance instance = peer.Start(setup))
        {
            using IPeerSession session = peer.Open(instance.Address, setup);
            using IPeerClient first = session.Connect();
            foreach (int size in sizes)
                CheckOne(peer, first, size);
            CheckKeyInUse(peer, first);
            ExpectTrue(peer, first is IBatchClient == peer.HasBatches, $"{nameof(IPeer.HasBatches)} says {peer.HasBatches}, and the client {(peer.HasBatches ? "cannot" : "can")}.");
            if (first is IBatchClient batch)
                CheckMany(peer, batch);

            foreach (int size in sizes)
                first.Put(Key(size, 1), Value(size, 1));
            if (peer.IsShared)
                other(instance.Address);
            else
                Task.Factory.StartNew(() => // A thread of its own, as a second client has.
                {
                    using IPeerClient second = session.Connect();
                    CheckOther(peer, second, sizes);
                }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).GetAwaiter().GetResult();
            foreach (int size in sizes)
            {
                ExpectNone(peer, first, Key(size, 1), $"deleted by the other, {size} bytes");
                Expect(peer, first, Key(size, 2), Value(size, 2), "put by the other");
                ExpectTrue(peer, first.Delete(Key(size, 2)), $"The delete of an object of {size} bytes that the other has put said that there was none.");
            }
        }
        string[] left = [.. Directory.GetFileSystemEntries(setup.Directory).Except(before)];
        ExpectTrue(peer, left.Length == 0, $"The disposed instance left {string.Join(", ", left)}.");
    }

    /// <summary>The second process's half: reads and deletes what the first has put, and puts objects for it.</summary>
    /// <exception cref="PeerCheckException">The peer broke a promise.</exception>
    internal static void RunOther(IPeer peer, string address, PeerSetup setup)
    {
        using IPeerSession session = peer.Open(address, setup);
        using IPeerClient client = session.Connect();
        CheckOther(peer, client, [.. s_sizes.Append(setup.ObjectBytesMax).Where(size => size <= setup.ObjectBytesMax).Distinct()]);
    }

    private static void CheckOther(IPeer peer, IPeerClient client, int[] sizes)
    {
        foreach (int size in sizes)
        {
            Expect(peer, client, Key(size, 1), Value(size, 1), "put by the other");
            ExpectTrue(peer, client.Delete(Key(size, 1)), $"The delete of an object of {size} bytes that the other has put said that there was none.");
            client.Put(Key(size, 2), Value(size, 2));
        }
    }

    private static void CheckOne(IPeer peer, IPeerClient client, int size)
    {
        byte[] key = Key(size, 0), value = Value(size, 0), again = Value(size, 3);
        ExpectNone(peer, client, key, $"before the put, {size} bytes");
        ExpectTrue(peer, !client.Delete(key), "The delete of a key that was never put said that there was an object.");
        client.Put(key, value);
        value.AsSpan().Fill(0xA5); // The bytes are not kept.
        Expect(peer, client, key, Value(size, 0), "just put");
        byte[] neighbour = Key(size, 0);
        neighbour[^1] ^= 1;
        ExpectNone(peer, client, neighbour, "a key whose last byte differs");
        ExpectTrue(peer, client.Delete(key), $"The delete of an object of {size} bytes said that there was none.");
        ExpectNone(peer, client, key, $"after the delete, {size} bytes");
        ExpectTrue(peer, !client.Delete(key), $"The second delete of an object of {size} bytes said that there was one.");
        client.Put(key, again);
        Expect(peer, client, key, again, "put again after a delete");
        ExpectTrue(peer, client.Delete(key), $"The delete of an object of {size} bytes, put again, said that there was none.");
    }

    private static void CheckKeyInUse(IPeer peer, IPeerClient client)
    {
        foreach ((int oldBytes, int newBytes) in ((int, int)[])[(1000, 1000), (1000, 10), (10, 1000), (1000, 0)])
        {
            byte[] key = Key(oldBytes, 4), old = Value(oldBytes, 4), next = Value(newBytes, 5);
            client.Put(key, old);
            bool refused = false;
            try
            {
                client.Put(key, next);
            }
            catch (InvalidOperationException)
            {
                refused = true;
            }
            ExpectTrue(peer, refused != peer.ReplacesOnPut, $"A put of a key in use was {(refused ? "refused" : "accepted")}, and {nameof(IPeer.ReplacesOnPut)} says {peer.ReplacesOnPut}.");
            Expect(peer, client, key, refused ? old : next, "after a put of a key in use");
            ExpectTrue(peer, client.Delete(key), "The delete after a put of a key in use said that there was no object.");
            ExpectNone(peer, client, key, "deleted after a put of a key in use");
        }
    }

    private static void CheckMany(IPeer peer, IBatchClient client)
    {
        byte[] keys = new byte[2 * CountMany * IBatchClient.KeyBytes];
        ulong sum = 0;
        long bytes = 0;
        for (int i = 0; i < CountMany; i++)
        {
            byte[] value = Value(i * 37, 6);
            sum += Payload.Sum(value);
            bytes += value.Length;
            client.Put(Key(i, 6), value);
            Key(i, 6).CopyTo(keys, 2 * i * IBatchClient.KeyBytes);
            Key(i, 7).CopyTo(keys, (2 * i + 1) * IBatchClient.KeyBytes); // Every second one is missing.
        }
        foreach (bool touch in (bool[])[true, false])
        {
            int count = client.GetMany(keys, touch, out long seenBytes, out ulong seenSum);
            ExpectTrue(peer, (count, seenBytes, seenSum) == (CountMany, bytes, touch ? sum : 0),
                $"A batch gave {count} objects of {seenBytes} bytes with the sum {seenSum}, not {CountMany} of {bytes} with {(touch ? sum : 0)}.");
        }
        ExpectTrue(peer, client.GetMany([], true, out _, out _) == 0, "An empty batch gave objects.");
        for (int i = 0; i < CountMany; i++)
            ExpectTrue(peer, client.Delete(Key(i, 6)), "The delete of an object that a batch gave said that there was none.");
    }

    private static void Expect(IPeer peer, IPeerClient client, byte[] key, byte[] value, string when)
    {
        ExpectTrue(peer, client.Contains(key), $"There is no object ({when}, {value.Length} bytes).");
        long bytes = client.Get(key, touch: false, out ulong none);
        ExpectTrue(peer, bytes == value.Length && none == 0, $"A get that touches nothing gave {bytes} bytes and the sum {none}, not {value.Length} and 0 ({when}).");
        bytes = client.Get(key, touch: true, out ulong sum);
        ulong expected = Payload.Sum(value);
        ExpectTrue(peer, bytes == value.Length && sum == expected, $"A get gave {bytes} bytes with the sum {sum}, not {value.Length} with {expected} ({when}).");
    }

    private static void ExpectNone(IPeer peer, IPeerClient client, byte[] key, string when)
    {
        ExpectTrue(peer, !client.Contains(key), $"There is an object where none should be ({when}).");
        long bytes = client.Get(key, touch: true, out ulong sum);
        ExpectTrue(peer, bytes == -1 && sum == 0, $"A get of a missing object gave {bytes} bytes and the sum {sum}, not -1 and 0 ({when}).");
    }

    private static void ExpectTrue(IPeer peer, bool condition, string message)
    {
        if (!condition)
            throw new PeerCheckException(peer, message);
    }

    /// <summary>Zero bytes, line ends and spaces at places where a text protocol or a C string would notice.</summary>
    private static byte[] Key(int size, int kind)
    {
        byte[] key = new byte[IBatchClient.KeyBytes];
        "\0\r\n \xff\0"u8[..6].CopyTo(key);
        BitConverter.TryWriteBytes(key.AsSpan(8), size);
        BitConverter.TryWriteBytes(key.AsSpan(16), kind);
        return key;
    }

    /// <summary>Pseudo-random bytes; the first kinds begin or end with zeros and line ends.</summary>
    private static byte[] Value(int size, int kind)
    {
        byte[] value = GC.AllocateUninitializedArray<byte>(size);
        new Random(size * 31 + kind).NextBytes(value);
        if (size >= 16)
        {
            "\0\0\r\nEN\r\n"u8.CopyTo(value);
            "\r\nEN\r\n\0\0"u8.CopyTo(value.AsSpan(size - 8));
        }
        return value;
    }
}

/// <summary>A peer that breaks a promise of <see cref="IPeer"/>.</summary>
internal sealed class PeerCheckException(IPeer peer, string message) : Exception($"{peer.Name}: {message}");
