using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using FastPlasma.Copying;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma;

/// <summary>A pin on a sealed object: its bytes, in place and read-only, until <see cref="Dispose"/>.</summary>
/// <remarks>
/// A value without allocation; copies of it are the same handle, and disposing any of them ends all. After that every member throws <see cref="ObjectDisposedException"/>,
/// but a span taken before is a bare pointer: do not use it later. Writing through it, by whatever means, is an access violation, because the pages are mapped read-only.
/// Members may be called from any thread; the handle may be disposed on another thread than the one that got it.
/// </remarks>
[SuppressMessage("Performance", "CA1815", Justification = "Handles are not compared.")]
public unsafe struct PlasmaObject : IDisposable
{
    private PlasmaStore? _store;
    private ObjectEntry* _entry;
    private byte* _payload;
    private long _length;
    private long _sequence;
    private int _slot;

    /// <summary>Makes a handle in place. A constructor would build it on the stack and copy it with wider moves than it was written with, which waits for the stores: some 10 ns of a get.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Init(out PlasmaObject target, PlasmaStore store, ObjectEntry* entry, byte* payload, long length, int slot, long sequence)
    {
        Unsafe.SkipInit(out target);
        target._store = store;
        target._entry = entry;
        target._payload = payload;
        target._length = length;
        target._sequence = sequence;
        target._slot = slot;
    }

    /// <summary>The numbers of the handle as they are, released or not, for <see cref="PlasmaStore.TryRestore(uint, uint, long, out PlasmaObject)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly void GetNumbers(out ObjectEntry* entry, out byte* payload, out long length, out int slot, out long sequence)
    {
        entry = _entry;
        payload = _payload;
        length = _length;
        slot = _slot;
        sequence = _sequence;
    }

    /// <summary>Whether this handle pins an object now.</summary>
    public readonly bool IsValid => _store is not null && _store.Slots!.IsHeldOrKept(_slot, _sequence);

    /// <summary>Length of the payload in bytes.</summary>
    public readonly long Length
    {
        get
        {
            ThrowIfReleased();
            return _length;
        }
    }

