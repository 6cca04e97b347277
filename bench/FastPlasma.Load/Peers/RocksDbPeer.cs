using RocksDbSharp;

namespace FastPlasma.Load.Peers;

/// <summary>RocksDB in this process, its files on tmpfs.</summary>
internal sealed class RocksDbPeer : IPeer
{
    private const ulong MemtableBytes = 256 << 20;

    private const int MemtableCountMax = 4;

    public string Name => "rocksdb";

    public string Description =>
        "RocksDB (package RocksDB 11), embedded, files on tmpfs; no write-ahead log, no compression, block cache of the whole capacity, tuned for point look-ups (bloom filters, hash index in blocks), 256 MiB memtables. A put replaces; "
        + "a get is a view of a pinned slice, which RocksDB copies out of a memtable and not out of its block cache; large objects stay in the table files, since blob files would be read, and so copied, at every get. One process only. Not durable.";

    public bool IsShared => false;

    public string? Missing => null;

    public bool ReplacesOnPut => true;

    public IPeerInstance Start(PeerSetup setup) => FolderInstance.Create(setup, Name, 2 * setup.CapacityBytes); // A compaction writes before it deletes.

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address, setup);

    private sealed class Session : IPeerSession
    {
        private readonly RocksDb _database;

        // The database keeps native pointers into these, not the objects.
        private readonly DbOptions _options;
        private readonly WriteOptions _write;
        private readonly ReadOptions _read;

        internal Session(string folder, PeerSetup setup)
        {
            ulong cacheMiB = (ulong)setup.CapacityBytes / (1 << 20) + 64;
            _options = new DbOptions()
                .SetCreateIfMissing()
                .OptimizeForPointLookup(cacheMiB)
                .SetCompression(Compression.No)
                .SetWriteBufferSize(MemtableBytes)
                .SetMaxWriteBufferNumber(MemtableCountMax)
                .SetTargetFileSizeBase(MemtableBytes)
                .SetMaxBytesForLevelBase(MemtableBytes * MemtableCountMax)
                .SetMaxOpenFiles(-1)
                .SetStatsDumpPeriodSec(0)
                .SetInfoLogLevel(InfoLogLevel.Error)
                .IncreaseParallelism(Environment.ProcessorCount);
            _write = new WriteOptions().DisableWal(1);
            _read = new ReadOptions().SetVerifyChecksums(false);
            _database = RocksDb.Open(_options, folder);
        }

        public IPeerClient Connect() => new Client(_database, _write, _read);

        public void Dispose()
        {
            _database.Dispose();
            GC.KeepAlive(_options);
            GC.KeepAlive(_write);
            GC.KeepAlive(_read);
        }
    }

    private sealed class Client(RocksDb database, WriteOptions write, ReadOptions read) : IPeerClient
    {
        private readonly Reader _reader = new();

        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) => database.Put(key, value, writeOptions: write);

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            _reader.Touch = touch;
            Found found = database.Get(key, _reader, readOptions: read);
            sum = found.Sum;
            return found.Length - 1;
        }

        public bool Contains(ReadOnlySpan<byte> key) => database.HasKey(key, readOptions: read);

        public bool Delete(ReadOnlySpan<byte> key)
        {
            // RocksDB writes a tombstone whether there was an object or not; the answer costs a look-up.
            if (!Contains(key))
                return false;
            database.Remove(key, writeOptions: write);
            return true;
        }

        public void Dispose() { } // The database is the session's.
    }

    /// <param name="Length">The object's length + 1; 0, the default, when there is none.</param>
    /// <param name="Sum">The sum of its bytes, or 0.</param>
    private readonly record struct Found(long Length, ulong Sum);

    private sealed class Reader : ISpanDeserializer<Found>
    {
        internal bool Touch;

        public Found Deserialize(ReadOnlySpan<byte> buffer) => new(buffer.Length + 1L, Touch ? Payload.Sum(buffer) : 0);
    }
}
