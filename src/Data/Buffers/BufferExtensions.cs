using System.Buffers;
using System.IO.Pipelines;

namespace FastPlasma.Data;

/// <summary>Sequences, streams and pipes into objects, and objects as pipes. Reading as memory, sequence or stream is on <see cref="PlasmaObject"/> itself.</summary>
public static class BufferExtensions
{
    private const int PieceBytes = 1 << 20;

    /// <summary>A pipe reader over a pinned payload of any length: what it gives out lies in the store, nothing is copied. It does not own the pin, and reading after its release throws.</summary>
    public static PipeReader OpenPipeReader(this in PlasmaObject obj) => PipeReader.Create(obj.AsSequence());

    /// <summary>Copies a sequence into a new sealed object: one copy, which the store counts.</summary>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Put"/>.</exception>
    public static void Put(this PlasmaStore store, in ObjectId id, in ReadOnlySequence<byte> payload, in ObjectOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        if (payload.IsSingleSegment)
        {
            store.Put(id, payload.FirstSpan, options);
            return;
        }
        using ObjectWriter writer = store.Create(id, payload.Length, options);
        CopyTo(payload, writer, 0);
        writer.Seal();
    }

    /// <summary>Reads a stream straight into a new sealed object: the only copy is the stream's own read.</summary>
    /// <param name="store">The store.</param>
    /// <param name="id">Id of the new object.</param>
    /// <param name="source">Read from where it stands; what follows the last byte is left unread.</param>
    /// <param name="length">Bytes to read; an object's size is fixed when it is created.</param>
    /// <param name="options">As for every object.</param>
    /// <exception cref="EndOfStreamException">The stream ended before. The object is given up.</exception>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Create(in ObjectId, long, in ObjectOptions)"/>.</exception>
    public static void Put(this PlasmaStore store, in ObjectId id, Stream source, long length, in ObjectOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(source);
        using ObjectWriter writer = store.Create(id, length, options);
        for (long offset = 0; offset < length;)
        {
            int read = source.Read(writer.GetSpan(offset, (int)Math.Min(PieceBytes, length - offset)));
            if (read == 0)
                throw Ended(offset, length);
            offset += read;
        }
        writer.Seal();
    }

    /// <inheritdoc cref="Put(PlasmaStore, in ObjectId, Stream, long, in ObjectOptions)"/>
    /// <param name="store">The store.</param>
    /// <param name="id">Id of the new object, taken at once; readers see it when the task has ended.</param>
    /// <param name="source">Read from where it stands; what follows the last byte is left unread.</param>
    /// <param name="length">Bytes to read.</param>
    /// <param name="options">As for every object.</param>
    /// <param name="cancellationToken">Ends the read; the object is given up.</param>
    public static Task PutAsync(this PlasmaStore store, in ObjectId id, Stream source, long length, in ObjectOptions options = default, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(source);
        return Fill(store.Create(id, length, options), source, length, cancellationToken);

        static async Task Fill(ObjectWriter writer, Stream source, long length, CancellationToken cancellationToken)
        {
            using (writer)
            {
                for (long offset = 0; offset < length;)
                {
                    int piece = (int)Math.Min(PieceBytes, length - offset), read = await source.ReadAsync(new WriterMemory(writer, offset, piece).Memory, cancellationToken).ConfigureAwait(false);
                    if (read == 0)
                        throw Ended(offset, length);
                    offset += read;
                }
                writer.Seal();
            }
        }
    }

    /// <summary>Copies a known number of bytes out of a pipe into a new sealed object as they come: one copy, which the store counts, and never more memory than the pipe's own window.</summary>
    /// <param name="store">The store.</param>
    /// <param name="id">Id of the new object, taken at once; readers see it when the task has ended.</param>
    /// <param name="source">What follows the last byte stays in the pipe. Completing it is the caller's.</param>
    /// <param name="length">Bytes to take.</param>
    /// <param name="options">As for every object.</param>
    /// <param name="cancellationToken">Ends the wait; the object is given up.</param>
    /// <exception cref="EndOfStreamException">The pipe was completed before. The object is given up.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled, or a pending read was.</exception>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Create(in ObjectId, long, in ObjectOptions)"/>.</exception>
    public static Task PutAsync(this PlasmaStore store, in ObjectId id, PipeReader source, long length, in ObjectOptions options = default, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(source);
        return Fill(store.Create(id, length, options), source, length, cancellationToken);

        static async Task Fill(ObjectWriter writer, PipeReader source, long length, CancellationToken cancellationToken)
        {
            using (writer)
            {
                for (long offset = 0; offset < length;)
                {
                    ReadResult result = await source.ReadAsync(cancellationToken).ConfigureAwait(false);
                    ThrowIfCanceled(source, result);
                    ReadOnlySequence<byte> taken = result.Buffer.Slice(0, Math.Min(result.Buffer.Length, length - offset));
                    CopyTo(taken, writer, offset);
                    offset += taken.Length;
                    source.AdvanceTo(taken.End);
                    if (result.IsCompleted && offset < length)
                        throw Ended(offset, length);
                }
                writer.Seal();
            }
        }
    }

    /// <summary>Copies all that comes out of a pipe into a new sealed object. Its size is known only at the end, so all of it waits in the pipe's buffers until then: one copy by the store, but twice the memory at that moment. Prefer the form with a length.</summary>
    /// <param name="store">The store.</param>
    /// <param name="id">Id of the new object, taken at the end.</param>
    /// <param name="source">Read until it is completed by its writer. Completing it is the caller's.</param>
    /// <param name="retention">Null takes the store's default.</param>
    /// <param name="cancellationToken">Ends the wait; what has come stays in the pipe.</param>
    /// <returns>Length of the object.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled, or a pending read was.</exception>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Put"/>; what has come stays in the pipe.</exception>
    public static async Task<long> PutToEndAsync(this PlasmaStore store, ObjectId id, PipeReader source, Retention? retention = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(source);
        while (true) // Ends with the pipe.
        {
            ReadResult result = await source.ReadAsync(cancellationToken).ConfigureAwait(false);
            ThrowIfCanceled(source, result);
            ReadOnlySequence<byte> all = result.Buffer;
            if (!result.IsCompleted)
            {
                source.AdvanceTo(all.Start, all.End);
                continue;
            }
            long length = all.Length; // The pipe takes its segments back below.
            bool done = false;
            try
            {
                store.Put(id, all, new ObjectOptions { Retention = retention });
                done = true;
            }
            finally
            {
                source.AdvanceTo(done ? all.End : all.Start, all.End);
            }
            return length;
        }
    }

    private static void CopyTo(in ReadOnlySequence<byte> source, in ObjectWriter writer, long offset)
    {
        foreach (ReadOnlyMemory<byte> segment in source)
        {
            writer.CopyFrom(segment.Span, offset);
            offset += segment.Length;
        }
    }

    private static void ThrowIfCanceled(PipeReader source, in ReadResult result)
    {
        if (!result.IsCanceled)
            return;
        source.AdvanceTo(result.Buffer.Start);
        throw new OperationCanceledException("The pending read of the pipe was cancelled.");
    }

    private static EndOfStreamException Ended(long offset, long length) => new($"The source ended after {offset} of {length} bytes.");
}