    /// <summary>The payload.</summary>
    /// <exception cref="InvalidOperationException">It is longer than a span can be; use <see cref="GetSpan"/>, <see cref="AsSequence"/> or <see cref="OpenStream"/>.</exception>
    public readonly ReadOnlySpan<byte> Span
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            ThrowIfReleased();
            if (_length > int.MaxValue)
                ThrowTooLong();
            // SAFETY: TryPin checked that the payload lies inside the mapping; the pin, still held, keeps it there.
            return new ReadOnlySpan<byte>(_payload, (int)_length);
        }
    }

    /// <summary>Address of the payload in this process, valid while the handle is; read-only memory.</summary>
    public readonly byte* Pointer
    {
        get
        {
            ThrowIfReleased();
            return _payload;
        }
    }

    /// <summary>The object's id.</summary>
    public readonly ObjectId Id
    {
        get
        {
            ThrowIfReleased();
            return _entry->Id;
        }
    }

    /// <summary>The user metadata.</summary>
    public readonly ReadOnlySpan<byte> Metadata
    {
        get
        {
            ReadOnlySpan<byte> tail = Tail(out int name, out int type);
            return tail[(name + type)..];
        }
    }

    /// <summary>The name given at creation, or empty. Allocates the string; see <see cref="NameUtf8"/>.</summary>
    public readonly string Name => Encoding.UTF8.GetString(NameUtf8);

    /// <summary>The name in place.</summary>
    public readonly ReadOnlySpan<byte> NameUtf8
    {
        get
        {
            ReadOnlySpan<byte> tail = Tail(out int name, out _);
            return tail[..name];
        }
    }

    /// <summary>The media type given at creation, or empty.</summary>
    public readonly string ContentType => Encoding.UTF8.GetString(ContentTypeUtf8);

    /// <summary>The media type in place.</summary>
    internal readonly ReadOnlySpan<byte> ContentTypeUtf8
    {
        get
        {
            ReadOnlySpan<byte> tail = Tail(out int name, out int type);
            return tail.Slice(name, type);
        }
    }

    /// <summary>The checksum stored at seal, or null.</summary>
    public readonly ulong? Checksum
    {
        get
        {
            ThrowIfReleased();
            return new StateWord(Volatile.Read(ref _entry->State)).HasChecksum ? _entry->Checksum : null;
        }
    }

    /// <summary>Unique number of this creation of the id.</summary>
    public readonly ulong Incarnation
    {
        get
        {
            ThrowIfReleased();
            return _entry->Incarnation;
        }
    }

    /// <summary>When it was sealed, UTC, to 0.1 s.</summary>
    public readonly DateTime SealedAt
    {
        get
        {
            ThrowIfReleased();
            return new DateTime(Math.Clamp(_entry->SealedAt, 0, DateTime.MaxValue.Ticks), DateTimeKind.Utc);
        }
    }

    /// <summary>A part of the payload.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the payload.</exception>
    public readonly ReadOnlySpan<byte> GetSpan(long offset, int length)
    {
        ThrowIfReleased();
        if (length < 0 || !StoreMemory.IsInside(offset, length, _length))
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{length} bytes at {offset} are not inside a payload of {_length} bytes.");
        return new ReadOnlySpan<byte>(_payload + offset, length);
    }

    /// <summary>Copies the payload out; counted as a copy.</summary>
    /// <exception cref="ArgumentException">The destination is shorter than the payload.</exception>
    public readonly void CopyTo(Span<byte> destination)
    {
        ThrowIfReleased();
        if (destination.Length < _length)
            throw new ArgumentException($"The payload has {_length} bytes, the destination {destination.Length}.", nameof(destination));
        CopyTo(0, destination[..(int)_length]);
    }

    /// <summary>Copies the part of the payload at <paramref name="offset"/> that fills <paramref name="destination"/>; counted as a copy.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the payload.</exception>
    public readonly void CopyTo(long offset, Span<byte> destination)
    {
        CopyEngine.Copy(destination, GetSpan(offset, destination.Length));
        _store!.CountCopied(isGet: true, destination.Length);
    }

    /// <summary>Computes the checksum of what is there and compares it with the stored one; true also when none was stored.</summary>
    public readonly bool VerifyChecksum()
    {
        if (Checksum is not ulong stored)
            return true;
        ReadOnlySpan<byte> tail = Tail(out _, out _);
        fixed (byte* t = tail)
            return Copying.Checksum.HashOnly(_payload, (nuint)_length, t, (nuint)tail.Length) == stored;
    }

    /// <summary>The payload as memory for APIs that want it; access after <see cref="Dispose"/> throws. Allocates one small object.</summary>
    /// <remarks>Pinning the memory (<see cref="ReadOnlyMemory{T}.Pin"/>, as asynchronous input and output does) keeps the object's pin until the <see cref="MemoryHandle"/> is disposed, also beyond <see cref="Dispose"/>: the address stays good.</remarks>
    /// <exception cref="InvalidOperationException">It is longer than 2 GiB; use <see cref="AsSequence"/>.</exception>
    public readonly ReadOnlyMemory<byte> AsMemory()
    {
        _ = Span;
        return new PinnedMemory(this, 0, (int)_length).Memory;
    }

    /// <summary>The payload, of any length, as a sequence of segments of up to 1 GiB; access after <see cref="Dispose"/> throws.</summary>
    public readonly ReadOnlySequence<byte> AsSequence()
    {
        ThrowIfReleased();
        return PinnedMemory.Sequence(this, _length);
    }

    /// <summary>A read-only, seekable stream over the payload. It does not own the handle; its reads copy and are counted.</summary>
    public readonly Stream OpenStream()
    {
        ThrowIfReleased();
        return new PlasmaObjectStream(this);
    }

    /// <summary>Ends the pin. A second call, also on a copy of the handle, does nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Dispose() => _store?.Release(_slot, _sequence, _entry);

    private readonly ReadOnlySpan<byte> Tail(out int name, out int type)
    {
        ThrowIfReleased();
        name = _entry->NameBytes;
        type = _entry->ContentTypeBytes;
        int user = _entry->UserBytes;
        long bytes = (long)name + type + user;
        byte* tail = _payload + ObjectEntry.TailOffset(_length);
        StoreMemory memory = _store!.Memory;

        // The pin's own check was about sizes read then; these have been read again, and another writer may have damaged them.
        if (user < 0 || bytes > int.MaxValue || !StoreMemory.IsInside(tail - memory.Payload, bytes, memory.Geometry.CapacityBytes))
            throw memory.Broken("an object has the metadata length", bytes, PlasmaStore.MetadataBytesMax);
        // SAFETY: inside the mapping, as just checked.
        return new ReadOnlySpan<byte>(tail, (int)bytes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void ThrowIfReleased()
    {
        if (_store is null || !_store.Slots!.IsHeld(_slot, _sequence) || _store.IsDisposed)
            ThrowUnlessHeldOrKept(_store, _slot, _sequence);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowUnlessHeldOrKept(PlasmaStore? store, int slot, long sequence)
    {
        if (store is null || store.IsDisposed || !store.Slots!.IsHeldOrKept(slot, sequence))
            throw store is { IsForked: true }
                ? new InvalidOperationException(store.ForkedMessage)
                : new ObjectDisposedException(nameof(PlasmaObject), store is null ? "The handle is empty." : store.IsClosing ? "The store is closed in this process." : "The object has been released.");
    }

    /// <summary>Address of the payload, which stays what it is beyond the release of the handle, until <see cref="EndKeeping"/> as often as this.</summary>
    /// <exception cref="ObjectDisposedException">The handle was released.</exception>
    internal readonly byte* Keep()
    {
        ThrowIfReleased();
        if (!_store!.Slots!.TryKeep(_slot, _sequence))
            ThrowUnlessHeldOrKept(_store, _slot, _sequence); // Released in this very moment.
        return _payload;
    }

    /// <summary>The opposite of <see cref="Keep"/>: ends the pin if the handle was released meanwhile.</summary>
    internal readonly void EndKeeping() => _store!.EndKeeping(_slot, _sequence, _entry);

    private readonly void ThrowTooLong() => throw new InvalidOperationException($"The payload has {_length} bytes, more than one span can hold; use GetSpan(offset, length), AsSequence or OpenStream.");
}
