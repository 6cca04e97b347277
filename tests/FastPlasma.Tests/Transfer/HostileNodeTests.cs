using System.IO.Hashing;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastPlasma.Native;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Tests.Transfer;

/// <summary>Nodes that were let in and lie: none ends the node, writes a byte where it may not, or keeps others from being served.</summary>
public sealed class HostileNodeTests : NodeTest
{
    private const int Guards = 200, GuardBytes = 4000;

    [Fact]
    public async Task A_second_answer_with_other_sizes_does_not_write_over_the_end_of_the_first()
    {
        int answers = 0;
        using var fake = new FakeServer((_, channel) =>
        {
            while (channel.TryReceive(out FrameHeader header))
            {
                if (header.Type != FrameType.Ask)
                    continue;
                AskRecord ask = channel.Records<AskRecord>(header)[0];
                byte[] image = Random(7, Interlocked.Increment(ref answers) == 1 ? 4000 : 60_000);
                var record = new ObjectRecord { Id = ask.Id, Answer = ObjectAnswer.Inline, Incarnation = 42, PayloadBytes = image.Length, InlineCheck = answers == 1 ? 1 : XxHash3.HashToUInt64(image) };
                Send<ObjectRecord>(channel, FrameType.Objects, header.Tag, [record], image);
            }
        });
        PlasmaNode target = Guarded(fake.Endpoint);
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        using (PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero))
            Same(Random(7, 60_000), obj.Span);
        AssertGuards(target);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(-5)]
    [InlineData(long.MaxValue)]
    public async Task Impossible_sizes_of_a_partial_object_do_no_harm(long payloadBytes)
    {
        using var fake = new FakeServer((_, channel) =>
        {
            while (channel.TryReceive(out FrameHeader header))
            {
                if (header.Type != FrameType.Ask)
                    continue;
                var record = new ObjectRecord { Id = channel.Records<AskRecord>(header)[0].Id, Answer = ObjectAnswer.Partial, Incarnation = 42, PayloadBytes = payloadBytes };
                channel.Send(FrameType.Objects, header.Tag, new ReadOnlySpan<ObjectRecord>(in record));
            }
        });
        PlasmaNode target = Guarded(fake.Endpoint);
        Assert.Single((await target.PullAsync(new[] { Id("a") }, Ms(400))).Failures);
        NothingHalfMade(target);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_server_that_answers_anything_harms_nobody(int seed)
    {
        int cases = 0;
        NodeEndpoint own = default;
        using var fake = new FakeServer((kind, channel) =>
        {
            var random = new Random(seed + Interlocked.Increment(ref cases));
            while (channel.TryReceive(out FrameHeader header))
            {
                Interlocked.Increment(ref cases);
                if (header.Type == FrameType.Ask)
                    AnswerAnything(channel, header, random, own);
                else if (header.Type == FrameType.Post)
                    ServeAnything(channel, header, random);
                else if (header.Type == FrameType.Ping && random.Next(4) > 0)
                    channel.Send(FrameType.Done, header.Tag);
            }
        });
        own = fake.Endpoint;
        PlasmaNode honest = StartNode();
        honest.Store.Put(Id("honest"), Random(1, 3_000_000));
        PlasmaNode target = Guarded(fake.Endpoint, honest.Endpoint);
        var ids = new Random(seed);
        long start = Environment.TickCount64;
        int rounds = 0;
        while (Volatile.Read(ref cases) < 1500 && Environment.TickCount64 - start < 25_000)
        {
            ObjectId[] some = [.. Enumerable.Range(0, ids.Next(1, 40)).Select(_ => Id($"x{ids.Next(60)}"))];
            await target.PullAsync(some, Ms(ids.Next(20, 200))).WaitAsync(Soon, TestContext.Current.CancellationToken);
            if (rounds++ % 4 == 0)
                target.Store.Delete(Id($"x{ids.Next(60)}"));
            if (rounds % 10 == 0)
            {
                byte[] memory = new byte[3_000_000];
                var far = new byte[1_000_000];
                try
                {
                    await target.ReadAsync(Id($"x{ids.Next(60)}"), ids.Next(1000), far, Ms(150), TestContext.Current.CancellationToken).WaitAsync(Soon, TestContext.Current.CancellationToken);
                }
                catch (Exception e) when (e is IOException or PlasmaException or TimeoutException)
                {
                    // A clear error.
                }
                Assert.Equal(memory.Length, await target.ReadAsync(Id("honest"), 0, memory, Soon, TestContext.Current.CancellationToken));
                Same(Random(1, 3_000_000), memory);
            }
        }
        Assert.True(cases > 300, $"only {cases} cases");
        Assert.Empty((await target.PullAsync(new[] { Id("honest") }, Soon)).Failures);
        using (PlasmaObject obj = target.Store.Get(Id("honest"), TimeSpan.Zero))
            Same(Random(1, 3_000_000), obj.Span);
        fake.Dispose();
        NothingHalfMade(target);
        AssertGuards(target);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_requester_that_says_anything_harms_nobody(int seed)
    {
        PlasmaNode node = Guarded();
        for (int i = 0; i < 20; i++)
            node.Store.Put(Id($"x{i}"), Random(i, i * 30_000));
        var random = new Random(seed);
        PlasmaNode other = StartNode([node.Endpoint]);
        using var stop = new CancellationTokenSource();
        Task pulls = Task.Run(async () =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i = (i + 1) % 20)
            {
                byte[] part = new byte[i * 30_000];
                Assert.Equal(part.Length, part.Length == 0 ? 0 : await other.ReadAsync(Id($"x{i}"), 0, part, Soon));
                Same(Random(i, i * 30_000), part);
            }
        });
        for (int i = 0; i < 700; i++)
        {
            using PlainConnection connection = new(SocketSetup.Dial(node.Endpoint, Soon, CancellationToken.None));
            using var limit = new Timer(static connection => ((PlainConnection)connection!).Abort(), connection, 200, Timeout.Infinite); // It does not read, so both sides may wait.
            var kind = (ConnectionKind)random.Next(2);
            try
            {
                Handshake.AsRequester(connection, new Handshake.Self(Guid.NewGuid(), Guid.NewGuid(), default, TimeSpan.FromMinutes(10), random.Next(2) == 0 ? null : other.Endpoint), kind);
                SayAnything(connection, random, random.Next(1, 8));
                if (random.Next(3) == 0)
                    Drain(connection, random.Next(5000));
            }
            catch (IOException)
            {
                // Shown out.
            }
        }
        await stop.CancelAsync();
        await pulls.WaitAsync(Soon, TestContext.Current.CancellationToken);
        AssertGuards(node);
        for (int i = 0; i < 20; i++)
            if (node.Store.TryGet(Id($"x{i}"), out PlasmaObject obj)) // Some may be deleted: who is let in may delete.
                using (obj)
                    Same(Random(i, i * 30_000), obj.Span);
        Until(() => node.ThreadCount < 20, "the end of the connections");
        Assert.Equal(PlasmaStatus.Ok, node.Store.TryPut(Id("still here"), [1]));
    }

    [Fact]
    public void No_bit_of_a_frame_can_change_unnoticed()
    {
        var random = new Random(3);
        for (int i = 0; i < 3000; i++)
        {
            byte[] frame = FrameOf((FrameType)random.Next(1, 14), random, honest: true);
            int bit = random.Next(frame.Length * 8);
            frame[bit >> 3] ^= (byte)(1 << (bit & 7));
            var wire = new OneFrame(frame);
            using var channel = new FrameChannel(wire);
            Assert.ThrowsAny<IOException>(() => channel.TryReceive(out _));
        }
    }

    [Theory]
    [InlineData(FrameHeader.SizeBytes)]
    [InlineData(FrameHeader.SizeBytes + ChunkRecord.SizeBytes)]
    [InlineData(FrameChannel.AheadOfServer)]
    public void Frames_are_the_same_however_many_come_at_once(int aheadBytes)
    {
        var random = new Random(5);
        byte[][] frames = [.. Enumerable.Range(0, 2000).Select(_ => FrameOf((FrameType)random.Next(1, 13), random, honest: true))];
        using var channel = new FrameChannel(new OneFrame([.. frames.SelectMany(static frame => frame)]), aheadBytes);
        foreach (byte[] frame in frames)
        {
            Assert.True(channel.TryReceive(out FrameHeader header));
            Assert.Equal(frame[FrameHeader.SizeBytes..], MemoryMarshal.AsBytes(channel.Records<byte>(header)).ToArray());
        }
        Assert.False(channel.TryReceive(out _));
    }

    [Fact]
    public unsafe void A_lease_that_has_run_out_gives_the_object_back()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), Random(1, 100_000));
        ulong incarnation;
        using (PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero))
            incarnation = obj.Incarnation;
        using var pins = new FastPlasma.Transfer.Serving.PinCache(store);
        FastPlasma.Transfer.Serving.PinCache.Entry? entry = pins.Begin(Id("a"), incarnation, leaseMs: 0);
        Assert.NotNull(entry);
        store.Delete(Id("a"));
        pins.Tick(Environment.TickCount64 + 1000);
        Same(Random(1, 100_000), new ReadOnlySpan<byte>(entry.Address, 100_000)); // In use: kept, lease or not.
        pins.End(entry);
        Assert.Equal(1, store.Stats().CondemnedCount);
        pins.Tick(Environment.TickCount64 + 1000);
        store.Maintain();
        Assert.Equal(0, store.Stats().CondemnedCount);
        Assert.Null(pins.Begin(Id("a"), incarnation, 1000));
    }

    private PlasmaNode Guarded(params NodeEndpoint[] peers)
    {
        PlasmaNode node = StartNode(peers, new PlasmaNodeOptions { SilenceTimeout = Ms(2000), StallTimeout = Ms(300) });
        for (int i = 0; i < Guards; i++)
            node.Store.Put(Id($"guard-{i}"), Random(1000 + i, GuardBytes));
        for (int i = 0; i < Guards; i += 2)
            node.Store.Delete(Id($"guard-{i}")); // Room between the guards.
        return node;
    }

    private static void AssertGuards(PlasmaNode node)
    {
        for (int i = 1; i < Guards; i += 2)
            using (PlasmaObject obj = node.Store.Get(Id($"guard-{i}"), TimeSpan.Zero))
                Same(Random(1000 + i, GuardBytes), obj.Span);
    }

    private static unsafe void AnswerAnything(FrameChannel channel, in FrameHeader header, Random random, NodeEndpoint own)
    {
        ReadOnlySpan<AskRecord> asks = channel.Records<AskRecord>(header);
        ObjectRecord[] records = new ObjectRecord[asks.Length];
        int inline = 0;
        for (int i = 0; i < records.Length; i++)
        {
            records[i] = new ObjectRecord
            {
                Id = asks[i].Id,
                Answer = (ObjectAnswer)random.Next(7),
                Flags = (byte)random.Next(2), // A checksum that is not the bytes' own is found by who verifies it, not on the way.
                Incarnation = (ulong)random.Next(1, 4),
                PayloadBytes = random.Next(5) switch { 0 => random.Next(3), 1 => random.Next(70_000), 2 => random.Next(3_000_000), 3 => (64 << 10) + random.Next(-8, 8), _ => random.Next(5000) },
                NameBytes = random.Next(4) == 0 ? random.Next(50) : 0,
                UserBytes = random.Next(4) == 0 ? random.Next(100) : 0,
                CreatedAtTicks = random.Next(),
                FirstChunk = (uint)random.Next(),
            };
            if (records[i].Answer == ObjectAnswer.Inline && asks[i].Id != Id("honest"))
            {
                long image = ReplicaImage.Of(records[i]).ImageBytes;
                if (image > Limits.InlineBytesMax || inline + image > Limits.AnswerBytesMax)
                    records[i].Answer = ObjectAnswer.Complete;
                else
                    inline += (int)image;
            }
        }
        for (int i = 0; i < records.Length; i++)
            if (records[i].Id == Id("honest"))
                records[i] = new ObjectRecord { Id = records[i].Id }; // What it says it has, it may have: of this one it says nothing.
        byte[] bytes = new byte[inline];
        random.NextBytes(bytes);
        for (int i = 0, at = 0; i < records.Length; i++)
        {
            if (records[i].Answer != ObjectAnswer.Inline)
                continue;
            int image = (int)ReplicaImage.Of(records[i]).ImageBytes;
            records[i].InlineCheck = random.Next(3) == 0 ? 5 : XxHash3.HashToUInt64(bytes.AsSpan(at, image));
            at += image;
        }
        if (random.Next(12) == 0 && records[0].Id != Id("honest"))
            Mutate(MemoryMarshal.AsBytes(records.AsSpan()), random);
        ulong tag = random.Next(40) == 0 ? header.Tag + 1 : header.Tag;
        Send<ObjectRecord>(channel, FrameType.Objects, tag, records, bytes);
        ObjectRecord some = records[random.Next(records.Length)];
        switch (random.Next(6))
        {
            case 0:
                var have = new HaveRecord { Id = some.Id, Incarnation = some.Incarnation, First = random.Next(-2, 8), Count = random.Next(-2, 8), Flags = (uint)random.Next(4) };
                channel.Send(FrameType.Have, 0, new ReadOnlySpan<HaveRecord>(in have));
                break;
            case 1:
                var holder = new HolderRecord { Id = some.Id, Incarnation = some.Incarnation, NodeId = Guid.NewGuid() };
                holder.AddressBytes = (ushort)System.Text.Encoding.UTF8.GetBytes(random.Next(3) == 0 ? "?" : own.ToString(), new Span<byte>(holder.Address, HolderRecord.AddressBytesMax));
                channel.Send(FrameType.Holders, 0, new ReadOnlySpan<HolderRecord>(in holder));
                break;
            case 2:
                some.Answer = random.Next(2) == 0 ? ObjectAnswer.Complete : ObjectAnswer.Partial;
                channel.Send(FrameType.Objects, 0, new ReadOnlySpan<ObjectRecord>(in some));
                break;
        }
    }

    private static void ServeAnything(FrameChannel channel, in FrameHeader header, Random random)
    {
        PostRecord post = channel.Records<PostRecord>(header)[0];
        byte[] bytes = new byte[post.Bytes];
        random.NextBytes(bytes);
        var chunk = new ChunkRecord { Key = post.Key, RegionOffset = post.RegionOffset, Bytes = post.Bytes, Incarnation = post.Incarnation, Check = random.Next(4) == 0 ? 1 : XxHash3.HashToUInt64(bytes) };
        switch (random.Next(20))
        {
            case 0:
                chunk.Reason = (RefusalReason)random.Next(7);
                channel.Send(FrameType.Refused, 0, new ReadOnlySpan<ChunkRecord>(in chunk));
                return;
            case 1:
                chunk.RegionOffset += random.Next(-1, 3) * (long)(512 << 10);
                break;
            case 2:
                chunk.Key ^= 1UL << random.Next(64);
                break;
            case 3:
                Mutate(MemoryMarshal.AsBytes(new Span<ChunkRecord>(ref chunk)), random);
                if (chunk.Bytes < 0 || chunk.Bytes > 1 << 21)
                    chunk.Bytes = 1;
                break;
            case 4:
                chunk.RegionOffset = random.NextInt64();
                break;
        }
        if (chunk.Bytes > bytes.Length)
            bytes = new byte[chunk.Bytes];
        int times = random.Next(15) == 0 ? 2 : 1;
        while (times-- > 0)
            Send<ChunkRecord>(channel, FrameType.Chunk, 0, [chunk], bytes.AsSpan(0, chunk.Bytes));
    }

    private static unsafe void Send<T>(FrameChannel channel, FrameType type, ulong tag, ReadOnlySpan<T> records, ReadOnlySpan<byte> bytes)
        where T : unmanaged
    {
        fixed (byte* first = bytes)
        {
            var part = new IoPart(first, (nuint)bytes.Length);
            channel.Send(type, tag, records, bytes.IsEmpty ? [] : new ReadOnlySpan<IoPart>(in part));
        }
    }

    private static void Mutate(Span<byte> bytes, Random random)
    {
        for (int n = random.Next(1, 4); n > 0; n--)
            bytes[random.Next(bytes.Length)] = random.Next(3) switch { 0 => 0, 1 => 0xFF, _ => (byte)random.Next(256) };
    }

    private static unsafe void SayAnything(PlainConnection connection, Random random, int frames)
    {
        for (; frames > 0; frames--)
        {
            byte[] frame = FrameOf((FrameType)random.Next(0, 16), random, honest: random.Next(2) == 0);
            fixed (byte* first = frame)
            {
                var part = new IoPart(first, (nuint)(random.Next(10) == 0 ? random.Next(frame.Length) : frame.Length)); // Now and then cut short.
                connection.Send(new ReadOnlySpan<IoPart>(in part));
            }
        }
    }

    private static unsafe void Drain(PlainConnection connection, int bytes)
    {
        byte[] buffer = new byte[bytes + 1];
        fixed (byte* first = buffer)
        {
            var part = new IoPart(first, 1);
            connection.Receive(new ReadOnlySpan<IoPart>(in part));
        }
    }

    /// <summary>A frame of a type, with its right check; unless honest, anything else in it may be wrong.</summary>
    private static byte[] FrameOf(FrameType type, Random random, bool honest)
    {
        (int recordBytes, int countMax) = FrameHeader.ShapeOf(type);
        int count = countMax <= 1 ? countMax : random.Next(1, Math.Min(countMax, 20));
        byte[] frame = new byte[FrameHeader.SizeBytes + Math.Max(0, count * recordBytes)];
        Span<byte> body = frame.AsSpan(FrameHeader.SizeBytes);
        random.NextBytes(body);
        for (int i = 0; i < count; i++)
        {
            Span<byte> record = body.Slice(i * recordBytes, recordBytes);
            switch (type)
            {
                case FrameType.Ask:
                    MemoryMarshal.Write(record, new AskRecord { Id = Id($"x{random.Next(30)}"), Flags = (uint)random.Next(4), TellMs = (uint)random.Next(), Incarnation = random.Next(5) == 0 ? 7u : 0u });
                    break;
                case FrameType.Post:
                    MemoryMarshal.Write(record, new PostRecord { Key = (ulong)random.NextInt64(), Id = Id($"x{random.Next(30)}"), LeaseMs = (uint)random.Next(), Incarnation = (ulong)random.Next(1, 40), ImageOffset = random.NextInt64(), Bytes = random.Next(-5, int.MaxValue) });
                    break;
                case FrameType.Offer:
                    MemoryMarshal.Write(record, new OfferRecord { Id = Id($"x{random.Next(30)}"), Flags = (uint)random.Next(4), Incarnation = (ulong)random.Next(4) });
                    break;
                case FrameType.Delete:
                    MemoryMarshal.Write(record, new DeleteRecord { Id = Id($"x{random.Next(30)}"), Incarnation = (ulong)random.Next(40), TombstoneMs = (ulong)random.NextInt64() });
                    break;
            }
        }
        if (!honest && body.Length > 0)
            Mutate(body, random);
        var header = new FrameHeader { Type = type, Count = (ushort)count, BodyBytes = (uint)body.Length, Tag = (ulong)random.Next(4) };
        if (!honest && random.Next(3) == 0)
            Mutate(MemoryMarshal.AsBytes(new Span<FrameHeader>(ref header)), random);
        header.Check = honest || random.Next(4) > 0 ? header.CheckOf(body) : (uint)random.Next();
        MemoryMarshal.Write(frame, header);
        return frame;
    }

    /// <summary>Brings the bytes of one frame, and then the end.</summary>
    private sealed unsafe class OneFrame(byte[] bytes) : ITransferConnection
    {
        private int _at;

        public string RemoteAddress => "a test";

        public long CopiedBytes => 0;

        public long ReceivedAtMs => 0;

        public long SentAtMs => 0;

        public void Send(ReadOnlySpan<IoPart> parts)
        {
            // Nobody listens.
        }

        public nint TrySend(ReadOnlySpan<IoPart> parts) => 0;

        public bool Receive(ReadOnlySpan<IoPart> parts)
        {
            foreach (IoPart part in parts)
            {
                if (bytes.Length - _at < (int)part.Bytes)
                    throw new EndOfStreamException("the end");
                bytes.AsSpan(_at, (int)part.Bytes).CopyTo(new Span<byte>(part.Address, (int)part.Bytes));
                _at += (int)part.Bytes;
            }
            return true;
        }

        public int ReceiveSome(byte* address, int atLeast, int atMost)
        {
            int count = Math.Min(atMost, bytes.Length - _at);
            if (count < atLeast && count > 0)
                throw new EndOfStreamException("the end");
            bytes.AsSpan(_at, count).CopyTo(new Span<byte>(address, count));
            _at += count;
            return count;
        }

        public void Abort()
        {
            // Nobody waits.
        }

        public void Dispose()
        {
            // Nothing is held.
        }
    }
}
