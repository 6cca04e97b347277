using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using FastPlasma.Native;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Tests.Transfer;

/// <summary>Who is let in, who is not, and that those who are not harm nobody.</summary>
public sealed class HandshakeTests : NodeTest
{
    private static readonly byte[] s_key = Random(1, 32), s_otherKey = Random(2, 32);

    [Theory]
    [InlineData(true, "the cluster key is another one", "does not know the cluster key")]
    [InlineData(false, "needs the cluster key", "needs the cluster key")]
    public async Task Without_the_right_key_nobody_gets_in(bool hasOther, string server, string requester)
    {
        PlasmaNode source = StartNode(null, new PlasmaNodeOptions { ClusterKey = s_key });
        source.Store.Put(Id("a"), [1]);
        PlasmaNode target = StartNode([source.Endpoint], new PlasmaNodeOptions { ClusterKey = hasOther ? s_otherKey : default });
        PullFailure failure = Assert.Single((await target.PullAsync(new[] { Id("a") }, Ms(600))).Failures);
        Assert.True(failure.Reason.Contains(server, StringComparison.Ordinal) || failure.Reason.Contains(requester, StringComparison.Ordinal), failure.Reason);
        Assert.True(source.Stats().RefusedConnections > 0);
    }

    [Fact]
    public async Task With_the_same_key_objects_go()
    {
        PlasmaNode source = StartNode(null, new PlasmaNodeOptions { ClusterKey = s_key });
        source.Store.Put(Id("a"), Random(1, 2_000_000));
        PlasmaNode target = StartNode([source.Endpoint], new PlasmaNodeOptions { ClusterKey = s_key });
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
    }

