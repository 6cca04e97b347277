using System.Diagnostics.Metrics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using FastPlasma.Native;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace FastPlasma.Tests.Transfer;

/// <summary>The control channel, the metrics and the registration of a node.</summary>
public sealed class NodeControlTests : NodeTest
{
    private static async Task<PlasmaNode> StartOn(PlasmaStore store)
    {
        var node = new PlasmaNode(store, new PlasmaNodeOptions { Listen = AnyPort });
        await node.StartAsync(CancellationToken.None);
        return node;
    }

    private static Socket Raw(PlasmaStore store) => LocalSocket.TryConnect(store.NodeSocket!.Value.Directory, store.NodeSocket.Value.Name)!;

    private static async Task<string?> Say(Socket socket, string text)
    {
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(text));
        using var reader = new StreamReader(stream);
        return await reader.ReadLineAsync().WaitAsync(Soon);
    }

    [Theory]
    [InlineData("{\"version\":2,\"operation\":\"Status\"}\n", "version 1 of the control protocol, not 2")]
    [InlineData("{\"version\":1,\"operation\":\"Reboot\"}\n", "no request")]
    [InlineData("{\"version\":1,\"operation\":99}\n", "unknown operation")]
    [InlineData("{\"version\":1,\"operation\":\"Pull\",\"timeoutMs\":-1}\n", "timeoutMs is -1")]
    [InlineData("{\"version\":1,\"operation\":\"Locate\",\"ids\":null}\n", "one object is located at a time")]
    [InlineData("{\"version\":1,\"operation\":\"Pull\",\"ids\":[\"zz\"]}\n", "object id")]
    [InlineData("{\"version\":1,\"operation\":\"Push\"}\n", "a push goes to one node")]
    [InlineData("null\n", "an empty request")]
    [InlineData("hello\n", "no request")]
    [InlineData("\n", "no request")]
    public async Task Nonsense_is_answered_and_harms_nobody(string line, string part)
    {
        PlasmaStore store = Named(out _);
        await using PlasmaNode node = await StartOn(store);
        using NodeControlClient other = NodeControlClient.TryConnect(store)!;
        string? reply = await Say(Raw(store), line);
        Assert.Contains(part, JsonDocument.Parse(reply!).RootElement.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Equal(node.Id, (await other.StatusAsync(CancellationToken.None)).NodeId);
    }

    [Fact]
    public async Task A_request_has_a_greatest_length()
    {
        PlasmaStore store = Named(out _);
        await using PlasmaNode node = await StartOn(store);
        using Socket socket = Raw(store);
        await using var stream = new NetworkStream(socket);
        byte[] piece = new byte[1 << 16];
        piece.AsSpan().Fill((byte)'x');
        Task<int> answer = socket.ReceiveAsync(new byte[200]);
        try
        {
            for (int sent = 0; sent < 4 * NodeControl.RequestBytesMax; sent += piece.Length)
                await stream.WriteAsync(piece).AsTask().WaitAsync(Soon);
        }
        catch (IOException)
        {
            // It closed before it had read everything.
        }
        Assert.True(await answer.WaitAsync(Soon) >= 0);
        using NodeControlClient other = NodeControlClient.TryConnect(store)!;
        Assert.Equal(node.Id, (await other.StatusAsync(CancellationToken.None)).NodeId);
    }

    [Fact]
    public async Task Many_clients_are_served_at_once_and_one_that_leaves_takes_its_request_with_it()
    {
        PlasmaStore store = Named(out _);
        await using PlasmaNode node = await StartOn(store);
        using var leave = new CancellationTokenSource();
        NodeControlClient[] clients = [.. Enumerable.Range(0, 20).Select(_ => NodeControlClient.TryConnect(store)!)];
        Task<PullReport>[] pulls = [.. clients.Select((client, i) => client.PullAsync(new[] { Id($"o{i}") }, [], Soon * 3, TransferPriority.Get, null, CancellationToken.None))];
        Until(() => node.FetchCount == 20, "all are fetched");
        store.Put(Id("o0"), [1]);
        Assert.Equal(1, (await pulls[0].WaitAsync(Soon)).Here);
        foreach (NodeControlClient client in clients)
            client.Dispose();
        Until(() => node.FetchCount == 0, "nobody waits any more");
        foreach (Task<PullReport> pull in pulls.Skip(1))
            await Assert.ThrowsAnyAsync<Exception>(() => pull);
    }

    [Fact]
    public async Task Long_names_and_folders_have_a_socket_too_and_anonymous_stores_none()
    {
        string folder = Directory.CreateDirectory(Path.Combine(NewFolder(), new string('d', 200))).FullName, name = new('n', 120);
        using PlasmaStore store = PlasmaStore.Create(name, Small with { Directory = folder });
        try
        {
            await using (PlasmaNode node = await StartOn(store))
            {
                using NodeControlClient client = NodeControlClient.TryConnect(store)!;
                Assert.Equal(node.Id, (await client.StatusAsync(CancellationToken.None)).NodeId);
                Assert.Equal(5, Directory.GetFiles(folder).Length);
            }
            Assert.Equal(4, Directory.GetFiles(folder).Length);
            Assert.Null(NodeControlClient.TryConnect(store));
        }
        finally
        {
            store.Dispose();
            PlasmaStore.Destroy(name, folder);
        }
        Assert.Null(NodeControlClient.TryConnect(StartNode().Store));
        Assert.Equal([], PlasmaStore.ListStores(folder));
    }

    [Fact]
    public async Task A_stopping_service_ends_its_requests()
    {
        PlasmaStore store = Named(out _);
        PlasmaNode node = await StartOn(store);
        using NodeControlClient client = NodeControlClient.TryConnect(store)!;
        Task<PullReport> pull = client.PullAsync(new[] { Id("never") }, [], Soon * 3, TransferPriority.Get, null, CancellationToken.None);
        Until(() => node.FetchCount == 1, "it is fetched");
        await node.DisposeAsync();
        await Assert.ThrowsAsync<IOException>(() => pull.WaitAsync(Soon));
    }

    [Fact]
    public async Task The_meter_tells_what_was_moved()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        source.Store.Put(Id("a"), new byte[3_000_000]);
        await target.PullAsync(new[] { Id("a") }, Soon);
        Eventually.True(() => Measure()[("fastplasma.node.sent", $"{source.Endpoint}")] >= 3_000_000, "The sender has counted what it sent"); // It counts when its call returns, which may be after the arrival.
        Dictionary<(string Name, string Node), long> seen = Measure();
        Assert.True(seen[("fastplasma.node.received", $"{target.Endpoint}")] >= 3_000_000);
        Assert.Equal(1, seen[("fastplasma.node.objects.received", $"{target.Endpoint}")]);
        Assert.Equal(1, seen[("fastplasma.node.peers.up", $"{target.Endpoint}")]);
        Assert.Equal(0, seen[("fastplasma.node.fetches", $"{target.Endpoint}")]);
        Assert.True(seen[("fastplasma.node.connections", $"{source.Endpoint}")] >= 1);
        foreach (string name in (string[])["relayed", "discarded", "bad", "copied", "fetches.failed", "connections.refused", "objects.sent"])
            Assert.Equal(0, seen[($"fastplasma.node.{name}", $"{target.Endpoint}")]);
        await target.StopAsync(CancellationToken.None);
        Assert.DoesNotContain(Measure().Keys, key => key.Node == $"{target.Endpoint}");
    }

    private static Dictionary<(string Name, string Node), long> Measure()
    {
        var seen = new Dictionary<(string, string), long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, listener) =>
            {
                if (instrument.Meter.Name == "FastPlasma.Node")
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        void Add(Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            foreach ((string key, object? node) in tags)
                if (key == "node")
                    seen[(instrument.Name, (string)node!)] = value;
        }

        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Add(instrument, value, tags));
        listener.Start();
        listener.RecordObservableInstruments();
        return seen;
    }

    [Fact]
    public async Task A_host_runs_several_nodes()
    {
        PlasmaStore first = Anonymous(NodeStore), second = Anonymous(NodeStore);
        var services = new ServiceCollection();
        services.AddFastPlasmaNode(first, new PlasmaNodeOptions { Listen = AnyPort });
        services.AddFastPlasmaNode(second, new PlasmaNodeOptions { Listen = AnyPort });
        await using ServiceProvider provider = services.BuildServiceProvider();
        IHostedService[] hosted = [.. provider.GetServices<IHostedService>()];
        Assert.Equal([first, second], hosted.Cast<PlasmaNode>().Select(static node => node.Store));
        Assert.Equal(hosted, provider.GetServices<PlasmaNode>());
        foreach (IHostedService service in hosted)
            await service.StartAsync(CancellationToken.None);
        Assert.NotEqual(((PlasmaNode)hosted[0]).Endpoint, ((PlasmaNode)hosted[1]).Endpoint);
    }
}
