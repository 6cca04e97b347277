using System.IO.MemoryMappedFiles;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Peers;

/// <summary>The least that any store in shared memory needs: bytes in one mapped file at places that everybody knows beforehand, and one atomic increment for every call.</summary>
/// <remarks>
/// No store: it keeps no index and checks nothing, so it must be told nothing wrong. Objects lie at number × size, where the size is that of the last put. The increment stands for the one
/// atomic write without which no reader can be seen; it goes to a word of the client alone.
/// </remarks>
internal sealed class CeilingPeer : IPeer
{
    internal const string PeerName = "ceiling";

    public string Name => PeerName;

    public string Description =>
        "No store, but what any needs at least: every call is one atomic increment of an own word, a put one Span.CopyTo into a mapped file at a place known beforehand, a touched get one sum over the bytes in place.";

    public bool IsShared => true;

    public string? Missing => null;

    public bool CanEvict => true;

    public IPeerInstance Start(PeerSetup setup)
    {
        string path = Path.Combine(setup.Directory, "ceiling");
        using (FileStream file = new(path, FileMode.CreateNew))
            file.SetLength(Session.HeaderBytes + setup.CapacityBytes + setup.ObjectBytesMax);
        return new Instance(path);
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address, setup.CapacityBytes);

    private sealed class Instance(string path) : IPeerInstance
    {
        public string Address => path;

        public void Dispose() => File.Delete(path);
    }

    private sealed unsafe class Session : IPeerSession
    {
        internal const int HeaderBytes = 4096;
        private readonly MemoryMappedFile _file;
        private readonly MemoryMappedViewAccessor _view;
        private readonly byte* _base;
        private readonly long _capacityBytes;

        internal Session(string path, long capacityBytes)
        {
            _capacityBytes = capacityBytes;
            _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open);
            _view = _file.CreateViewAccessor();
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _base);
        }

        public IPeerClient Connect() => new Client(_base, _capacityBytes);

        public void Dispose()
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }
    }

    internal sealed unsafe class Client(byte* header, long capacityBytes) : IPeerClient
    {
        // In the middle of 512 bytes of its own, so that no other client writes near it.
        private readonly long[] _word = new long[64];

        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            if (*(int*)header != value.Length)
                *(int*)header = value.Length;
            Interlocked.Increment(ref _word[32]);

            // SAFETY: Place gives an offset below the capacity, and the file is longer than that by the header and the largest object.
            value.CopyTo(new Span<byte>(Place(key, value.Length), value.Length));
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            sum = 0;
            Interlocked.Increment(ref _word[32]);
            if (Keys.NumberOf(key) >= Keys.Missing)
                return -1;
            int length = *(int*)header;
            if (touch)
                sum = Payload.Sum(new ReadOnlySpan<byte>(Place(key, length), length)); // SAFETY: as in Put.
            return length;
        }

        public bool Contains(ReadOnlySpan<byte> key)
        {
            Interlocked.Increment(ref _word[32]);
            return Keys.NumberOf(key) < Keys.Missing;
        }

        public bool Delete(ReadOnlySpan<byte> key)
        {
            Interlocked.Increment(ref _word[32]);
            return true;
        }

        public void Dispose()
        {
        }

        // Low 32 bits: the others name the set of keys, which begins anew at 0.
        private byte* Place(ReadOnlySpan<byte> key, int length) =>
            header + Session.HeaderBytes + ((uint)Keys.NumberOf(key) * ((length + 63L) & ~63L) % capacityBytes);
    }
}
