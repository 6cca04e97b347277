using LightningDB;

namespace FastPlasma.Load.Peers;

/// <summary>LMDB through LightningDB: a B+ tree in a mapped file that all processes share, one writer at a time.</summary>
internal sealed class LmdbPeer : IPeer
{
    /// <summary>Readers of all processes; a slot has one cache line.</summary>
    private const int ReaderCountMax = 1024;

    private const long PageBytes = 4096;

    // WriteMap: pages are changed in the map; without it they are collected on the heap and written with pwrite at the commit, a second copy of every value.
    // NoSync: no durability, as for all peers. NoThreadLocalStorage: a reader slot belongs to a client instead of a thread. NoReadAhead, NoMemoryInitialization: nothing to gain in memory.
    private const EnvironmentOpenFlags Flags = EnvironmentOpenFlags.NoSync | EnvironmentOpenFlags.WriteMap | EnvironmentOpenFlags.NoThreadLocalStorage
        | EnvironmentOpenFlags.NoReadAhead | EnvironmentOpenFlags.NoMemoryInitialization;

    public string Name => "lmdb";

    public string Description =>
        $"{LmdbLibrary.Version}, through LightningDB 0.23: a B+ tree in a file on tmpfs mapped by every process; NoSync, WriteMap, NoTls. A put is one write transaction and copies once; a get is a view, a span over the map inside a read transaction "
        + "that each client resets and renews; one writer at a time. Not durable.";

    public bool IsShared => true;

    public string? Missing => LmdbLibrary.Missing;

    public bool HasBatches => true;

    public IPeerInstance Start(PeerSetup setup)
    {
        var instance = FolderInstance.Create(setup, Name, setup.CapacityBytes / 4 * 5 + PageBytes / 2 * setup.ObjectCountMax); // Seen: 1.2 times the payload for 300 KB objects, 1.5 KB more for each small one.
        try
        {
            using var session = new Session(instance.Address, setup); // Makes the files.
            return instance;
        }
        catch
        {
            instance.Dispose();
            throw;
        }
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address, setup);

    /// <summary>Address space only, the file is sparse: whole pages for large objects, half full ones for small, and pages that the readers of older snapshots still hold.</summary>
    private static long MapBytes(PeerSetup setup) => 4 * setup.CapacityBytes + 4 * PageBytes * setup.ObjectCountMax + (1L << 30);

    private static InvalidOperationException Error(string action, MDBResultCode code) => new($"LMDB could not {action}: {code}.");

    private sealed class Session : IPeerSession
    {
        /// <summary>LMDB's locks break when a process opens a file twice.</summary>
        private static readonly HashSet<string> s_open = [];

        private readonly string _folder;
        private readonly LightningEnvironment _environment;
        private readonly LightningDatabase _database;

        internal Session(string folder, PeerSetup setup)
        {
            LmdbLibrary.Resolve();
            _folder = folder;
            lock (s_open)
                if (!s_open.Add(folder))
                    throw new InvalidOperationException($"This process has {folder} open already; LMDB allows it once.");
            _environment = new LightningEnvironment(folder, new EnvironmentConfiguration { MapSize = MapBytes(setup), MaxReaders = ReaderCountMax });
            try
            {
                _environment.Open(Flags);
                _environment.CheckStaleReaders(); // A killed process's readers would keep old pages from being used again.
                using LightningTransaction transaction = _environment.BeginTransaction();
                _database = transaction.OpenDatabase(configuration: new DatabaseConfiguration { Flags = DatabaseOpenFlags.Create });
                if (transaction.Commit() is var code and not MDBResultCode.Success)
                    throw Error("create its tree", code);
            }
            catch
            {
                Close();
                throw;
            }
        }

        public IPeerClient Connect() => new Client(_environment, _database);

        public void Dispose()
        {
            _database.Dispose();
            Close();
        }

        private void Close()
        {
            _environment.Dispose();
            lock (s_open)
                s_open.Remove(_folder);
        }
    }

    private sealed class Client : IBatchClient
    {
        private readonly LightningEnvironment _environment;
        private readonly LightningDatabase _database;
        private readonly LightningTransaction _reader;

        internal Client(LightningEnvironment environment, LightningDatabase database)
        {
            _environment = environment;
            _database = database;
            _reader = environment.BeginTransaction(TransactionBeginFlags.ReadOnly);
            _reader.Reset();
        }

        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            using LightningTransaction transaction = _environment.BeginTransaction();
            MDBResultCode code = transaction.Put(_database, key, value, PutOptions.NoOverwrite);
            if (code == MDBResultCode.KeyExist)
                throw new InvalidOperationException($"LMDB refuses a put: the key {Convert.ToHexString(key)} is in use.");
            if (code == MDBResultCode.Success)
                code = transaction.Commit();
            if (code != MDBResultCode.Success)
                throw Error($"put {value.Length} bytes into a map of {_environment.MapSize} bytes", code);
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            Renew();
            try
            {
                return Read(key, touch, out sum);
            }
            finally
            {
                _reader.Reset();
            }
        }

        public int GetMany(ReadOnlySpan<byte> keys, bool touch, out long payloadBytes, out ulong sum)
        {
            int count = 0;
            payloadBytes = 0;
            sum = 0;
            Renew();
            try
            {
                for (; !keys.IsEmpty; keys = keys[IBatchClient.KeyBytes..])
                {
                    long bytes = Read(keys[..IBatchClient.KeyBytes], touch, out ulong one);
                    if (bytes < 0)
                        continue;
                    count++;
                    payloadBytes += bytes;
                    sum += one;
                }
            }
            finally
            {
                _reader.Reset();
            }
            return count;
        }

        public bool Contains(ReadOnlySpan<byte> key) => Get(key, touch: false, out _) >= 0;

        public bool Delete(ReadOnlySpan<byte> key)
        {
            using LightningTransaction transaction = _environment.BeginTransaction();
            MDBResultCode code = transaction.Delete(_database, key);
            if (code == MDBResultCode.NotFound)
                return false;
            if (code == MDBResultCode.Success)
                code = transaction.Commit();
            return code == MDBResultCode.Success ? true : throw Error("delete an object", code);
        }

        public void Dispose() => _reader.Dispose();

        private void Renew()
        {
            if (_reader.Renew() is var code and not MDBResultCode.Success)
                throw Error("renew a read transaction", code);
        }

        private long Read(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            sum = 0;
            (MDBResultCode code, _, MDBValue value) = _reader.Get(_database, key);
            if (code == MDBResultCode.NotFound)
                return -1;
            if (code != MDBResultCode.Success)
                throw Error("get an object", code);
            ReadOnlySpan<byte> bytes = value.AsSpan();
            if (touch)
                sum = Payload.Sum(bytes);
            return bytes.Length;
        }
    }
}
