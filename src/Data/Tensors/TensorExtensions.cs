using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastPlasma.Data;

/// <summary>Tensors in a store. Element type and lengths lie in the object's metadata and are checked at each get; the elements are the payload.</summary>
public static unsafe class TensorExtensions
{
    /// <summary>Begins a tensor that the caller writes in place: no copy.</summary>
    /// <param name="store">The store.</param>
    /// <param name="id">Id of the new object.</param>
    /// <param name="lengths">Length of each dimension, outermost first; 1 to 32 of them. A length of 0 makes the tensor empty.</param>
    /// <param name="options">As for every object, but without metadata: the header is there.</param>
    /// <typeparam name="T">Element type: any unmanaged type. A type of one's own is stored by its full name and size.</typeparam>
    /// <exception cref="ArgumentException">The lengths make no tensor, or the options have metadata.</exception>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Create(in ObjectId, long, in ObjectOptions)"/>.</exception>
    public static TensorWriter<T> CreateTensor<T>(this PlasmaStore store, scoped in ObjectId id, scoped ReadOnlySpan<nint> lengths, scoped in ObjectOptions options = default)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(store);
        long bytes = TensorHeader.PayloadBytes<T>(lengths);
        Span<byte> header = stackalloc byte[TensorHeader.BytesMax];
        ObjectWriter writer = store.Create(id, bytes, WithHeader<T>(options, header, lengths));
        // SAFETY: the payload has as many bytes as the elements of these lengths, as just computed.
        return new TensorWriter<T>(writer, new TensorSpan<T>((T*)writer.Pointer, (nint)(bytes / Unsafe.SizeOf<T>()), lengths));
    }

    /// <summary>Copies a tensor into a new sealed object: one copy, which the store counts when the source is row-major without gaps and below 2 GiB. Any other source is gathered by its own CopyTo.</summary>
    /// <exception cref="ArgumentException">The options have metadata, or the tensor has no dimension.</exception>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Put"/>.</exception>
    public static void PutTensor<T>(this PlasmaStore store, in ObjectId id, ReadOnlyTensorSpan<T> source, in ObjectOptions options = default)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(store);
        long bytes = TensorHeader.PayloadBytes<T>(source.Lengths);
        if (IsRowMajor(source) && bytes <= int.MaxValue)
        {
            Span<byte> header = stackalloc byte[TensorHeader.BytesMax];
            ReadOnlySpan<T> elements = MemoryMarshal.CreateReadOnlySpan(ref Unsafe.AsRef(in source.GetPinnableReference()), (int)(bytes / Unsafe.SizeOf<T>()));
            store.Put(id, MemoryMarshal.AsBytes(elements), WithHeader<T>(options, header, source.Lengths));
            return;
        }
        using TensorWriter<T> writer = store.CreateTensor<T>(id, source.Lengths, options);
        source.CopyTo(writer.Span);
        writer.Seal();
    }

    /// <summary>Pins a tensor for reading: no copy, and no allocation up to four dimensions.</summary>
    /// <param name="store">The store.</param>
    /// <param name="id">The object.</param>
    /// <param name="tensor">The pin; dispose it.</param>
    /// <param name="rank">Number of dimensions that the caller relies on; 0 takes any.</param>
    /// <returns>False when no sealed object of that id exists now.</returns>
    /// <exception cref="InvalidCastException">Its elements are of another type, or it has another number of dimensions. Nothing stays pinned.</exception>
    /// <exception cref="InvalidDataException">The object is no tensor, or its header is damaged. Nothing stays pinned.</exception>
    public static bool TryGetTensor<T>(this PlasmaStore store, scoped in ObjectId id, out TensorObject<T> tensor, int rank = 0)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(store);
        tensor = default;
        if (!store.TryGet(id, out PlasmaObject obj))
            return false;
        tensor = Own<T>(obj, rank);
        return true;
    }

    /// <summary>As <see cref="TryGetTensor{T}"/>, waiting for the seal.</summary>
    /// <exception cref="TimeoutException">The object was not sealed in time.</exception>
    public static TensorObject<T> GetTensor<T>(this PlasmaStore store, scoped in ObjectId id, TimeSpan timeout, int rank = 0, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(store);
        return Own<T>(store.Get(id, timeout, cancellationToken: cancellationToken), rank);
    }

    /// <summary>The elements of an object that the caller has pinned; do not use them after its release.</summary>
    /// <param name="obj">The pin; stays the caller's.</param>
    /// <param name="rank">Number of dimensions that the caller relies on; 0 takes any.</param>
    /// <exception cref="InvalidCastException">Its elements are of another type, or it has another number of dimensions.</exception>
    /// <exception cref="InvalidDataException">The object is no tensor, or its header is damaged.</exception>
    public static ReadOnlyTensorSpan<T> AsTensor<T>(this scoped in PlasmaObject obj, int rank = 0)
        where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        Span<nint> lengths = stackalloc nint[TensorHeader.RankMax];
        int found = TensorHeader.Read<T>(obj.Metadata, obj.Length, lengths);
        if (rank != 0 && found != rank)
            TensorHeader.ThrowOtherRank(found, rank);
        // SAFETY: the lengths were just found to describe exactly the payload, which the pin keeps.
        return new ReadOnlyTensorSpan<T>((T*)obj.Pointer, (nint)(obj.Length / Unsafe.SizeOf<T>()), lengths[..found]);
    }

    /// <summary>Whether the elements lie one after the other in the order in which they are stored; a transposed tensor has no gaps either.</summary>
    private static bool IsRowMajor<T>(ReadOnlyTensorSpan<T> span)
        where T : unmanaged
    {
        nint expected = 1;
        for (int i = span.Rank - 1; i >= 0; i--)
        {
            if (span.Lengths[i] > 1 && span.Strides[i] != expected)
                return false;
            expected *= span.Lengths[i];
        }
        return true;
    }

    private static TensorObject<T> Own<T>(scoped in PlasmaObject obj, int rank)
        where T : unmanaged
    {
        bool done = false;
        try
        {
            var tensor = new TensorObject<T>(obj, obj.AsTensor<T>(rank));
            done = true;
            return tensor;
        }
        finally
        {
            if (!done)
                obj.Dispose();
        }
    }

    private static ObjectOptions WithHeader<T>(in ObjectOptions options, Span<byte> header, ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        if (!options.Metadata.IsEmpty)
            throw new ArgumentException($"{options.Metadata.Length} bytes of metadata were given; the metadata of a tensor is its header.", nameof(options));
        TensorHeader.Write<T>(header, lengths);
        return options with { Metadata = header[..TensorHeader.BytesFor<T>(lengths.Length)], ContentType = options.ContentType.IsEmpty ? TensorHeader.ContentType : options.ContentType };
    }
}
