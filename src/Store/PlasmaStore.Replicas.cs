using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <content>What a node service needs: copies of objects that were made in other stores, and requests for them.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Whether a node service is there to fetch objects from other machines.</summary>
    internal bool HasNodeService => Mailbox.Service.IsThere;

    /// <summary>Asks this machine's node service to fetch objects that are not in the store, without waiting for them. What cannot be found soon is not looked for further; a get or a wait asks by itself.</summary>
    /// <param name="ids">What may be wanted later.</param>
    /// <returns>How many the service was asked for: not those that are there, and none when no node service serves this store. Less than all when it does not keep up.</returns>
    /// <remarks>The attachment must stay open until the service has taken the requests, some milliseconds.</remarks>
    /// <exception cref="ObjectDisposedException">The store is closed.</exception>
    public int Prefetch(ReadOnlySpan<ObjectId> ids)
    {
        ThreadSlots thread = Enter();
        try
        {
            // Not disposed: what is asked stays asked.
            var asks = new NodeAsks(this, NodePriority.Prefetch, new Deadline(Timeout.InfiniteTimeSpan));
            asks.Pump(ids, default);
            return asks.Count;
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>As TryCreate, for a copy of an object that another store holds: the caller writes the whole image (<see cref="ObjectWriter.ImageAddress"/>), tail included, and seals. The entry gets the incarnation, checksum, times and retention of the original; nothing is computed at seal.</summary>
    /// <param name="image">What is to arrive.</param>
    /// <param name="timeout">How long to wait for memory.</param>
    /// <param name="cancellationToken">Ends that wait at once.</param>
    /// <param name="writer">Open when the result is Ok.</param>
    /// <returns>Ok, Exists, StoreFull, TooLarge, TooManyObjects or TooManyPins.</returns>
    /// <exception cref="ArgumentException">The image is not possible.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal PlasmaStatus TryCreateReplica(in ObjectImage image, TimeSpan timeout, CancellationToken cancellationToken, out ObjectWriter writer)
    {
        writer = default;
        RequireWriter();
        _memory.ThrowIfFaulted();
        if (image.Validate() is string problem)
            throw new ArgumentException(problem, nameof(image));
        var deadline = new Deadline(timeout);
        long needed = image.ImageBytes;
        if (image.PayloadBytes > _capacity || (needed > 0 && BlockAllocator.BlockBytesFor(needed, SizeClasses.QuantumBytes) > Math.Min(_capacity, _options.QuotaBytes ?? long.MaxValue)))
            return PlasmaStatus.TooLarge;
        ThreadSlots thread = Enter();
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            PlasmaStatus status = TryMakeReplica(thread, image, needed, deadline, out writer, cancellationToken);
            if (status is not (PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects) || deadline.HasPassed)
                return status;
            var wait = new SpaceWait(this, needed, deadline);
            try
            {
                do // Ends with memory, with the id appearing, with the deadline or a cancellation.
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    wait.Announce(cancellationToken);
                    status = TryMakeReplica(thread, image, needed, deadline, out writer, cancellationToken);
                }
                while (status is PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects && wait.Sleep(cancellationToken));
                return status;
            }
            finally
            {
                wait.Dispose();
            }
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    private PlasmaStatus TryMakeReplica(ThreadSlots thread, in ObjectImage image, long needed, Deadline deadline, out ObjectWriter writer, CancellationToken cancellationToken)
    {
        // An object without name, type and metadata in a block that has room for them. They come with the image.
        var options = new ObjectOptions
        {
            Retention = image.IsEvictable ? Retention.Evictable : Retention.Keep,
            Checksum = image.HasChecksum,
            TimeToLive = image.ExpiresAtTicks == 0 ? Timeout.InfiniteTimeSpan : s_lifeMax,
            CancellationToken = cancellationToken,
        };
        PlasmaStatus status = TryMake(
            thread, image.Id, _index.HashOf(image.Id), image.PayloadBytes, needed, SizeClasses.QuantumBytes, nameBytes: 0, typeBytes: 0, options, deadline.IsZero ? PatienceFor(needed) : deadline.Left, out writer);
        if (status != PlasmaStatus.Ok)
            return status;
        ObjectEntry* entry = writer.Entry;
        entry->UserBytes = image.UserBytes;
        entry->NameBytes = (ushort)image.NameBytes;
        entry->ContentTypeBytes = (ushort)image.ContentTypeBytes;
        entry->CreatedAt = image.CreatedAtTicks;
        entry->ExpiresAt = image.ExpiresAtTicks;
        entry->Checksum = image.HasChecksum ? image.Checksum : 0;
        entry->Incarnation = image.Incarnation;
        // CRASH replica-unmarked: an entry in Creating like any other; recovery aborts it.
        FailPoint.Pass("replica-unmarked");
        ulong state = Volatile.Read(ref entry->State);
        bool marked = new StateWord(state).State == ObjectState.Creating && Interlocked.CompareExchange(ref entry->State, state | StateWord.ReplicaFlag, state) == state;
        writer = new ObjectWriter(this, entry, writer.Base, image.PayloadBytes, image.TailBytes, writer.Slot, writer.Sequence);
        _slots.HandOut(writer.Slot, writer.Sequence);
        if (!marked)
        {
            // Nobody but its creator changes a Creating entry of a living creator.
            writer.Dispose();
            throw _memory.Broken("the state word of an object that is being created changed from", (long)state, 0);
        }
        thread.Count(Counter.Creates);
        thread.Count(Counter.CreateBytes, image.PayloadBytes);
        return PlasmaStatus.Ok;
    }

    /// <summary>Seals, and gives a pin on the object that was there before anybody could evict or delete it.</summary>
    /// <returns>Ok; Closed when it was sealed or aborted before; TooManyPins, and then the writer is still open.</returns>
    internal PlasmaStatus SealAndPin(in ObjectWriter writer, out PlasmaObject pinned)
    {
        pinned = default;
        ThreadSlots thread = Enter();
        try
        {
            if (!_slots.TryAcquire(thread, out int slot, out long sequence))
                return PlasmaStatus.TooManyPins;
            PinSlot* pin = _slots.Slot(slot);
            PlasmaStatus status = PlasmaStatus.Closed;
            try
            {
                if (!_slots.TryBeginRelease(writer.Slot, writer.Sequence))
                    return status;
                var own = new SlotWord(_slots.Slot(writer.Slot)->Word);
                pin->Since = CoarseClock.UtcTicks;

                // PUBLISH pin: full fence, before the object can be condemned, which only a sealed one is. OBSERVE in SlotScan: every scan that follows a condemn of this generation sees it.
                Interlocked.Exchange(ref pin->Word, new SlotWord(SlotKind.Pin, own.Generation, own.Entry).Value);
                // CRASH seal-pinned: a pin on an entry in Creating; recovery aborts the entry and clears the pin.
                FailPoint.Pass("seal-pinned");
                status = SealReserved(writer, checksumDone: false);
                if (status == PlasmaStatus.Ok)
                    PlasmaObject.Init(out pinned, this, writer.Entry, _payload + (writer.Base - _memory.WritablePayload), writer.Length, slot, sequence);
                return status;
            }
            finally
            {
                if (status != PlasmaStatus.Ok)
                {
                    Volatile.Write(ref pin->Word, 0);
                    _slots.EndRelease(slot, sequence);
                }
            }
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    /// <summary>What another store has to know to hold a copy of a pinned object; <see cref="ObjectImage.ImageBytes"/> bytes from <paramref name="address"/> on, read-only, are the image while the pin lasts.</summary>
    /// <exception cref="ObjectDisposedException">The pin has ended.</exception>
    internal ObjectImage ImageOf(in PlasmaObject obj, out byte* address)
    {
        address = obj.Pointer; // Throws unless it is held.
        obj.GetNumbers(out ObjectEntry* entry, out _, out long length, out _, out _);
        var state = new StateWord(Volatile.Read(ref entry->State));
        ObjectImage image = ImageOf(entry, state) with { PayloadBytes = length };
        if (image.UserBytes < 0 || !StoreMemory.IsInside(address - _payload, image.ImageBytes, _capacity)) // Another writer may have damaged them since the pin's own check.
            throw _memory.Broken("an object has the metadata length", image.TailBytes, MetadataBytesMax);
        return image;
    }

    /// <summary>As <see cref="Delete"/>, of one incarnation only: NotFound when the id is absent or sealed in another.</summary>
    internal PlasmaStatus DeleteIncarnation(in ObjectId id, ulong incarnation) => DeleteCore(id, any: false, incarnation);
}
