using System.Buffers;

namespace FastPlasma.Load.Peers;

/// <summary>Pinned bytes of a caller as a <see cref="Memory{T}"/>, for libraries that take nothing else: a span would have to be copied into an array first, and that copy would count against them.</summary>
internal sealed unsafe class BorrowedMemory : MemoryManager<byte>
{
    private byte* _bytes;
    private int _length;

    /// <summary>What <see cref="Memory"/> shows from now on; null and 0 when the bytes are given back.</summary>
    internal void Lend(byte* bytes, int length)
    {
        _bytes = bytes;
        _length = length;
    }

    /// <summary>The bytes that are lent now.</summary>
    public override Memory<byte> Memory => CreateMemory(_length);

    /// <inheritdoc/>
    // SAFETY: whoever lends keeps the bytes pinned until Lend(null, 0).
    public override Span<byte> GetSpan() => new(_bytes, _length);

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0) =>
        (uint)elementIndex <= (uint)_length ? new MemoryHandle(_bytes + elementIndex) : throw new ArgumentOutOfRangeException(nameof(elementIndex), elementIndex, $"There are {_length} bytes.");

    /// <inheritdoc/>
    public override void Unpin() { } // Pinned by whoever lends.

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) { } // Owns nothing.
}
