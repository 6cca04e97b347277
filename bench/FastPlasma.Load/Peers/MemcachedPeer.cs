using System.Globalization;
using System.Numerics;

namespace FastPlasma.Load.Peers;

/// <summary>memcached on a unix socket.</summary>
internal sealed class MemcachedPeer : IPeer
{
    /// <summary>memcached takes no larger -I than 1 GiB, and that has to hold the item's header, key and chunk headers too.</summary>
    private const int ObjectBytesMax = (1 << 30) - ItemOverheadBytes;

    private const int ItemOverheadBytes = 1 << 20, MiB = 1 << 20;

    /// <summary>Header, key and the hash table's share of a small item.</summary>
    private const long SmallItemBytes = 128;

    public string Name => "memcached";

    public string Description =>
        "memcached of the system on a unix socket, no eviction (-M), no CAS numbers (-C), a thread per processor up to four, its hash table full-sized from the start; meta text protocol, one blocking connection per client. A put is "
        + "an add; a get is a copy, received into a buffer of the client; batches are pipelined. The client is our own, because no package of the feed serves memcached. Not durable.";

    public bool IsShared => true;

    public string? Missing => ServerProcess.Missing("memcached", "memcached");

    public int LargestObjectBytes => ObjectBytesMax;

    public bool CanEvict => true;

    public bool HasBatches => true;

    public IPeerInstance Start(PeerSetup setup)
    {
        if (setup.ObjectBytesMax > ObjectBytesMax)
            throw new NotSupportedException($"memcached holds objects of at most {ObjectBytesMax} bytes, not of {setup.ObjectBytesMax}.");
        string socketPath = Path.Combine(setup.Directory, "memcached.sock");
        long itemMiB = Math.Max(1, (setup.ObjectBytesMax + (long)ItemOverheadBytes + MiB - 1) / MiB);
        // Size classes differ by a quarter and a class takes whole pages; an item may have at most half of the memory.
        long memoryMiB = Math.Max(2 * itemMiB, (setup.CapacityBytes + setup.CapacityBytes / 2 + setup.ObjectCountMax * SmallItemBytes) / MiB) + 256;
        if (setup.Evicts)
            memoryMiB = Math.Max(2 * itemMiB, setup.CapacityBytes / MiB);
        int hashBits = Math.Clamp(BitOperations.Log2((uint)setup.ObjectCountMax) + 1, 16, 30);
        string[] arguments =
        [
            "-s", socketPath, "-a", "700", .. setup.Evicts ? (string[])[] : ["-M"], "-C", "-m", Text(memoryMiB), "-I", $"{Text(itemMiB)}m", "-c", "10000", "-R", "100",
            "-t", Text(Math.Clamp(Environment.ProcessorCount, 1, 4)), "-o", $"hashpower={Text(hashBits)}",
            .. Environment.IsPrivilegedProcess ? (string[])["-u", "root"] : [], // Otherwise it refuses to run as root.
        ];
        return new Instance(ServerProcess.Start("memcached", arguments, socketPath, ServerProcess.Answers("version\r\n", "VERSION ")), socketPath);
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private sealed class Instance(ServerProcess server, string socketPath) : IPeerInstance
    {
        public string Address => socketPath;

        public void Dispose() => server.Dispose();
    }

    private sealed class Session(string socketPath) : IPeerSession
    {
        public IPeerClient Connect() => new MemcachedClient(socketPath);

        public void Dispose() { } // Each client has its connection.
    }
}
