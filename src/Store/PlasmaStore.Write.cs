using System.Runtime.CompilerServices;
using FastPlasma.Copying;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma;

/// <content>The calls of a writer and their ends: sealed, aborted, refused.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Longest user metadata in bytes.</summary>
    public const int MetadataBytesMax = 16 << 20;

    /// <summary>Longest name in bytes of UTF-8.</summary>
    public const int NameBytesMax = 4096;

    /// <summary>Longest media type in bytes of UTF-8.</summary>
    public const int ContentTypeBytesMax = 255;

    /// <summary>Copies <paramref name="payload"/> into a new sealed object: one user-space copy.</summary>
    /// <exception cref="PlasmaException">The id is taken, or there is no memory (<see cref="StoreFullException"/>), no record or no slot.</exception>
    /// <exception cref="ArgumentException">An option is outside its limits.</exception>
    public void Put(in ObjectId id, ReadOnlySpan<byte> payload, in ObjectOptions options = default) =>
        ThrowUnlessOk(TryPut(id, payload, options), id, payload.Length, options);

    /// <summary>As <see cref="Put"/>, with a status: Ok, Exists, StoreFull, TooLarge, TooManyObjects or TooManyPins.</summary>
    public PlasmaStatus TryPut(in ObjectId id, ReadOnlySpan<byte> payload, in ObjectOptions options = default)
    {
        fixed (byte* source = payload)
            return TryPut(id, source, payload.Length, options);
    }

    /// <summary>As <see cref="TryPut(in ObjectId, ReadOnlySpan{byte}, in ObjectOptions)"/>, for payloads that may be longer than a span can be.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal PlasmaStatus TryPut(in ObjectId id, byte* source, long payloadBytes, in ObjectOptions options)
    {
        ThreadSlots thread = Enter();
        try
        {
            PlasmaStatus status = TryCreateCore(thread, id, payloadBytes, options, out ObjectWriter writer);
            if (status != PlasmaStatus.Ok)
                return status;

            // SAFETY: the block holds PayloadBytes == payloadBytes bytes from writer.Base on, and nobody else writes it before Seal.
            if (options.Checksum)
                writer.Entry->Checksum = CopyWithChecksum(writer, source, (nuint)payloadBytes);
            else
                CopyPayload(writer.Base, source, (nuint)payloadBytes);
            status = SealReserved(writer, checksumDone: true);
            thread.Count(Counter.Puts);
            thread.Count(Counter.PutBytes, payloadBytes);
            thread.Count(Counter.PutCopiedBytes, payloadBytes);
            return status;
        }
        finally
        {
            Leave(thread);
        }
    }

    private void CopyPayload(byte* destination, byte* source, nuint bytes)
    {
        if (bytes >= ParallelCopy.BytesMin && _copyThreads > 1)
            ParallelCopy.Copy(destination, source, bytes, _copyThreads);
        else
            CopyEngine.Copy(destination, source, bytes);
    }

    /// <summary>Begins an object whose payload the caller writes in place: no copy. Seal publishes it; Dispose without Seal aborts it.</summary>
    /// <exception cref="PlasmaException">As for <see cref="Put"/>.</exception>
    public ObjectWriter Create(in ObjectId id, long payloadBytes, in ObjectOptions options = default)
    {
        ThrowUnlessOk(TryCreate(id, payloadBytes, out ObjectWriter writer, options), id, payloadBytes, options);
        return writer;
    }

    /// <summary>As <see cref="Create(in ObjectId, long, in ObjectOptions)"/>, with a status.</summary>
    /// <remarks>The memory holds what its last owner left: write all of it.</remarks>
    public PlasmaStatus TryCreate(in ObjectId id, long payloadBytes, out ObjectWriter writer, in ObjectOptions options = default)
    {
        ThreadSlots thread = Enter();
        try
        {
            PlasmaStatus status = TryCreateCore(thread, id, payloadBytes, options, out writer);
            if (status == PlasmaStatus.Ok)
            {
                _slots.HandOut(writer.Slot, writer.Sequence);
                thread.Count(Counter.Creates);
                thread.Count(Counter.CreateBytes, payloadBytes);
            }
            return status;
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>Puts many objects; one that fails does not stop the others.</summary>
    /// <param name="ids">Their ids.</param>
    /// <param name="payloads">As many payloads.</param>
    /// <param name="statuses">As long; what became of each.</param>
    /// <param name="options">For all of them.</param>
    /// <returns>How many are Ok.</returns>
    public int CreateAndSeal(ReadOnlySpan<ObjectId> ids, ReadOnlySpan<ReadOnlyMemory<byte>> payloads, Span<PlasmaStatus> statuses, in ObjectOptions options = default)
    {
        if (payloads.Length != ids.Length || statuses.Length < ids.Length)
            throw new ArgumentException($"{ids.Length} ids need as many payloads and statuses, not {payloads.Length} and {statuses.Length}.", nameof(payloads));
        int ok = 0;
        for (int i = 0; i < ids.Length; i++)
            ok += (statuses[i] = TryPut(ids[i], payloads[i].Span, options)) == PlasmaStatus.Ok ? 1 : 0;
        return ok;
    }

    /// <summary>Gives up an object that this attachment is creating. No thread may still be writing it.</summary>
    /// <returns>Ok, NotFound, AlreadySealed (also when another call of this process is putting, sealing or aborting it now) or NotOwner (another participant creates it).</returns>
    public PlasmaStatus Abort(in ObjectId id)
    {
        RequireWriter();
        ThreadSlots thread = Enter();
        try
        {
            if (!_index.TryFindCommitted(id, _index.HashOf(in id), out StateWord state, out uint entryIndex) || state.State == ObjectState.Tentative)
                return PlasmaStatus.NotFound; // Tentative: not decided yet, nobody has a writer for it.
            if (state.State != ObjectState.Creating)
                return PlasmaStatus.AlreadySealed;
            if (state.Participant != _participants.Index)
                return PlasmaStatus.NotOwner;
            if (!_slots.TryFindHeld(new SlotWord(SlotKind.Own, state.Generation, entryIndex), out int slot, out long sequence))
                return PlasmaStatus.AlreadySealed; // Sealed or aborted in this very moment, or a put that is not to be ended.
            return AbortCore(thread, slot, sequence) == PlasmaStatus.Ok ? PlasmaStatus.Ok : PlasmaStatus.AlreadySealed;
        }
        finally
        {
            Leave(thread);
        }
    }

    internal PlasmaStatus Seal(in ObjectWriter writer)
    {
        ThreadSlots thread = Enter();
        try
        {
            return _slots.TryBeginRelease(writer.Slot, writer.Sequence) ? SealReserved(writer, checksumDone: false) : PlasmaStatus.Closed;
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    internal PlasmaStatus AbortWriter(int slot, long sequence)
    {
        if (!_slots.IsHeld(slot, sequence))
            return PlasmaStatus.Closed;

        // A writer may be disposed after the store, and must be, to give its memory back; its slot keeps the mappings until then.
        ThreadSlots? thread = null;
        try
        {
            thread = Enter();
        }
        catch (ObjectDisposedException)
        {
            // Closed: the thread's own hints are not needed.
        }
        try
        {
            return AbortCore(thread, slot, sequence);
        }
        finally
        {
            if (thread is not null)
                Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    private static ulong CopyWithChecksum(in ObjectWriter writer, byte* source, nuint bytes)
    {
        Checksum checksum = Checksum.Start();
        checksum.CopyAndAppend(writer.Base, source, bytes);
        checksum.Append(writer.Tail, (nuint)writer.TailBytes);
        return checksum.Finish(bytes, (nuint)writer.TailBytes);
    }

    internal void CountCopied(bool isGet, long bytes)
    {
        ThreadSlots thread = Enter();
        thread.Count(isGet ? Counter.GetCopiedBytes : Counter.CreateCopiedBytes, bytes);
        Leave(thread);
    }

    /// <summary>Seals what the caller alone may end: its slot is reserved, or its release has begun.</summary>
    private PlasmaStatus SealReserved(in ObjectWriter writer, bool checksumDone)
    {
        (int slot, long sequence) = (writer.Slot, writer.Sequence);
        ObjectEntry* entry = writer.Entry;
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (state.HasChecksum && !checksumDone && !state.IsReplica) // A replica's came with it.
            entry->Checksum = Checksum.HashOnly(writer.Base, (nuint)writer.Length, writer.Tail, (nuint)writer.TailBytes);
        entry->SealedAt = CoarseClock.UtcTicks;
        long expiresAt = state.Expires ? entry->ExpiresAt : 0;
        if (state.Expires && !state.IsReplica) // A replica's came with it; else it is the time to live until now.
            entry->ExpiresAt = expiresAt = DateTime.UtcNow.Ticks + Math.Clamp(expiresAt, 0, s_lifeMax.Ticks);
        if (state.IsCandidate)
            _evictor.Map.Add(NumberOf(entry));
        ulong* waitWord = _memory.WaitOf(_index.HashOf(in entry->Id));
        ObjectId id = entry->Id;
        long payloadBytes = writer.Length;
        int metadataBytes = entry->UserBytes;
        ulong incarnation = entry->Incarnation;

        // PUBLISH seal: full fence. Payload and sizes become visible before Sealed does; otherwise a reader could read what is still being written. OBSERVE in TryPin.
        if (state.State != ObjectState.Creating || Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Sealed).Value, state.Value) != state.Value)
        {
            Volatile.Write(ref _slots.Slot(slot)->Word, 0);
            _slots.EndRelease(slot, sequence);
            return PlasmaStatus.Closed;
        }

        // CRASH sealed-unannounced: the object is there, its event and wake are not; recovery wakes everybody, waiters look every slice. From here on the entry may be anybody's.
        FailPoint.Pass("sealed-unannounced");
        if (state.Expires)
            LowerNextExpiry(expiresAt);
        _events.Publish(PlasmaEventKind.Sealed, id, payloadBytes, metadataBytes, incarnation);
        _waits.Wake(waitWord);
        Volatile.Write(ref _slots.Slot(slot)->Word, 0);
        _slots.EndRelease(slot, sequence);
        return PlasmaStatus.Ok;
    }

    private PlasmaStatus AbortCore(ThreadSlots? thread, int slot, long sequence)
    {
        if (!_slots.TryBeginRelease(slot, sequence))
            return PlasmaStatus.Closed;
        var word = new SlotWord(_slots.Slot(slot)->Word);
        EndCreation(thread, word.Entry, word.Generation);
        Volatile.Write(ref _slots.Slot(slot)->Word, 0);
        _slots.EndRelease(slot, sequence);
        thread?.Count(Counter.Aborts);
        return PlasmaStatus.Ok;
    }
    internal void ThrowUnlessOk(PlasmaStatus status, in ObjectId id, long payloadBytes, in ObjectOptions options)
    {
        switch (status)
        {
            case PlasmaStatus.Ok:
                return;
            case PlasmaStatus.Exists:
                throw new PlasmaException(status, $"Object {id} exists already.");
            case PlasmaStatus.TooManyPins:
                throw _slots.TooManyPins();
            case PlasmaStatus.TooManyObjects:
                throw new PlasmaException(status, $"All {ObjectCountMax} object records of store '{Name}' are taken.");
            case PlasmaStatus.TooLarge:
                throw new PlasmaException(
                    status, $"An object of {payloadBytes} bytes can never fit into store '{Name}' of {_capacity} bytes{(_options.QuotaBytes is long quota ? $" with a quota of {quota}" : "")}.");
            default:
                StoreFullReport report = BuildFullReport(payloadBytes);
                throw new StoreFullException(status, DescribeFull(report, options.Timeout ?? _options.FullTimeout), report);
        }
    }
}
