using System.Buffers;
using System.Buffers.Binary;
using Apache.Arrow;
using Apache.Arrow.C;
using Apache.Arrow.Ipc;
using Apache.Arrow.Types;

namespace FastPlasma.Data;

/// <summary>An Arrow IPC stream in a pinned object: its schema and record batches, whose arrays lie in the store.</summary>
/// <remarks>
/// <para>The arrays are read-only memory at the addresses of the store's mapping. They are usable until <see cref="Dispose"/>; after that they throw <see cref="ObjectDisposedException"/>, and spans taken before are
/// bare pointers. Disposing a batch frees nothing and is not needed.</para>
/// <para>What another process wrote is not trusted, because Apache.Arrow follows offsets, also in metadata, without looking where they lead. Opening therefore checks all metadata and, of columns that have any, every offset, view and dictionary index: it reads those
/// buffers (4 to 16 bytes per row), and no values; columns of numbers cost nothing. Who wrote the stream himself may say so and saves that.</para>
/// <para>Several threads may read; the batches, like all of Apache.Arrow's, are not to be disposed meanwhile.</para>
/// </remarks>
public sealed class ArrowObject : IDisposable
{
    private const int PrefixBytes = 8, Continuation = -1;

    private readonly PinnedArrowMemory _memory;
    private readonly PlasmaObject _object;
    private readonly bool _isVerified;
    private int _disposed;

    private ArrowObject(in PlasmaObject obj, bool trustOffsets)
    {
        if (obj.Length > int.MaxValue)
            throw new NotSupportedException($"The object has {obj.Length} bytes; Apache.Arrow reads at most {int.MaxValue} in one piece.");
        _object = obj;
        _isVerified = !trustOffsets;
        _memory = new PinnedArrowMemory(obj, (int)obj.Length);
        try
        {
            int end = Scan(obj.Span, out int schemaBytes, out List<(int Place, int Bytes)> messages);

            // Without the mark at the end, which the reader takes for a message cut short when nothing follows it.
            using var reader = new ArrowStreamReader(_memory.Memory[..end]);
            Schema = reader.Schema;
            ArrowTypes.RequireSupported(Schema);
            VerifyBatches(obj.Span, schemaBytes, messages);
            var batches = new List<RecordBatch>();
            while (reader.ReadNextRecordBatch() is { } batch) // Ends with the stream.
            {
                foreach (IArrowArray array in batch.Arrays)
                {
                    ArrowTypes.Verify(array.Data, isDeep: _isVerified);
                    if (array.Length != batch.Length)
                        throw new InvalidDataException($"An Arrow record batch of {batch.Length} rows has a column of {array.Length}.");
                }
                batches.Add(batch);
            }
            Batches = batches;
        }
        catch (Exception e) when (e is not (InvalidDataException or NotSupportedException or ObjectDisposedException or OutOfMemoryException))
        {
            throw new InvalidDataException($"The object of {_memory.Memory.Length} bytes is no Arrow stream that can be read: {e.Message}", e);
        }
    }

    /// <summary>The stream's schema.</summary>
    public Schema Schema { get; }

    /// <summary>Its record batches, in order.</summary>
    public IReadOnlyList<RecordBatch> Batches { get; }

    /// <summary>The only record batch.</summary>
    /// <exception cref="InvalidOperationException">There are none or several.</exception>
    public RecordBatch Batch => Batches.Count == 1 ? Batches[0] : throw new InvalidOperationException($"The stream has {Batches.Count} record batches, not one.");

    /// <summary>The pin. It may outlive <see cref="Dispose"/> while exported arrays do.</summary>
    public PlasmaObject Object => _object;

    /// <summary>Whether the pin is held: by this object, or by arrays that were exported and not released yet.</summary>
    public bool IsPinned => _memory.IsHeld;

    /// <summary>Reads the Arrow stream in an object. Any stream that follows the format is read, whoever put it; one put by <see cref="ArrowExtensions"/> has its buffers at multiples of 64 bytes.</summary>
    /// <param name="obj">The pin; from here on it belongs to the result, also when this throws.</param>
    /// <param name="trustOffsets">Leaves offsets, views and dictionary indices unread; lengths and metadata are checked all the same. Reading a damaged column is then undefined: only for streams of writers that are trusted as this process is.</param>
    /// <exception cref="InvalidDataException">The bytes are no Arrow stream, or are damaged.</exception>
    /// <exception cref="NotSupportedException">The stream is compressed, big-endian, has a delta dictionary (which could only be copied), a type that is not supported here, or 2 GiB and more.</exception>
    public static ArrowObject Open(in PlasmaObject obj, bool trustOffsets = false)
    {
        bool done = false;
        try
        {
            var arrow = new ArrowObject(obj, trustOffsets);
            done = true;
            return arrow;
        }
        finally
        {
            if (!done)
                obj.Dispose();
        }
    }