    [Fact]
    public void Two_nodes_of_one_store_and_its_copy_refuse_each_other()
    {
        PlasmaNode node = StartNode();
        using PlainConnection connection = Dial(node.Endpoint);
        var copy = new Handshake.Self(Guid.NewGuid(), node.Store.Uuid, default, TimeSpan.FromMinutes(10), null);
        var refusal = Assert.Throws<ProtocolException>(() => Handshake.AsRequester(connection, copy, ConnectionKind.Control));
        Assert.Contains("copy", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recorded_handshake_is_worth_nothing()
    {
        PlasmaNode node = StartNode(null, new PlasmaNodeOptions { ClusterKey = s_key });
        var heard = new MemoryStream();
        using (var wire = new TcpProxy(node.Endpoint)
        {
            Meddle = (flow, piece) =>
            {
                if (!flow.IsToClient)
                    lock (heard)
                        heard.Write(piece);
                return true;
            },
        })
        using (PlainConnection connection = Dial(wire.Endpoint))
            Handshake.AsRequester(connection, new Handshake.Self(Guid.NewGuid(), Guid.NewGuid(), s_key, TimeSpan.FromMinutes(10), null), ConnectionKind.Control);
        Assert.Equal(Hello.SizeBytes + Hello.ProofBytes, heard.Length);
        string answer = Talk(node.Endpoint, heard.ToArray());
        Assert.Contains("FPREFUSE", answer, StringComparison.Ordinal);
        Assert.Contains("another one", answer, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mirrored_proof_is_worth_nothing()
    {
        // A server that does not know the key sends back what it is sent: the same Hello, then the proof as its own.
        using var listener = new Listening();
        var self = new Handshake.Self(Guid.NewGuid(), Guid.NewGuid(), s_key, TimeSpan.FromMinutes(10), null);
        listener.Serve(socket =>
        {
            byte[] hello = new byte[Hello.SizeBytes];
            ReadAll(socket, hello);
            RandomNumberGenerator.Fill(hello.AsSpan(16, 32)); // Another node, another store: all else is mirrored.
            socket.Send(hello);
            socket.Send(new byte[Hello.ProofBytes]);
            byte[] proof = new byte[Hello.ProofBytes];
            ReadAll(socket, proof); // Would be the requester's proof, which it must not send to who has proved nothing.
        });
        using PlainConnection connection = Dial(listener.Endpoint);
        var e = Assert.Throws<ProtocolException>(() => Handshake.AsRequester(connection, self, ConnectionKind.Control));
        Assert.Contains("does not know the cluster key", e.Message, StringComparison.Ordinal);

        // A requester that does not know it mirrors the server's proof.
        PlasmaNode node = StartNode(null, new PlasmaNodeOptions { ClusterKey = s_key });
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(node.Endpoint.Host, node.Endpoint.Port);
        socket.Send(HelloOf(Guid.NewGuid(), SecurityKind.ClusterKey));
        byte[] theirs = new byte[Hello.SizeBytes + Hello.ProofBytes];
        ReadAll(socket, theirs);
        socket.Send(theirs, Hello.SizeBytes, Hello.ProofBytes, SocketFlags.None);
        byte[] answer = new byte[8];
        ReadAll(socket, answer);
        Assert.Equal("FPREFUSE"u8.ToArray(), answer);
    }

    [Fact]
    public void No_bit_of_a_handshake_with_a_key_can_be_changed_on_the_way()
    {
        PlasmaNode node = StartNode(null, new PlasmaNodeOptions { ClusterKey = s_key });
        var random = new Random(5);
        for (int round = 0; round < 60; round++)
        {
            bool toClient = round % 2 == 0;
            int at = random.Next(Hello.SizeBytes + Hello.ProofBytes);
            using var wire = new TcpProxy(node.Endpoint)
            {
                Meddle = (flow, piece) =>
                {
                    if (flow.IsToClient == toClient && at >= flow.Before && at < flow.Before + piece.Count)
                        piece[(int)(at - flow.Before)] ^= (byte)(1 << random.Next(8));
                    return true;
                },
            };
            using PlainConnection connection = Dial(wire.Endpoint);
            Assert.ThrowsAny<IOException>(() => Handshake.AsRequester(connection, new Handshake.Self(Guid.NewGuid(), Guid.NewGuid(), s_key, TimeSpan.FromMinutes(10), null), ConnectionKind.Data));
        }
    }

    [Fact]
    public async Task Garbage_slow_and_silent_guests_are_shown_out_and_others_are_served()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 2_000_000));
        var random = new Random(9);
        var guests = new List<Socket>();
        for (int i = 0; i < 12; i++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(source.Endpoint.Host, source.Endpoint.Port);
            guests.Add(socket);
            byte[] words = i switch
            {
                < 4 => Random(i, random.Next(1, 2000)),
                4 => "GET / HTTP/1.1\r\n\r\n"u8.ToArray(),
                5 => HelloOf(source.Id, SecurityKind.None),
                6 => [.. HelloOf(Guid.NewGuid(), SecurityKind.None), .. Random(3, 5000)], // Garbage after a good handshake.
                7 => HelloOf(Guid.NewGuid(), (SecurityKind)7),
                _ => [], // Half-open.
            };
            if (words.Length > 0)
                socket.Send(words);
        }
        using var stop = new CancellationTokenSource();
        Socket slow = guests[^1];
        byte[] hello = HelloOf(Guid.NewGuid(), SecurityKind.None);
        var drip = Eventually.Start(() =>
        {
            try
            {
                for (int i = 0; i < hello.Length && !stop.IsCancellationRequested; i++)
                {
                    slow.Send(hello, i, 1, SocketFlags.None);
                    Thread.Sleep(100);
                }
            }
            catch (SocketException)
            {
                // Shown out.
            }
        });
        PlasmaNode target = StartNode([source.Endpoint]);
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        Until(() => guests.TrueForAll(static guest => IsOver(guest)), "that all guests are shown out");
        await stop.CancelAsync();
        drip.Join();
        Assert.True(source.Stats().RefusedConnections >= 11, $"{source.Stats().RefusedConnections} were refused");
        guests.ForEach(static guest => guest.Dispose());
    }

    [Fact]
    public async Task One_address_cannot_have_all_places_of_the_handshake_for_long()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), [1]);
        var guests = new List<Socket>();
        for (int i = 0; i < 100; i++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(source.Endpoint.Host, source.Endpoint.Port);
            guests.Add(socket);
        }
        Until(() => source.Stats().RefusedConnections >= 100 - FastPlasma.Transfer.Serving.Listener.HandshakesPerAddressMax, "the refusals");
        PlasmaNode target = StartNode([source.Endpoint]);
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures); // Once those that hang have been shown out.
        guests.ForEach(static guest => guest.Dispose());
    }

    [Fact]
    public void One_node_gets_only_so_many_connections()
    {
        PlasmaNode node = StartNode(null, new PlasmaNodeOptions { ConnectionsPerPeerMax = 3 });
        var self = new Handshake.Self(Guid.NewGuid(), Guid.NewGuid(), default, TimeSpan.FromMinutes(10), null);
        var connections = new List<PlainConnection>();
        for (int i = 0; i < 3; i++)
        {
            connections.Add(Dial(node.Endpoint));
            Handshake.AsRequester(connections[i], self, ConnectionKind.Data);
        }
        using (PlainConnection one = Dial(node.Endpoint))
            Assert.Contains("3 connections", Assert.Throws<ProtocolException>(() => Handshake.AsRequester(one, self, ConnectionKind.Data)).Message, StringComparison.Ordinal);
        connections[0].Dispose();
        Until(
            () =>
            {
                using PlainConnection again = Dial(node.Endpoint);
                try
                {
                    Handshake.AsRequester(again, self, ConnectionKind.Data);
                    return true;
                }
                catch (ProtocolException)
                {
                    return false;
                }
            },
            "a free place");
        connections.ForEach(static connection => connection.Dispose());
    }

    [Fact]
    public async Task With_certificates_of_one_authority_objects_go_and_their_copies_are_counted()
    {
        using X509Certificate2 authority = Authority("ours");
        PlasmaNode source = StartNode(null, Tls(authority, authority));
        source.Store.Put(Id("a"), Random(1, 2_000_000));
        PlasmaNode target = StartNode([source.Endpoint], Tls(authority, authority));
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        Assert.True(target.Stats().CopiedBytes >= 2_000_000 && source.Stats().CopiedBytes >= 2_000_000);
    }

    [Theory]
    [InlineData("foreign")]
    [InlineData("expired")]
    [InlineData("none")]
    [InlineData("plain")]
    public async Task Without_a_certificate_of_the_authority_nobody_gets_in(string which)
    {
        using X509Certificate2 authority = Authority("ours"), foreign = Authority("foreign");
        PlasmaNode source = StartNode(null, Tls(authority, authority));
        source.Store.Put(Id("a"), [1]);
        if (which == "none")
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(source.Endpoint.Host, source.Endpoint.Port);
#pragma warning disable CA5359 // Who has no certificate cares for nobody else's.
            using var stream = new System.Net.Security.SslStream(new NetworkStream(socket), false, static (_, _, _, _) => true);
#pragma warning restore CA5359
            try
            {
                await stream.AuthenticateAsClientAsync("fastplasma");
                await stream.WriteAsync(HelloOf(Guid.NewGuid(), SecurityKind.None), TestContext.Current.CancellationToken);
                Assert.Equal(0, await stream.ReadAsync(new byte[100], TestContext.Current.CancellationToken));
            }
            catch (Exception e) when (e is IOException or System.Security.Authentication.AuthenticationException)
            {
                // Shown out before or after.
            }
        }
        else
        {
            PlasmaNodeOptions options = which switch
            {
                "foreign" => Tls(foreign, authority),
                "expired" => Tls(authority, authority, days: -2),
                _ => new PlasmaNodeOptions(),
            };
            PlasmaNode target = StartNode([source.Endpoint], options);
            Assert.Single((await target.PullAsync(new[] { Id("a") }, Ms(1500))).Failures);
        }
        Until(() => source.Stats().RefusedConnections > 0, "the refusal");
        PlasmaNode good = StartNode([source.Endpoint], Tls(authority, authority));
        Assert.Empty((await good.PullAsync(new[] { Id("a") }, Soon)).Failures);
    }

    private static PlasmaNodeOptions Tls(X509Certificate2 signer, X509Certificate2 trusted, int days = 30)
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest("CN=node", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        DateTimeOffset now = DateTimeOffset.UtcNow;
        using X509Certificate2 bare = request.Create(signer, now.AddDays(-20), now.AddDays(days), Random(days + 100, 8));
        using X509Certificate2 withKey = bare.CopyWithPrivateKey(key);
        X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pkcs12), null);
        return new PlasmaNodeOptions { Tls = new TlsOptions(certificate, [trusted]) };
    }

    private static X509Certificate2 Authority(string name)
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-30), DateTimeOffset.UtcNow.AddDays(60));
    }

    private static unsafe byte[] HelloOf(Guid node, SecurityKind security)
    {
        var hello = new Hello { Magic = Hello.MagicValue, VersionMin = 1, VersionMax = 1, Security = security, NodeId = node, StoreUuid = Guid.NewGuid(), TombstoneSeconds = 600 };
        return new ReadOnlySpan<byte>(&hello, Hello.SizeBytes).ToArray();
    }

    private static PlainConnection Dial(NodeEndpoint endpoint) => new(SocketSetup.Dial(endpoint, Soon, CancellationToken.None));

    private static string Talk(NodeEndpoint endpoint, byte[] words)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(endpoint.Host, endpoint.Port);
        socket.Send(words);
        var answer = new MemoryStream();
        byte[] buffer = new byte[4096];
        try
        {
            for (int bytes; (bytes = socket.Receive(buffer)) > 0;)
                answer.Write(buffer, 0, bytes);
        }
        catch (SocketException)
        {
            // Reset after the refusal.
        }
        return System.Text.Encoding.Latin1.GetString(answer.ToArray());
    }

    private static bool IsOver(Socket socket)
    {
        try
        {
            byte[] buffer = new byte[1024];
            while (socket.Poll(0, SelectMode.SelectRead))
                if (socket.Receive(buffer) == 0)
                    return true;
            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    private static void ReadAll(Socket socket, byte[] bytes)
    {
        for (int at = 0; at < bytes.Length;)
        {
            int read = socket.Receive(bytes, at, bytes.Length - at, SocketFlags.None);
            if (read == 0)
                throw new EndOfStreamException();
            at += read;
        }
    }

    private sealed class Listening : IDisposable
    {
        private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

        internal Listening()
        {
            _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _socket.Listen();
        }

        internal NodeEndpoint Endpoint => new("127.0.0.1", ((IPEndPoint)_socket.LocalEndPoint!).Port);

        internal void Serve(Action<Socket> how) => new Thread(() =>
        {
            using Socket socket = _socket.Accept();
            try
            {
                how(socket);
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // The other side has seen enough.
            }
        })
        { IsBackground = true }.Start();

        public void Dispose() => _socket.Dispose();
    }
}
