using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using FastPlasma.Native;

namespace FastPlasma.Transfer.Connections;

/// <summary>A TCP socket under TLS 1.3 with certificates on both sides. The cipher copies every byte once on each side, and these copies are counted.</summary>
internal sealed unsafe class TlsConnection : ITransferConnection
{
    private readonly Socket _socket;
    private readonly SslStream _stream;
    private readonly TransferCounters _counters;
    private long _copied, _receivedAt = Environment.TickCount64, _sentAt = Environment.TickCount64;
    private int _aborted;

    private TlsConnection(Socket socket, TlsOptions options, TransferCounters counters)
    {
        _counters = counters;
        _socket = socket;
        RemoteAddress = socket.RemoteEndPoint?.ToString() ?? "";
        SocketSetup.Prepare(socket);
        _stream = new SslStream(new NetworkStream(socket, ownsSocket: true), leaveInnerStreamOpen: false, (_, certificate, _, _) => IsOfCluster(certificate, options));
    }

    public string RemoteAddress { get; }

    public long CopiedBytes => Volatile.Read(ref _copied);

    /// <exception cref="IOException">The other side has no certificate of the cluster, or does not speak TLS 1.3.</exception>
    internal static TlsConnection AsRequester(Socket socket, TlsOptions options, TransferCounters counters)
    {
        var connection = new TlsConnection(socket, options, counters);
        connection.Authenticate(stream => stream.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = "fastplasma", // Who is there is told by the authorities alone: every node of the cluster may answer.
            ClientCertificates = [options.Certificate],
            EnabledSslProtocols = SslProtocols.Tls13,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        }));
        return connection;
    }

    /// <inheritdoc cref="AsRequester"/>
    internal static TlsConnection AsServer(Socket socket, TlsOptions options, TransferCounters counters)
    {
        var connection = new TlsConnection(socket, options, counters);
        connection.Authenticate(stream => stream.AuthenticateAsServer(new SslServerAuthenticationOptions
        {
            ServerCertificate = options.Certificate,
            ClientCertificateRequired = true,
            EnabledSslProtocols = SslProtocols.Tls13,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        }));
        return connection;
    }

    public long ReceivedAtMs => Volatile.Read(ref _receivedAt);

    public long SentAtMs => Volatile.Read(ref _sentAt);

    public void Send(ReadOnlySpan<IoPart> parts)
    {
        ThrowIfAborted();
        foreach (IoPart part in parts)
        {
            // SAFETY: the caller keeps the part in place until this returns. A part longer than a span goes in pieces.
            for (nuint at = 0; at < part.Bytes; at += PieceBytes)
            {
                Guard(stream => stream.Write(new ReadOnlySpan<byte>(part.Address + at, (int)Math.Min(PieceBytes, part.Bytes - at))));
                Volatile.Write(ref _sentAt, Environment.TickCount64);
            }
            CountCopied((long)part.Bytes);
        }
    }

    public nint TrySend(ReadOnlySpan<IoPart> parts)
    {
        ThrowIfAborted();
        return 0;
    }

    public bool Receive(ReadOnlySpan<IoPart> parts)
    {
        bool any = false;
        foreach (IoPart part in parts)
        {
            nuint at = 0;
            while (at < part.Bytes) // Ends: each read brings at least a byte, or the stream has ended.
            {
                ThrowIfAborted();
                int received = 0;
                Guard(stream => received = stream.Read(new Span<byte>(part.Address + at, (int)Math.Min(PieceBytes, part.Bytes - at))));
                if (received == 0)
                    return any ? throw new EndOfStreamException($"{RemoteAddress} closed the connection in the middle of a frame") : false;
                any = true;
                at += (nuint)received;
                Volatile.Write(ref _receivedAt, Environment.TickCount64);
            }
            CountCopied((long)part.Bytes);
        }
        return true;
    }

    public int ReceiveSome(byte* address, int atLeast, int atMost)
    {
        int got = 0;
        while (got < atLeast) // Ends: each read brings at least a byte, or the stream has ended.
        {
            ThrowIfAborted();
            int received = 0;
            Guard(stream => received = stream.Read(new Span<byte>(address + got, atMost - got)));
            if (received == 0)
                return got == 0 ? 0 : throw new EndOfStreamException($"{RemoteAddress} closed the connection in the middle of a frame");
            got += received;
            Volatile.Write(ref _receivedAt, Environment.TickCount64);
        }
        CountCopied(got);
        return got;
    }

    private const uint PieceBytes = 256 << 10;

    public void Abort()
    {
        if (Interlocked.Exchange(ref _aborted, 1) != 0)
            return;
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is not connected any more, which is as good.
        }
    }

    public void Dispose()
    {
        Abort();
        _stream.Dispose();
    }

    private void Authenticate(Action<SslStream> how)
    {
        try
        {
            how(_stream);
        }
        catch (Exception e) when (e is AuthenticationException or IOException or SocketException or ObjectDisposedException or InvalidOperationException or CryptographicException or ArgumentException)
        {
            Dispose();
            throw new IOException($"TLS with {RemoteAddress}: {e.InnerException?.Message ?? e.Message}", e);
        }
    }

    private void CountCopied(long bytes)
    {
        Interlocked.Add(ref _copied, bytes);
        _counters.CountCopied(bytes);
    }

    private void Guard(Action<SslStream> io)
    {
        try
        {
            io(_stream);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException or AuthenticationException)
        {
            throw new IOException($"the TLS connection to {RemoteAddress} broke: {e.Message}", e);
        }
    }

    private static bool IsOfCluster(X509Certificate? certificate, TlsOptions options)
    {
        if (certificate is not X509Certificate2 its)
            return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(options.Authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(its);
    }

    private void ThrowIfAborted()
    {
        if (Volatile.Read(ref _aborted) != 0)
            throw new IOException($"the connection to {RemoteAddress} was closed here");
    }
}
