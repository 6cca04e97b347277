using Apache.Arrow;
using Apache.Arrow.Ipc;

namespace FastPlasma.Data;

/// <summary>Apache Arrow record batches in a store, as IPC streams: put with one copy, read with none.</summary>
public static class ArrowExtensions
{
    /// <summary>Media type of an Arrow IPC stream, which objects show unless their options name another.</summary>
    public const string ContentType = "application/vnd.apache.arrow.stream";

    /// <summary>Writes one record batch as an Arrow IPC stream into a new sealed object.</summary>
    /// <inheritdoc cref="PutArrow(PlasmaStore, in ObjectId, Schema, IReadOnlyList{RecordBatch}, in ObjectOptions)"/>
    public static void PutArrow(this PlasmaStore store, in ObjectId id, RecordBatch batch, in ObjectOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        store.PutArrow(id, batch.Schema, [batch], options);
    }

    /// <summary>Writes record batches as one Arrow IPC stream into a new sealed object.</summary>
    /// <remarks>
    /// The stream is written twice: once to count, which touches no values, and once straight into the object, which is the one copy that the store counts. Parts of sliced arrays that have to be computed (offsets from zero, bitmaps from the first bit)
    /// take a temporary buffer each time. Every buffer begins at a multiple of 64 bytes. Apache.Arrow writes a column's dictionary once, from the first batch.
    /// </remarks>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Create(in ObjectId, long, in ObjectOptions)"/>.</exception>
    /// <exception cref="NotSupportedException">A column has a type that is not supported here, or the stream would have 2 GiB or more, which Apache.Arrow could not read in one piece.</exception>
    /// <exception cref="ArgumentException">The columns of a batch are not those of the schema.</exception>
    public static void PutArrow(this PlasmaStore store, in ObjectId id, Schema schema, IReadOnlyList<RecordBatch> batches, in ObjectOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(schema);
        ArgumentNullException.ThrowIfNull(batches);
        ArrowTypes.RequireSupported(schema); // Before anything is written.
        foreach (RecordBatch batch in batches)
            RequireColumns(batch, schema);

        var count = new ArrowStreamLayout(schema);
        Write(count, schema, batches);
        if (count.LaidOut > int.MaxValue)
            throw new NotSupportedException($"The Arrow stream would have {count.LaidOut} bytes; Apache.Arrow reads at most {int.MaxValue} in one piece. Put the batches as several objects.");
        using ObjectWriter writer = store.Create(id, count.LaidOut, options.ContentType.IsEmpty ? options with { ContentType = ContentType } : options);
        var target = new ArrowStreamLayout(schema, writer);
        Write(target, schema, batches);
        if (target.LaidOut != count.LaidOut)
            throw new InvalidOperationException($"The record batches were changed while they were written: {count.LaidOut} bytes at first, {target.LaidOut} then.");
        writer.Seal();
    }

    /// <summary>Pins an object and reads the Arrow stream in it, in place.</summary>
    /// <param name="store">The store.</param>
    /// <param name="id">The object.</param>
    /// <param name="trustOffsets">As for <see cref="ArrowObject.Open"/>.</param>
    /// <returns>Null when no sealed object of that id exists now.</returns>
    /// <exception cref="InvalidDataException">The bytes are no Arrow stream, or are damaged. Nothing stays pinned.</exception>
    /// <exception cref="NotSupportedException">As for <see cref="ArrowObject.Open"/>. Nothing stays pinned.</exception>
    public static ArrowObject? TryGetArrow(this PlasmaStore store, in ObjectId id, bool trustOffsets = false)
    {
        ArgumentNullException.ThrowIfNull(store);
        return store.TryGet(id, out PlasmaObject obj) ? ArrowObject.Open(obj, trustOffsets) : null;
    }

    /// <summary>As <see cref="TryGetArrow"/>, waiting for the seal.</summary>
    /// <exception cref="TimeoutException">The object was not sealed in time.</exception>
    public static ArrowObject GetArrow(this PlasmaStore store, in ObjectId id, TimeSpan timeout, bool trustOffsets = false, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        return ArrowObject.Open(store.Get(id, timeout, cancellationToken: cancellationToken), trustOffsets);
    }

    private static void RequireColumns(RecordBatch batch, Schema schema)
    {
        if (batch.ColumnCount != schema.FieldsList.Count)
            throw new ArgumentException($"A record batch has {batch.ColumnCount} columns, the schema {schema.FieldsList.Count}.", nameof(batch));
        for (int i = 0; i < batch.ColumnCount; i++)
            if (batch.Column(i).Data.DataType.TypeId != schema.FieldsList[i].DataType.TypeId)
                throw new ArgumentException($"Column {i} of a record batch is of type {batch.Column(i).Data.DataType.Name}, the schema says {schema.FieldsList[i].DataType.Name}.", nameof(batch));
    }

    private static void Write(ArrowStreamLayout target, Schema schema, IReadOnlyList<RecordBatch> batches)
    {
        using var writer = new ArrowStreamWriter(target, schema, leaveOpen: true);
        writer.WriteStart();
        foreach (RecordBatch batch in batches)
            writer.WriteRecordBatch(batch);
        writer.WriteEnd();
    }
}
