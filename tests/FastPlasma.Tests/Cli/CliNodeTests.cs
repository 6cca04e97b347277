using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using FastPlasma.Native;
using FastPlasma.Transfer;

namespace FastPlasma.Tests;

/// <summary>The commands of the node service, against services in processes of their own.</summary>
[SupportedOSPlatform("linux")]
public sealed partial class CliNodeTests : IDisposable
{
    private const int SignalInterrupt = 2, SignalKill = 9, SignalTerminate = 15;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly List<ScratchStore> _stores = [];
    private readonly List<Service> _services = [];
    private readonly ScratchDirectory _files = new();

    /// <summary>A running 'fastplasma serve'.</summary>
    private sealed record Service(Process Process, JsonElement Line)
    {
        internal string Endpoint => Line.GetProperty("endpoint").GetString()!;

        internal int End(int signal)
        {
            Assert.Equal(0, kill(Process.Id, signal));
            Assert.True(Process.WaitForExit(Patience), "the service did not end");
            return Process.ExitCode;
        }
    }

    public void Dispose()
    {
        foreach (Service service in _services)
        {
            CliProcess.End(service.Process);
            service.Process.Dispose();
        }
        foreach (ScratchStore store in _stores)
        {
            store.Dispose();
            Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"*{store.Name}*"));
        }
        _files.Dispose();
    }

    private ScratchStore NewStore()
    {
        var store = new ScratchStore(64 << 20);
        _stores.Add(store);
        return store;
    }

    private Service Serve(ScratchStore store, params string[] args) => Serve(store.Name, args);

    private Service Serve(string store, params string[] args)
    {
        Process process = CliProcess.Start(["serve", "-s", store, "--json", .. args.Contains("--listen") ? args : ["--listen", "127.0.0.1:0", .. args]]);
        try
        {
            Task<string?> line = process.StandardOutput.ReadLineAsync();
            Assert.True(line.Wait(Patience), "the service says nothing");
            Assert.True(line.Result is not null, line.Result is null ? process.StandardError.ReadToEnd() : "");
            process.BeginErrorReadLine(); // What it logs must not fill the pipe.
            var service = new Service(process, JsonDocument.Parse(line.Result!).RootElement);
            _services.Add(service);
            return service;
        }
        catch
        {
            CliProcess.End(process);
            throw;
        }
    }

    private static byte[] Content(int seed, int bytes)
    {
        byte[] content = new byte[bytes];
        new Random(seed).NextBytes(content);
        return content;
    }

    private static void Has(ScratchStore store, string name, byte[] content)
    {
        Assert.True(store.Store.TryGet(ObjectId.FromName(name), out PlasmaObject found), $"{name} is not there");
        using (found)
            Assert.True(found.Span.SequenceEqual(content));
    }

    private static void Fails(int exitCode, string part, params string[] args)
    {
        (int code, string output, string error) = CliProcess.Run(null, args);
        Assert.True(code == exitCode, $"exit code {code} instead of {exitCode}: {error}{output}");
        Assert.Contains(part, error, StringComparison.Ordinal);
    }

    private static JsonElement Json(int exitCode, params string[] args)
    {
        (int code, string output, string error) = CliProcess.Run(null, [.. args, "--json"]);
        Assert.True(code == exitCode, $"exit code {code} instead of {exitCode}: {error}{output}");
        return JsonDocument.Parse(output).RootElement;
    }

    // ---- serve ------------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(SignalInterrupt)]
    [InlineData(SignalTerminate)]
    public void Serve_says_where_it_listens_and_ends_by_a_signal_without_a_trace(int signal)
    {
        ScratchStore store = NewStore();
        Service service = Serve(store, "--name", "first");
        CliDocumentation.AssertShape(CliDocumentation.Under("### serve")[0], service.Line);
        Assert.Equal(service.Process.Id, service.Line.GetProperty("processId").GetInt32());
        string socket = Assert.Single(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{store.Name}.*.node"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(socket));
        JsonElement node = Json(0, "nodes", "-s", store.Name);
        CliDocumentation.AssertShape(CliDocumentation.Under("### nodes")[0], node);
        Assert.Equal("first", node.GetProperty("name").GetString());
        Assert.Equal(0, service.End(signal));
        Assert.False(File.Exists(socket));
        Assert.Single(store.Store.Stats().Participants);
        Fails(3, "'fastplasma serve", "nodes", "-s", store.Name);
    }

    [Fact]
    public void Serve_creates_a_missing_store_when_told_its_size()
    {
        string name = ScratchStore.NewName();
        try
        {
            Fails(3, "does not exist", "serve", "-s", name, "--listen", "127.0.0.1:0");
            Service service = Serve(name, "--create-size", "16MiB");
            using (PlasmaStore store = PlasmaStore.Open(name))
                Assert.Equal(16 << 20, store.CapacityBytes);
            Assert.Equal(0, service.End(SignalTerminate));
        }
        finally
        {
            PlasmaStore.Destroy(name);
        }
    }

    [Fact]
    public void A_store_has_one_service_and_a_port_one_listener()
    {
        ScratchStore a = NewStore(), b = NewStore();
        Service service = Serve(a);
        Fails(3, $"is served by process {service.Process.Id} already", "serve", "-s", a.Name, "--listen", "127.0.0.1:0");
        Fails(5, $"cannot listen on {service.Endpoint}", "serve", "-s", b.Name, "--listen", service.Endpoint);
        Assert.Equal(0, service.End(SignalTerminate));
    }

    [Fact]
    public void A_service_that_was_killed_is_replaced_and_its_socket_too()
    {
        ScratchStore store = NewStore();
        Service first = Serve(store);
        first.End(SignalKill);
        Assert.Single(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{store.Name}.*.node"));
        Fails(3, "'fastplasma serve", "nodes", "-s", store.Name);
        Assert.Equal(JsonValueKind.Null, Json(0, "stat", "-s", store.Name).GetProperty("node").ValueKind);
        Service second = Serve(store);
        Assert.Equal(second.Process.Id, Json(0, "nodes", "-s", store.Name).GetProperty("processId").GetInt32());
        second.End(SignalKill); // Destroy removes what it leaves: Dispose looks.
    }

    [Theory]
    [InlineData("0.0.0.0:0 can be reached from other machines, which needs TLS or a cluster key", "--listen", "0.0.0.0:0")]
    [InlineData("'nowhere:x' is no address of a node", "--listen", "nowhere:x")]
    [InlineData("'a:b' is no address of a node", "--peer", "a:b")]
    [InlineData("StreamsPerPeer is 0; it can be 1 to 64", "--streams", "0")]
    [InlineData("Replicas is 17; it can be 0 to 16", "--replicas", "17")]
    [InlineData("--create-size has to be more than 0", "--create-size", "0")]
    [InlineData("--tls-cert, --tls-key and --tls-ca go together", "--tls-cert", "x")]
    public void Serve_refuses_what_cannot_be(string part, params string[] args) => Fails(2, part, ["serve", "-s", NewStore().Name, .. args]);

    [Fact]
    public void Nodes_find_each_other_through_redis()
    {
        string folder = Directory.CreateTempSubdirectory(Leftovers.Prefix).FullName;
        try
        {
            using var redis = new RedisServer(folder);
            ScratchStore a = NewStore(), b = NewStore();
            Serve(a, "--redis", redis.Configuration, "--cluster", "c1");
            Serve(b, "--redis", redis.Configuration, "--cluster", "c1");
            byte[] content = Content(9, 300_000);
            a.Store.Put(ObjectId.FromName("x"), content);
            Assert.Equal(PlasmaStatus.Ok, b.Store.TryGet(ObjectId.FromName("x"), Patience, out PlasmaObject found));
            using (found)
                Assert.True(found.Span.SequenceEqual(content));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Options_of_redis_are_checked()
    {
        string store = NewStore().Name;
        Fails(2, "give one", "serve", "-s", store, "--redis", "127.0.0.1:1", "--peer", "127.0.0.1");
        Fails(2, "--cluster belongs to --redis", "serve", "-s", store, "--cluster", "c");
        Fails(2, "Prefix has to be", "serve", "-s", store, "--redis", "127.0.0.1:1", "--cluster", "no spaces");
        Fails(2, "Configuration is no configuration string", "serve", "-s", store, "--redis", ",password=secret");
    }

    [Fact]
    public void A_key_file_is_the_owners_and_long_enough()
    {
        string store = NewStore().Name, key = _files.File("key", Content(1, 32));
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        Fails(2, "has mode 0640", "serve", "-s", store, "--key-file", key);
        string small = _files.File("small", Content(1, 31));
        File.SetUnixFileMode(small, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Fails(2, "has 31 bytes", "serve", "-s", store, "--key-file", small);
        Fails(5, "cannot read '/no/where'", "serve", "-s", store, "--key-file", "/no/where");
    }

    [Fact]
    public void Only_who_knows_the_key_gets_objects()
    {
        ScratchStore a = NewStore(), b = NewStore();
        string key = _files.File("key", Content(1, 32)), other = _files.File("other", Content(2, 32));
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.SetUnixFileMode(other, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Service service = Serve(a, "--listen", "0.0.0.0:0", "--advertise", "127.0.0.1:0", "--key-file", key);
        byte[] content = Content(3, 100_000);
        a.Store.Put(ObjectId.FromName("secret"), content);
        Fails(1, "secret", "pull", "secret", "-s", b.Name, "--from", service.Endpoint, "--timeout", "1s");
        Fails(1, "secret", "pull", "secret", "-s", b.Name, "--from", service.Endpoint, "--timeout", "1s", "--key-file", other);
        Assert.Equal(1, Json(0, "pull", "secret", "-s", b.Name, "--from", service.Endpoint, "--key-file", key).GetProperty("doneCount").GetInt32());
        Has(b, "secret", content);
    }

    [Fact]
    public void Certificates_of_the_cluster_let_in()
    {
        using ECDsa authorityKey = ECDsa.Create(), nodeKey = ECDsa.Create();
        var authorityRequest = new CertificateRequest("CN=cluster", authorityKey, HashAlgorithmName.SHA256);
        authorityRequest.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 authority = authorityRequest.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        using X509Certificate2 node = new CertificateRequest("CN=node", nodeKey, HashAlgorithmName.SHA256).Create(authority, authority.NotBefore, authority.NotAfter, [1]);
        string[] tls =
        [
            "--tls-cert", _files.File("node.pem", System.Text.Encoding.ASCII.GetBytes(node.ExportCertificatePem())),
            "--tls-key", _files.File("node.key", System.Text.Encoding.ASCII.GetBytes(nodeKey.ExportPkcs8PrivateKeyPem())),
            "--tls-ca", _files.File("ca.pem", System.Text.Encoding.ASCII.GetBytes(authority.ExportCertificatePem())),
        ];
        ScratchStore a = NewStore(), b = NewStore();
        Service service = Serve(a, tls);
        byte[] content = Content(3, 3_000_000);
        a.Store.Put(ObjectId.FromName("x"), content);
        Fails(1, "'x'", "pull", "x", "-s", b.Name, "--from", service.Endpoint, "--timeout", "1s");
        Json(0, ["pull", "x", "-s", b.Name, "--from", service.Endpoint, .. tls]);
        Has(b, "x", content);
        Assert.Equal("tls", Json(0, "nodes", "-s", a.Name).GetProperty("security").GetString());
        Fails(2, "cannot be used for TLS", "serve", "-s", b.Name, tls[0], tls[3], "--tls-key", tls[3], "--tls-ca", tls[5]);
        Fails(2, "has no certificate in PEM", "serve", "-s", b.Name, tls[0], tls[1], tls[2], tls[3], "--tls-ca", tls[3]);
    }

    // ---- pull, push, locate, get, stat, top -------------------------------------------------------------------------------

    [Fact]
    public void Objects_go_through_the_services()
    {
        ScratchStore a = NewStore(), b = NewStore();
        Service first = Serve(a), second = Serve(b, "--peer", first.Endpoint);
        byte[] large = Content(1, 9_000_000), small = Content(2, 1000);
        a.Store.Put(ObjectId.FromName("large"), large);
        a.Store.Put(ObjectId.FromName("small"), small);
        a.Store.Put(ObjectId.FromName("late"), small);

        JsonElement where = Json(0, "locate", "large", "-s", b.Name);
        CliDocumentation.AssertShape(CliDocumentation.Under("### locate")[0], where);
        JsonElement at = Assert.Single(where.GetProperty("locations").EnumerateArray());
        Assert.Equal(first.Endpoint, at.GetProperty("node").GetString());
        Assert.False(at.GetProperty("isHere").GetBoolean());

        JsonElement pulled = Json(1, "pull", "large", "small", "nothing", "small", "-s", b.Name, "--timeout", "2s", "--priority", "wait");
        CliDocumentation.AssertShape(CliDocumentation.Under("### pull, push")[0], pulled);
        Assert.Equal(2, pulled.GetProperty("doneCount").GetInt32());
        Assert.Equal("NotFound", pulled.GetProperty("objects")[2].GetProperty("status").GetString());
        Has(b, "large", large);
        Has(b, "small", small);
        Assert.Equal(2, Json(0, "locate", "large", "-s", b.Name).GetProperty("locations").GetArrayLength());
        Fails(1, "no node that answered has object 'nothing'", "locate", "nothing", "-s", b.Name);

        (int code, _, string error) = CliProcess.Run(null, "get", "late", "-s", b.Name, "--timeout", "20s", "-o", Path.Combine(_files.Path, "late"));
        Assert.True(code == 0, error);
        Assert.Equal(small, File.ReadAllBytes(Path.Combine(_files.Path, "late")));

        b.Store.Put(ObjectId.FromName("back"), large);
        Assert.Equal(1, Json(0, "push", "back", "-s", b.Name, "--to", first.Endpoint).GetProperty("doneCount").GetInt32());
        Has(a, "back", large);
        Fails(1, "it is not in this store", "push", "nothing", "-s", b.Name, "--to", first.Endpoint);

        JsonElement stat = Json(0, "stat", "-s", b.Name).GetProperty("node");
        Assert.Equal(second.Process.Id, stat.GetProperty("processId").GetInt32());
        Assert.True(stat.GetProperty("stats").GetProperty("receivedBytes").GetInt64() >= 9_001_000);
        Assert.True(stat.GetProperty("peers")[0].GetProperty("isUp").GetBoolean());
        foreach (string[] command in (string[][])[["stat"], ["top", "--count", "1", "--interval", "10ms"], ["nodes"]])
        {
            (code, string output, error) = CliProcess.Run(null, [.. command, "-s", b.Name]);
            Assert.True(code == 0, error);
            Assert.Contains($"process {second.Process.Id} at {second.Endpoint}", output, StringComparison.Ordinal);
        }
        Assert.Equal(0, second.End(SignalTerminate));
        Assert.Equal(0, first.End(SignalTerminate));
    }

    [Fact]
    public void Without_a_service_a_command_is_a_node_itself()
    {
        ScratchStore a = NewStore(), b = NewStore();
        Service service = Serve(a);
        byte[] content = Content(1, 2_000_000);
        a.Store.Put(ObjectId.FromName("x"), content);
        foreach (string[] command in (string[][])[["pull", "x"], ["push", "x", "--to", service.Endpoint, "-s", a.Name], ["locate", "x"], ["nodes"]])
            if (command[0] != "push")
                Fails(3, $"'fastplasma serve --store {b.Name}'", [.. command, "-s", b.Name]);
        Json(0, "pull", "x", "-s", b.Name, "--from", service.Endpoint);
        Has(b, "x", content);
        Assert.Equal(2, Json(0, "locate", "x", "-s", b.Name, "--peer", service.Endpoint).GetProperty("locations").GetArrayLength());
        b.Store.Put(ObjectId.FromName("y"), content);
        b.Store.Put(ObjectId.FromName("z"), []);
        Assert.Equal(3, Json(0, "push", "--all", "-s", b.Name, "--to", service.Endpoint).GetProperty("doneCount").GetInt32());
        Has(a, "y", content);
        Has(a, "z", []);
        Fails(2, "say --listen", "push", "y", "-s", b.Name, "--to", "192.0.2.1");
        Fails(2, "exclude each other", "push", "y", "--all", "-s", b.Name, "--to", service.Endpoint);
        Fails(2, "name objects, or say --all", "push", "-s", b.Name, "--to", service.Endpoint);
        Fails(2, "--to says", "push", "y", "-s", b.Name);
        Fails(2, "--priority is 'soon'", "pull", "y", "-s", b.Name, "--priority", "soon");
        Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{b.Name}.*.node"));
    }

    [Fact]
    public void A_pull_that_is_interrupted_leaves_the_service_well()
    {
        ScratchStore a = NewStore();
        Service service = Serve(a);
        using Process pull = CliProcess.Start("pull", "never", "-s", a.Name, "--timeout", "60s");
        try
        {
            Poll.Until(() => Json(0, "nodes", "-s", a.Name).GetProperty("fetchCount").GetInt32() == 1, Patience, "the pull begins");
            Assert.Equal(0, kill(pull.Id, SignalKill));
            Poll.Until(() => Json(0, "nodes", "-s", a.Name).GetProperty("fetchCount").GetInt32() == 0, Patience, "the service lets go of it");
        }
        finally
        {
            CliProcess.End(pull);
        }
        Assert.Equal(0, service.End(SignalTerminate));
    }

    [Fact]
    public void The_demo_of_nodes_survives_a_kill_and_leaves_nothing()
    {
        _files.File("a", Content(1, 300_000));
        _files.File("b", Content(2, 100));
        _files.File("c", Content(3, 70_000));
        (int code, string output, string error) = CliProcess.Run(null, "demo", _files.Path, "--nodes", "3", "--large", "8MiB", "--json");
        Assert.True(code == 0, error + output);
        JsonElement result = JsonDocument.Parse(output).RootElement;
        Assert.True(result.GetProperty("ok").GetBoolean());
        foreach (JsonElement node in result.GetProperty("nodes").EnumerateArray())
            Assert.Equal(3 + 6 + 1, node.GetProperty("verified").GetInt32());
        foreach (JsonElement operation in result.GetProperty("operations").EnumerateArray())
            Assert.Equal(operation.GetProperty("operation").GetString() == "put" ? 1 : 0, operation.GetProperty("copiesPerObject").GetDouble());
        Assert.Contains("Timeout", result.GetProperty("lostReason").GetString(), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, "fastplasma.fastplasma-demo-*"));
        Fails(2, "--nodes is a number from 3 to 8", "demo", "--nodes", "2");
    }

    [Theory]
    [InlineData(SignalInterrupt, 130)]
    [InlineData(SignalKill, 137)]
    public void A_demo_of_nodes_that_is_ended_leaves_nothing(int signal, int expected)
    {
        _files.File("a", Content(1, 300_000));
        using Process demo = CliProcess.Start("demo", _files.Path, "--nodes", "3", "--large", "32MiB");
        try
        {
            string Left() => string.Join(' ', Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.fastplasma-demo-{demo.Id}-*"));
            Poll.Until(() => Left().Contains(".node", StringComparison.Ordinal), Patience, "a node runs");
            Assert.Equal(0, kill(demo.Id, signal));
            Assert.True(demo.WaitForExit(Patience), "the demo did not end");
            Assert.Equal(expected, demo.ExitCode);
            Poll.Until(() => Left().Length == 0, Patience, "all stores are gone");
        }
        finally
        {
            CliProcess.End(demo);
        }
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