    /// <summary>Exports a batch of this stream through the Arrow C data interface: the consumer gets the store's own addresses, and the pin lasts until it calls the release callback, also after <see cref="Dispose"/>.</summary>
    /// <remarks>Nothing leaves whose offsets, views and indices were not checked: a stream that was opened without is checked here. The schema is exported with Apache.Arrow's CArrowSchemaExporter. The batch stays usable.</remarks>
    /// <param name="batch">One of <see cref="Batches"/>.</param>
    /// <param name="target">An allocated struct that is not in use, as CArrowArray.Create makes it.</param>
    /// <exception cref="ArgumentException">The batch is not of this stream, or the struct is in use.</exception>
    /// <exception cref="InvalidDataException">A column is damaged. Nothing was exported.</exception>
    /// <exception cref="ObjectDisposedException">This object was disposed.</exception>
    public unsafe void Export(RecordBatch batch, CArrowArray* target)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(target);
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        if (!Batches.Contains(batch))
            throw new ArgumentException("The batch is none of this stream.", nameof(batch));
        using MemoryHandle held = _memory.Pin(); // A Dispose at this moment must not let the export fail halfway: Apache.Arrow would leave a struct that frees its memory twice.
        if (!_isVerified)
            foreach (IArrowArray array in batch.Arrays)
                ArrowTypes.Verify(array.Data, isDeep: true);
        CArrowArrayExporter.ExportRecordBatch(batch, target);
    }

    /// <summary>Ends this object's hold on the pin. A second call does nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            _memory.Unpin();
    }

    /// <summary>Walks the messages and checks the metadata of each as far as it stands for itself.</summary>
    /// <returns>Where the last message ends.</returns>
    private static int Scan(ReadOnlySpan<byte> stream, out int schemaBytes, out List<(int Place, int Bytes)> messages)
    {
        messages = [];
        schemaBytes = 0;
        int position = 0;
        while (position < stream.Length) // Ends: each round moves on.
        {
            ReadOnlySpan<byte> rest = stream[position..];
            if (rest.Length < PrefixBytes || BinaryPrimitives.ReadInt32LittleEndian(rest) != Continuation)
                throw new InvalidDataException($"The object is no Arrow stream: at {position} of {stream.Length} bytes no message begins.");
            int metadataBytes = BinaryPrimitives.ReadInt32LittleEndian(rest[sizeof(int)..]);
            if (metadataBytes == 0)
                break;
            if (metadataBytes < 0 || metadataBytes > rest.Length - PrefixBytes)
                throw new InvalidDataException($"The Arrow stream is damaged: the message at {position} has {metadataBytes} bytes of metadata, {rest.Length - PrefixBytes} are left.");
            ReadOnlySpan<byte> metadata = rest.Slice(PrefixBytes, metadataBytes);
            long bodyBytes = FlatTable.Root(metadata).Long(ArrowMetadata.MessageBodyBytes), left = rest.Length - PrefixBytes - metadataBytes;
            if (bodyBytes < 0 || bodyBytes > left)
                throw new InvalidDataException($"The Arrow stream is damaged: the message at {position} has a body of {bodyBytes} bytes, {left} are left.");
            byte kind = FlatTable.Root(metadata).Byte(ArrowMetadata.MessageHeaderType);
            if (position == 0)
            {
                if (kind != ArrowMetadata.HeaderSchema || bodyBytes != 0)
                    throw new InvalidDataException($"The object is no Arrow stream: its first message is of kind {kind} and not a schema.");
                ArrowMetadata.VerifySchemaMessage(metadata);
                schemaBytes = metadataBytes;
            }
            else
            {
                if (kind is not (ArrowMetadata.HeaderDictionary or ArrowMetadata.HeaderBatch))
                    throw new InvalidDataException($"The Arrow stream is damaged: the message at {position} is of kind {kind}.");
                messages.Add((position, metadataBytes));
            }
            position += PrefixBytes + metadataBytes + (int)bodyBytes;
        }
        if (schemaBytes == 0)
            throw new InvalidDataException($"The object of {stream.Length} bytes is no Arrow stream: it has no schema.");
        return position;
    }

    private void VerifyBatches(ReadOnlySpan<byte> stream, int schemaBytes, List<(int Place, int Bytes)> messages)
    {
        Dictionary<long, IArrowType> dictionaries = ArrowMetadata.DictionariesOf(stream.Slice(PrefixBytes, schemaBytes), Schema);
        IArrowType[] columns = [.. Schema.FieldsList.Select(static field => field.DataType)];
        foreach ((int place, int bytes) in messages)
        {
            FlatTable message = FlatTable.Root(stream.Slice(place + PrefixBytes, bytes)), header = message.Table(ArrowMetadata.MessageHeader);
            ArrowMetadata.VerifyMessage(message);
            short version = message.Short(ArrowMetadata.MessageVersion);
            long bodyBytes = message.Long(ArrowMetadata.MessageBodyBytes);
            if (message.Byte(ArrowMetadata.MessageHeaderType) == ArrowMetadata.HeaderBatch)
            {
                ArrowMetadata.VerifyBatch(header, columns, version, bodyBytes);
                continue;
            }
            long id = header.Long(ArrowMetadata.DictionaryId);
            if (!dictionaries.TryGetValue(id, out IArrowType? type))
                throw new InvalidDataException($"The Arrow stream is damaged: it has a dictionary {id}, which no column uses.");
            if (header.Byte(ArrowMetadata.DictionaryIsDelta) != 0)
                throw new NotSupportedException($"The Arrow stream adds to its dictionary {id}, which could only be read by a copy.");
            ArrowMetadata.VerifyBatch(header.Table(ArrowMetadata.DictionaryData), [type], version, bodyBytes);
        }
    }
}
