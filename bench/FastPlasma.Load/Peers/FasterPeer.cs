using System.Numerics;
using FASTER.core;

namespace FastPlasma.Load.Peers;

/// <summary>FASTER in this process, its log in memory.</summary>
internal sealed class FasterPeer : IPeer
{
    /// <summary>A record lies inside one page and a page has at most 1 GiB; the rest holds its headers and key.</summary>
    private const int ObjectBytesMax = (1 << PageBitsMax) - RecordOverheadBytes - PageHeaderBytes;

    private const int PageBitsMin = 25, PageBitsMax = 30, PageHeaderBytes = 64, RecordOverheadBytes = 64;

    /// <summary>A bucket of the index has a cache line and seven entries.</summary>
    private const long IndexBucketBytes = 64;

    public string Name => "faster";

    public string Description =>
        "FASTER (Microsoft.FASTER.Core 2.6), embedded, SpanByte keys and values in a log in memory that no device backs, no locking because no record is changed in place, one session per client. A put appends and replaces; a get "
        + "reads in place inside FASTER's callback, a view while its epoch is held; batches hold one epoch. Deleted objects' memory comes back by log compaction, which the putting thread runs when half of the log may be dead. "
        + "One process only. Not durable.";

    public bool IsShared => false;

    public string? Missing => null;

    public int LargestObjectBytes => ObjectBytesMax;

    public bool ReplacesOnPut => true;

    public bool HasBatches => true;

    public IPeerInstance Start(PeerSetup setup)
    {
        if (setup.ObjectBytesMax > ObjectBytesMax)
            throw new NotSupportedException($"FASTER holds objects of at most {ObjectBytesMax} bytes, not of {setup.ObjectBytesMax}.");
        return FolderInstance.Create(setup, Name, 0);
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address, setup);

    private sealed class Session : IPeerSession
    {
        private readonly FileStream _claim;
        private readonly NullDevice _device = new();
        private readonly FasterKV<SpanByte, SpanByte> _store;
        private readonly FasterLogSpace _space;

        internal Session(string folder, PeerSetup setup)
        {
            // The store is in this process's heap: a second one for the same address would be another, empty store.
            _claim = new FileStream(Path.Combine(folder, "claim"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            int pageBits = Math.Clamp(Bits(4L * setup.ObjectBytesMax + RecordOverheadBytes + PageHeaderBytes), PageBitsMin, PageBitsMax);
            // At the end of a page there is room for almost one object of the largest size.
            long pageBytes = 1L << pageBits, usableBytes = pageBytes - Math.Min(setup.ObjectBytesMax + RecordOverheadBytes, pageBytes / 2);
            long liveBytes = (long)((setup.CapacityBytes + (long)setup.ObjectCountMax * RecordOverheadBytes) * ((double)pageBytes / usableBytes)) + pageBytes;
            long threshold = 2 * liveBytes + 2 * pageBytes;
            var settings = new FasterKVSettings<SpanByte, SpanByte>
            {
                IndexSize = 1L << Bits(Math.Max(IndexBucketBytes << 10, setup.ObjectCountMax * IndexBucketBytes / 4)),
                LogDevice = _device,
                PageSize = pageBytes,
                SegmentSize = 1L << PageBitsMax,
                MemorySize = 1L << Bits(threshold + 4 * pageBytes + liveBytes),
                MutableFraction = 1.0,
                ConcurrencyControlMode = ConcurrencyControlMode.None,
                ReadCopyOptions = ReadCopyOptions.None,
            };
            try
            {
                _store = new FasterKV<SpanByte, SpanByte>(settings);
            }
            catch
            {
                _claim.Dispose();
                _device.Dispose();
                throw;
            }
            _space = new FasterLogSpace(_store, threshold, settings.MemorySize - 4 * pageBytes);
        }

        public IPeerClient Connect() => new FasterClient(_store, _space);

        public void Dispose()
        {
            _store.Dispose();
            _device.Dispose();
            _claim.Dispose();
        }

        private static int Bits(long bytes) => BitOperations.Log2((ulong)bytes - 1) + 1;
    }
}
