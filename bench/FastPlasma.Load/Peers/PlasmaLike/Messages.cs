using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Peers.PlasmaLike;

/// <summary>What a client asks for.</summary>
internal enum RequestKind
{
    /// <summary>Key, length: memory for a new object.</summary>
    Create = 1,

    /// <summary>Handle: publishes what Create gave.</summary>
    Seal,

    /// <summary>Key: where the object lies; it stays until Release.</summary>
    Get,

    /// <summary>Handle: ends one Get.</summary>
    Release,

    /// <summary>Key.</summary>
    Contains,

    /// <summary>Key: gone at once for new readers; the memory is free after the last Release.</summary>
    Delete,
}

/// <summary>How it ended.</summary>
internal enum ReplyStatus
{
    Ok = 0,
    NotFound,
    Exists,
    Full,

    /// <summary>The handle is not one of this connection.</summary>
    NotYours,
}

/// <summary>A key as a value.</summary>
[InlineArray(Keys.SizeBytes)]
internal struct Key : IEquatable<Key>
{
    private byte _first;

    internal Key(ReadOnlySpan<byte> bytes) => bytes.CopyTo(this);

    public readonly bool Equals(Key other) => ((ReadOnlySpan<byte>)this).SequenceEqual(other);

    public override readonly bool Equals(object? obj) => obj is Key other && Equals(other);

    public override readonly int GetHashCode() => MemoryMarshal.Read<int>(this);
}

/// <summary>Client to server; every request has exactly this size.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Request
{
    internal RequestKind Kind;
    internal Key Key;
    internal long Length;
    internal long Handle;
}

/// <summary>Server to client; every reply has exactly this size.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Reply
{
    internal long Status;
    internal long Handle;
    internal long Offset;
    internal long Length;
}
