using System.Globalization;
using System.Net.Sockets;
using StackExchange.Redis;

namespace FastPlasma.Load.Peers;

/// <summary>Redis on a unix socket through StackExchange.Redis.</summary>
internal sealed class RedisPeer : IPeer
{
    /// <summary>Redis's default for the largest string (proto-max-bulk-len).</summary>
    private const int ObjectBytesMax = 512 << 20;

    public string Name => "redis";

    public string Description =>
        "redis-server of the system on a unix socket, no snapshots, no append-only file, default number of io threads, no memory limit; StackExchange.Redis 3, one multiplexer (one connection) per process. A put is SET NX; "
        + "a get is a copy, received into a leased buffer without another copy; batches are pipelined. Not durable.";

    public bool IsShared => true;

    public string? Missing => ServerProcess.Missing("redis-server", "redis-server");

    public int LargestObjectBytes => ObjectBytesMax;

    public bool CanEvict => true;

    public bool HasBatches => true;

    public IPeerInstance Start(PeerSetup setup)
    {
        if (setup.ObjectBytesMax > ObjectBytesMax)
            throw new NotSupportedException($"Redis holds objects of at most {ObjectBytesMax} bytes, not of {setup.ObjectBytesMax}.");
        string socketPath = Path.Combine(setup.Directory, "redis.sock");
        string[] arguments =
        [
            "--port", "0", "--unixsocket", socketPath, "--unixsocketperm", "700", "--daemonize", "no", "--dir", setup.Directory, "--logfile", "",
            "--save", "", "--appendonly", "no", "--maxmemory", setup.Evicts ? setup.CapacityBytes.ToString(CultureInfo.InvariantCulture) : "0", "--maxmemory-policy", setup.Evicts ? "allkeys-lru" : "noeviction", "--maxclients", "10000",
            "--client-query-buffer-limit", "4gb", // A put that is being received counts as this.
            "--lazyfree-lazy-user-del", "yes", // A large object is freed beside the thread that answers.
        ];
        return new Instance(ServerProcess.Start("redis-server", arguments, socketPath, ServerProcess.Answers("PING\r\n", "+PONG")), socketPath);
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address);

    private sealed class Instance(ServerProcess server, string socketPath) : IPeerInstance
    {
        public string Address => socketPath;

        public void Dispose() => server.Dispose();
    }

    private sealed class Session : IPeerSession
    {
        private const int TimeoutMs = 60_000;

        private readonly ConnectionMultiplexer _multiplexer;

        internal Session(string socketPath)
        {
            var options = new ConfigurationOptions
            {
                EndPoints = { new UnixDomainSocketEndPoint(socketPath) },
                AbortOnConnectFail = true,
                ConnectTimeout = TimeoutMs,
                SyncTimeout = TimeoutMs,
                AsyncTimeout = TimeoutMs,
                ConfigurationChannel = "", // Nothing is published here.
                TieBreaker = "",
                SetClientLibrary = false,
            };
            _multiplexer = ConnectionMultiplexer.Connect(options);
        }

        public IPeerClient Connect() => new Client(_multiplexer.GetDatabase());

        public void Dispose() => _multiplexer.Dispose();
    }

    private sealed class Client(IDatabase database) : IBatchClient
    {
        // A key is an array to Redis's client. The calls that use these have been answered before the next one starts.
        private readonly byte[] _key = new byte[IBatchClient.KeyBytes];
        private readonly BorrowedMemory _value = new();
        private readonly List<byte[]> _keys = [];
        private readonly List<Task<Lease<byte>?>> _answers = [];

        public unsafe void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            bool stored;
            // SAFETY: the call returns when the server has answered, which is after the bytes were sent; they are pinned until then.
            fixed (byte* bytes = value)
            {
                _value.Lend(bytes, value.Length);
                stored = database.StringSet(Key(key), _value.Memory, null, When.NotExists);
                _value.Lend(null, 0);
            }
            if (!stored)
                throw new InvalidOperationException($"Redis refuses a put: the key {Convert.ToHexString(key)} is in use.");
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            using Lease<byte>? lease = database.StringGetLease(Key(key));
            return Read(lease, touch, out sum);
        }

        public int GetMany(ReadOnlySpan<byte> keys, bool touch, out long payloadBytes, out ulong sum)
        {
            int count = 0;
            payloadBytes = 0;
            sum = 0;
            for (int i = 0; !keys.IsEmpty; i++, keys = keys[IBatchClient.KeyBytes..])
            {
                if (i == _keys.Count)
                    _keys.Add(new byte[IBatchClient.KeyBytes]);
                keys[..IBatchClient.KeyBytes].CopyTo(_keys[i]);
                _answers.Add(database.StringGetLeaseAsync(_keys[i]));
            }
            Task.WaitAll(_answers); // Once for all of them; this thread is none of the pool's, which process the answers.
            foreach (Task<Lease<byte>?> answer in _answers)
            {
                using Lease<byte>? lease = answer.Result;
                long bytes = Read(lease, touch, out ulong one);
                if (bytes < 0)
                    continue;
                count++;
                payloadBytes += bytes;
                sum += one;
            }
            _answers.Clear();
            return count;
        }

        public bool Contains(ReadOnlySpan<byte> key) => database.KeyExists(Key(key));

        public bool Delete(ReadOnlySpan<byte> key) => database.KeyDelete(Key(key));

        public void Dispose() { } // The connection is the session's.

        private static long Read(Lease<byte>? lease, bool touch, out ulong sum)
        {
            sum = 0;
            if (lease is null)
                return -1;
            if (touch)
                sum = Payload.Sum(lease.Span);
            return lease.Length;
        }

        private RedisKey Key(ReadOnlySpan<byte> key)
        {
            key.CopyTo(_key);
            return _key;
        }
    }
}
