namespace FastPlasma.Load.Peers;

/// <summary>FastPlasma, or what people would use instead, behind the calls that all of them have.</summary>
internal interface IPeer
{
    /// <summary>Short, lower case, unique: a file name, a column, an argument.</summary>
    string Name { get; }

    /// <summary>For the report: what it is, how it is configured here, what a get gives (a view or a copy), what it promises about durability.</summary>
    string Description { get; }

    /// <summary>Whether several processes can use one instance at the same time; if not, only threads of one process are compared.</summary>
    bool IsShared { get; }

    /// <summary>What of the machine is missing for it (a program, with the Debian package that has it), or null when it can run.</summary>
    string? Missing { get; }

    /// <summary>The largest object that it can hold, whatever its capacity.</summary>
    int LargestObjectBytes => Array.MaxLength;

    /// <summary>What a put does whose key is in use: replaces the object (true) or refuses with an <see cref="InvalidOperationException"/> and changes nothing (false).</summary>
    bool ReplacesOnPut => false;

    /// <summary>Whether its clients are <see cref="IBatchClient"/>.</summary>
    bool HasBatches => false;

    /// <summary>Whether it can drop its oldest objects by itself to make room for new ones (<see cref="PeerSetup.Evicts"/>).</summary>
    bool CanEvict => false;

    /// <summary>Makes an empty store: starts its server, or makes its files. Disposing takes all of it away.</summary>
    IPeerInstance Start(PeerSetup setup);

    /// <summary>Opens an instance in this process: once per process.</summary>
    IPeerSession Open(string address, PeerSetup setup);
}

/// <summary>How large a store has to be.</summary>
/// <param name="Directory">An empty folder in memory (tmpfs) for files and sockets; the driver removes it.</param>
/// <param name="CapacityBytes">Payload that it must hold.</param>
/// <param name="ObjectCountMax">Objects that it must hold.</param>
/// <param name="ObjectBytesMax">The largest object.</param>
internal sealed record PeerSetup(string Directory, long CapacityBytes, int ObjectCountMax, int ObjectBytesMax)
{
    /// <summary>The store has about <see cref="CapacityBytes"/> and no reserve, and drops its oldest objects when they are full; only for peers with <see cref="IPeer.CanEvict"/>.</summary>
    public bool Evicts { get; init; }
}

/// <summary>A store that was started. Its server, if any, ends with it.</summary>
internal interface IPeerInstance : IDisposable
{
    /// <summary>What <see cref="IPeer.Open"/> needs, in any process of this machine and user.</summary>
    string Address { get; }
}

/// <summary>One process's view of an instance.</summary>
internal interface IPeerSession : IDisposable
{
    /// <summary>A client for one thread at a time.</summary>
    IPeerClient Connect();
}

/// <summary>The calls that are compared. Used by one thread at a time.</summary>
internal interface IPeerClient : IDisposable
{
    /// <summary>Stores the bytes under a key that is not in use, visible to all processes when it returns.</summary>
    /// <param name="key">28 bytes, the same for all peers.</param>
    /// <param name="value">The bytes; not kept.</param>
    void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

    /// <summary>Gets an object and gives it back. Returns its length, or -1 when there is none.</summary>
    /// <param name="key">28 bytes.</param>
    /// <param name="touch">Whether to read every byte of it (<see cref="Payload.Sum"/>), in place where there is a view, in the copy where there is one.</param>
    /// <param name="sum">The sum of its bytes, or 0.</param>
    long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum);

    /// <summary>Whether there is an object.</summary>
    bool Contains(ReadOnlySpan<byte> key);

    /// <summary>Removes an object; false when there is none.</summary>
    bool Delete(ReadOnlySpan<byte> key);
}
