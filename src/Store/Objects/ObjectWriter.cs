using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using FastPlasma.Copying;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma;

/// <summary>An object that is being created: its payload, writable in place, until <see cref="Seal"/> or <see cref="Dispose"/>.</summary>
/// <remarks>
/// A value; copies are the same writer. Several threads may write different parts at once, but nobody may write once Seal or Dispose is called: a span taken before is a bare pointer,
/// and writing through it afterwards changes an object that others believe immutable, or somebody else's memory. This is the one exception to immutability.
/// </remarks>
[SuppressMessage("Performance", "CA1815", Justification = "Writers are not compared.")]
public readonly unsafe struct ObjectWriter : IDisposable
{
    private readonly PlasmaStore? _store;
    private readonly byte* _payload;
    private readonly long _length;

    internal ObjectWriter(PlasmaStore store, ObjectEntry* entry, byte* payload, long length, long tailBytes, int slot, long sequence)
    {
        _store = store;
        Entry = entry;
        _payload = payload;
        _length = length;
        TailBytes = tailBytes;
        Slot = slot;
        Sequence = sequence;
    }

    /// <summary>Whether the payload may be written now.</summary>
    public bool IsOpen => _store is not null && !_store.IsDisposed && _store.Slots!.IsHeld(Slot, Sequence);

    /// <summary>Length of the payload in bytes.</summary>
    public long Length => _length;

    internal ObjectEntry* Entry { get; }

    internal byte* Base => _payload;

    /// <summary>Name, content type and user metadata. Known here, so that nothing between Create and Seal follows a number that others could have damaged.</summary>
    internal byte* Tail => _payload + ObjectEntry.TailOffset(_length);

    internal long TailBytes { get; }

    /// <summary>Where the image of a replica is written (see <see cref="Nodes.ObjectImage"/>).</summary>
    internal byte* ImageAddress => Pointer;

    /// <summary>Length of the image.</summary>
    internal long ImageBytes => ObjectEntry.BytesNeeded(_length, TailBytes);

    internal int Slot { get; }

    internal long Sequence { get; }

    /// <summary>The payload. Holds what its last owner left.</summary>
    /// <exception cref="InvalidOperationException">It is longer than a span can be, or the writer is no longer open.</exception>
    public Span<byte> Span
    {
        get
        {
            ThrowUnlessOpen();
            if (_length > int.MaxValue)
                throw new InvalidOperationException($"The payload has {_length} bytes, more than one span can hold; use GetSpan(offset, length) or OpenStream.");
            // SAFETY: the block of this Creating entry holds Length bytes from here on, and is nobody else's.
            return new Span<byte>(_payload, (int)_length);
        }
    }

    /// <summary>Address of the payload in this process's writable mapping, valid until Seal or Dispose.</summary>
    public byte* Pointer
    {
        get
        {
            ThrowUnlessOpen();
            return _payload;
        }
    }

    /// <summary>A part of the payload.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the payload.</exception>
    public Span<byte> GetSpan(long offset, int length)
    {
        ThrowUnlessOpen();
        if (length < 0 || !StoreMemory.IsInside(offset, length, _length))
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{length} bytes at {offset} are not inside a payload of {_length} bytes.");
        return new Span<byte>(_payload + offset, length);
    }

    /// <summary>Copies bytes to an offset of the payload; counted as a copy.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not fit there.</exception>
    public void CopyFrom(ReadOnlySpan<byte> source, long offset = 0)
    {
        CopyEngine.Copy(GetSpan(offset, source.Length), source);
        _store!.CountCopied(isGet: false, source.Length);
    }

    /// <summary>A stream that writes the payload from its beginning; what it copies is counted. Closing it neither seals nor aborts.</summary>
    public Stream OpenStream()
    {
        ThrowUnlessOpen();
        return new ObjectWriterStream(this);
    }

    /// <summary>Publishes the object: from here on it is immutable and everybody can get it.</summary>
    /// <exception cref="InvalidOperationException">It was sealed or aborted before.</exception>
    public void Seal()
    {
        if (TrySeal() != PlasmaStatus.Ok)
            throw new InvalidOperationException("The object was sealed or aborted before.");
    }

    /// <summary>As <see cref="Seal"/>: Ok, or Closed when it was sealed or aborted before; nothing changes then.</summary>
    public PlasmaStatus TrySeal() => _store is null ? PlasmaStatus.Closed : _store.Seal(this);

    /// <summary>Gives the object up unless it was sealed: its id and memory are free again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Dispose() => _store?.AbortWriter(Slot, Sequence);

    private void ThrowUnlessOpen()
    {
        if (!IsOpen)
            throw new InvalidOperationException(_store is null ? "The writer is empty." : _store.IsForked ? _store.ForkedMessage : _store.IsClosing ? "The store is closed in this process." : "The object was sealed or aborted before.");
    }
}
