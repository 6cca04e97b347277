using System.CommandLine;
using System.CommandLine.Parsing;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Cli.Commands;

/// <summary>Options of everything that runs a node: who it knows and how it proves who it is.</summary>
internal static class NodeSettings
{
    private const int KeyBytesMax = 64 << 10;

    internal static readonly Option<NodeEndpoint[]> Peers = Endpoints("--peer", "Another node, host or host:port (port 7430); once for each.");

    internal static readonly Option<string?> Redis = new("--redis")
    {
        Description = $"Find nodes and objects through a server of the Redis protocol instead of --peer: host:port[,host:port…][,ssl=true…] as StackExchange.Redis takes it. With a password, which others could see here, set {RedisVariable} instead.",
        HelpName = "CONFIG",
    };

    internal static readonly Option<string?> Cluster = new("--cluster") { Description = "With --redis: the cluster's name, so that several can share a server. Default fastplasma.", HelpName = "NAME" };

    private const string RedisVariable = "FASTPLASMA_REDIS";

    internal static readonly Option<string?> KeyFile = new("--key-file")
    {
        Description = $"File with the cluster's secret, at least {PlasmaNodeOptions.ClusterKeyBytesMin} random bytes, readable by its owner only; the same on all nodes.",
        HelpName = "FILE",
    };

    internal static readonly Option<string?> TlsCertificate = new("--tls-cert") { Description = "This node's certificate in PEM; with --tls-key and --tls-ca.", HelpName = "FILE" };

    internal static readonly Option<string?> TlsKey = new("--tls-key") { Description = "Private key of the certificate in PEM.", HelpName = "FILE" };

    internal static readonly Option<string?> TlsAuthorities = new("--tls-ca") { Description = "Certificates in PEM of who signs those of the cluster's nodes.", HelpName = "FILE" };

    internal static Option<NodeEndpoint[]> Endpoints(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "host:port",
        CustomParser = static result => [.. result.Tokens.Select(token => Parse(result, token.Value))],
    };

    internal static Option<NodeEndpoint?> Endpoint(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "host:port",
        CustomParser = static result => result.Tokens.Count == 0 ? null : Parse(result, result.Tokens[^1].Value),
    };

    /// <summary>Options of a node from those of the command line, where and for whom it listens apart.</summary>
    internal static PlasmaNodeOptions Of(Call call, NodeEndpoint listen, NodeEndpoint[]? peers) => new()
    {
        Listen = listen,
        Directory = DirectoryOf(call, peers ?? []),
        ClusterKey = call.Value(KeyFile) is { } file ? ReadKey(file) : default,
        Tls = ReadTls(call),
    };

    /// <summary>The one place that chooses who says which nodes there are and who has what.</summary>
    private static Func<IObjectDirectory> DirectoryOf(Call call, NodeEndpoint[] peers)
    {
        string? redis = call.Value(Redis) ?? (peers.Length == 0 ? Environment.GetEnvironmentVariable(RedisVariable) : null);
        if (string.IsNullOrEmpty(redis))
            return call.Value(Cluster) is null ? () => new StaticPeers(peers) : throw CliException.Usage($"--cluster belongs to --redis or {RedisVariable}");
        if (peers.Length > 0)
            throw CliException.Usage("--redis and --peer are two ways to find nodes; give one");
        var options = new RedisDirectoryOptions { Configuration = redis };
        if (call.Value(Cluster) is { } cluster)
            options = options with { Prefix = cluster };
        return options.Validate() is { } wrong ? throw CliException.Usage(wrong) : () => new RedisDirectory(options);
    }

    private static NodeEndpoint Parse(ArgumentResult result, string text)
    {
        if (!NodeEndpoint.TryParse(text, out NodeEndpoint endpoint))
            result.AddError($"'{text}' is no address of a node: host, host:port or [ipv6]:port, with a port from 0 to 65535.");
        return endpoint;
    }

    /// <summary>The secret as it is in the file, a newline at the end included.</summary>
    private static byte[] ReadKey(string file)
    {
        try
        {
            using SafeFileHandle handle = File.OpenHandle(file);
            if (!OperatingSystem.IsWindows() && File.GetUnixFileMode(handle) is var mode && (mode & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite)) != 0)
                throw CliException.Usage($"--key-file '{TextTable.Printable(file)}' has mode {Convert.ToString((int)mode, 8).PadLeft(4, '0')}: others could read the secret; it has to be 0600 (chmod 600)");
            long bytes = RandomAccess.GetLength(handle);
            if (bytes is < PlasmaNodeOptions.ClusterKeyBytesMin or > KeyBytesMax)
                throw CliException.Usage($"--key-file '{TextTable.Printable(file)}' has {bytes} bytes; {PlasmaNodeOptions.ClusterKeyBytesMin} to {KeyBytesMax} are possible, for example of 'head -c 32 /dev/urandom'");
            byte[] key = new byte[bytes];
            int read = RandomAccess.Read(handle, key, 0);
            return read == bytes ? key : throw new IOException("it became shorter while it was read");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw CliException.InputOutput("read", file, e);
        }
    }

    private static TlsOptions? ReadTls(Call call)
    {
        string?[] files = [call.Value(TlsCertificate), call.Value(TlsKey), call.Value(TlsAuthorities)];
        if (files.All(static file => file is null))
            return null;
        if (files is not [{ } certificateFile, { } keyFile, { } authoritiesFile])
            throw CliException.Usage("--tls-cert, --tls-key and --tls-ca go together");
        string reading = certificateFile;
        try
        {
            string certificate = File.ReadAllText(certificateFile), key = File.ReadAllText(reading = keyFile), authorities = File.ReadAllText(reading = authoritiesFile);
            reading = authoritiesFile;
            var trusted = new X509Certificate2Collection();
            trusted.ImportFromPem(authorities);
            if (trusted.Count == 0)
                throw CliException.Usage($"--tls-ca '{TextTable.Printable(authoritiesFile)}' has no certificate in PEM");
            reading = certificateFile;
            return new TlsOptions(X509Certificate2.CreateFromPem(certificate, key), trusted);
        }
        catch (CryptographicException e)
        {
            throw CliException.Usage($"'{TextTable.Printable(reading)}'{(reading == certificateFile ? $" and '{TextTable.Printable(keyFile)}'" : "")} cannot be used for TLS: {Failure.MessageOf(e)}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.InputOutput("read", reading, e);
        }
    }
}
