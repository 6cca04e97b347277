using System.Diagnostics;
using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>A wire that falsifies, stops, cuts short: the bytes that arrive are right, or none do.</summary>
public sealed class DamagedWireTests : NodeTest
{
    private const int Chunk = 512 << 10;

    [Theory]
    [InlineData(3000, 1)] // One byte of an image that comes inside an answer.
    [InlineData(5_000_000, 1)]
    [InlineData(5_000_000, 2)]
    public async Task A_falsified_byte_is_noticed_and_its_chunk_asked_again(int bytes, int falsified)
    {
        PlasmaNode source = StartNode();
        byte[] payload = Random(1, bytes);
        source.Store.Put(Id("a"), payload);
        int left = falsified;
        using var wire = new TcpProxy(source.Endpoint)
        {
            Meddle = (flow, piece) =>
            {
                // Behind the handshake and the first frame's records; in a data connection, inside of the first chunk.
                if (flow.IsToClient && flow.Before + piece.Count > 2000 && piece.Count > 1000 && Interlocked.Decrement(ref left) >= 0)
                    piece[piece.Count - 100] ^= 0x10;
                return true;
            },
        };
        PlasmaNode target = StartNode([wire.Endpoint]);
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(payload, obj.Span);
        TransferStats stats = target.Stats();
        Assert.Equal(bytes, stats.ReceivedBytes - stats.BadBytes);
        Assert.InRange(stats.BadBytes, 1, falsified * Math.Min(bytes, Chunk));
    }

    [Fact]
    public async Task A_source_whose_bytes_are_always_wrong_is_given_up_with_the_reason()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 30_000));
        using var wire = new TcpProxy(source.Endpoint)
        {
            Meddle = static (flow, piece) =>
            {
                if (flow.IsToClient && piece.Count > 1000)
                    piece[piece.Count - 1] ^= 1;
                return true;
            },
        };
        PlasmaNode target = StartNode([wire.Endpoint]);
        PullFailure failure = Assert.Single((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        Assert.Contains("damaged", failure.Reason, StringComparison.Ordinal);
        NothingHalfMade(target);
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public async Task Falsified_bytes_anywhere_end_in_the_right_object_or_none(int seed)
    {
        PlasmaNode source = StartNode();
        ObjectId[] ids = [.. Enumerable.Range(0, 40).Select(i => Id($"{i}"))];
        for (int i = 0; i < ids.Length; i++)
            source.Store.Put(ids[i], Random(i, i * 20_000));
        var random = new Random(seed);
        using var wire = new TcpProxy(source.Endpoint)
        {
            Meddle = (_, piece) =>
            {
                lock (random)
                    if (random.Next(12) == 0)
                        piece[random.Next(piece.Count)] ^= (byte)(1 << random.Next(8));
                return true;
            },
        };
        PlasmaNode target = StartNode([wire.Endpoint], new PlasmaNodeOptions { SilenceTimeout = Ms(1500), StallTimeout = Ms(500) });
        PullReport report = await target.PullAsync(ids, TimeSpan.FromSeconds(4));
        for (int i = 0; i < ids.Length; i++)
            if (target.Store.TryGet(ids[i], out PlasmaObject obj))
                using (obj)
                    Same(Random(i, i * 20_000), obj.Span);
        wire.Meddle = null;
        wire.Cut();
        Assert.Empty((await target.PullAsync(report.Failures.Select(static failure => failure.Id).ToArray(), Soon)).Failures);
        NothingHalfMade(target);
    }

    [Fact]
    public async Task A_connection_that_stands_still_is_given_up_for_another()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 20 * Chunk));
        using var release = new ManualResetEventSlim();
        int stopped = 0;
        using var wire = new TcpProxy(source.Endpoint)
        {
            Meddle = (flow, _) =>
            {
                if (flow is { IsToClient: true, Before: > 700_000 } && Interlocked.Increment(ref stopped) <= 3)
                    release.Wait();
                return true;
            },
        };
        PlasmaNode target = StartNode([wire.Endpoint], new PlasmaNodeOptions { StallTimeout = Ms(300) });
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        Assert.True(stopped >= 3, "nothing stood still");
        release.Set();
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(Random(1, 20 * Chunk), obj.Span);
        Assert.Equal(0, target.Stats().BadBytes); // A broken connection is no damage.
    }

    [Fact]
    public async Task Connections_that_end_again_and_again_do_not_end_the_transfer()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 16 * Chunk));
        using var wire = new TcpProxy(source.Endpoint) { Meddle = static (flow, _) => !flow.IsToClient || flow.Before < 1_300_000 };
        PlasmaNode target = StartNode([wire.Endpoint]);
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, TimeSpan.FromSeconds(60))).Failures);
        Assert.Equal((16 * Chunk, 0), (target.Stats().ReceivedBytes, target.Stats().BadBytes));
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(Random(1, 16 * Chunk), obj.Span);
    }

    [Fact]
    public async Task A_link_that_is_slow_but_not_still_is_not_given_up()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 2 * Chunk));
        using var wire = new TcpProxy(source.Endpoint, new TcpProxy.Pace(400 << 10)); // Two chunks at a time need some 2.5 s each.
        PlasmaNode target = StartNode([wire.Endpoint], new PlasmaNodeOptions { StallTimeout = Ms(1200) });
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        Assert.InRange(wire.BytesToClient, 2 * Chunk, 2 * Chunk + Chunk / 4); // No chunk was begun again.
    }

    [Fact]
    public async Task What_a_transfer_had_goes_back_soon_when_its_source_stands_still_and_its_time_is_over()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 8 * Chunk));
        using var release = new ManualResetEventSlim();
        using var wire = new TcpProxy(source.Endpoint)
        {
            Meddle = (flow, _) =>
            {
                if (flow is { IsToClient: true, Before: > 300_000 })
                    release.Wait();
                return true;
            },
        };
        PlasmaNode target = StartNode([wire.Endpoint]);
        PullFailure failure = Assert.Single((await target.PullAsync(new[] { Id("a") }, Ms(700))).Failures);
        Assert.Contains("of 8 chunks had come", failure.Reason, StringComparison.Ordinal);
        long start = Stopwatch.GetTimestamp();
        Until(() => target.Store.Stats().CreatingCount == 0, "the memory back");
        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 5, "the memory came back late");
        Assert.Equal(PlasmaStatus.Ok, target.Store.TryPut(Id("a"), [1, 2, 3]));
        release.Set();
    }
}
