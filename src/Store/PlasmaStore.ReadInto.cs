using FastPlasma.Format;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <content>Reading parts of objects into a caller's memory: of those on disk without bringing them back.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Copies a part of an object's payload, from memory or straight from disk: an object on disk stays there, and nothing is pinned afterwards.</summary>
    /// <param name="id">The object.</param>
    /// <param name="offset">Where to begin, in bytes from the payload's beginning.</param>
    /// <param name="destination">Filled as far as the payload goes; counted as a copy. After an error what is in it means nothing.</param>
    /// <param name="cancellationToken">Ends the wait for a disk at once. Without it one that does not answer is waited for 30 seconds, and a second more for each 32 MiB.</param>
    /// <returns>Bytes copied: the destination's length, or less at the payload's end.</returns>
    /// <exception cref="PlasmaException">There is no such object (<see cref="PlasmaStatus.NotFound"/>), its copy on disk cannot be read (<see cref="PlasmaStatus.NotResident"/>; the message says why), or all pin slots are taken.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="offset"/> is not inside the payload.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled while the disk was waited for.</exception>
    public int ReadInto(in ObjectId id, long offset, Span<byte> destination, CancellationToken cancellationToken = default) => TryReadInto(id, offset, destination, out int bytes, out string? problem, cancellationToken) switch
    {
        PlasmaStatus.Ok => bytes,
        PlasmaStatus.TooManyPins => throw _slots.TooManyPins(),
        PlasmaStatus.NotResident => throw new PlasmaException(PlasmaStatus.NotResident, $"Object {id} cannot be read from disk: {problem}."),
        PlasmaStatus status => throw new PlasmaException(status, $"There is no sealed object {id} in store '{Name}'."),
    };

    /// <summary>As <see cref="ReadInto"/>, with a status: Ok, NotFound, NotResident or TooManyPins.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="offset"/> is not inside the payload.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled while the disk was waited for.</exception>
    public PlasmaStatus TryReadInto(in ObjectId id, long offset, Span<byte> destination, out int bytes, CancellationToken cancellationToken = default) =>
        TryReadInto(id, offset, destination, out bytes, out _, cancellationToken);

    private PlasmaStatus TryReadInto(in ObjectId id, long offset, Span<byte> destination, out int bytes, out string? problem, CancellationToken cancellationToken)
    {
        ThreadSlots thread = Enter();
        try
        {
            bytes = 0;
            problem = null;
            var deadline = new Deadline(PatienceFor(destination.Length));
            for (int moved = 0; ;) // Ends with the bytes, an error or the deadline; or after some repetitions, each of which means that the object moved between memory and disk, or that another of the id came: then it counts as away.
            {
                PlasmaStatus status = TryPin(thread, id, out PlasmaObject obj);
                if (status == PlasmaStatus.Ok)
                {
                    using (obj)
                    {
                        bytes = PartOf(obj.Length, offset, destination.Length);
                        obj.CopyTo(offset, destination[..bytes]);
                        return status;
                    }
                }
                if (status != PlasmaStatus.NotFound || !IsAway(id, out StateWord state, out uint entryIndex))
                    return status;
                status = TryReadCopy(thread, id, entryIndex, state.Generation, offset, destination, deadline, out bytes, out problem, out AnotherLook again, cancellationToken);
                if (again == AnotherLook.Later && !deadline.HasPassed)
                    continue;
                if (status != PlasmaStatus.NotFound || moved++ == BringRounds)
                    return status;
            }
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    /// <summary>Reads from the copy on disk under a pin, which keeps the copy as it keeps memory. NotFound when the entry is no longer there in that generation, or has no whole copy.</summary>
    private PlasmaStatus TryReadCopy(
        ThreadSlots thread, in ObjectId id, uint entryIndex, uint generation, long offset, Span<byte> destination, Deadline deadline, out int bytes, out string? problem, out AnotherLook again, CancellationToken cancellationToken)
    {
        bytes = 0;
        problem = null;
        again = AnotherLook.None;
        ObjectEntry* entry = _entries + entryIndex;
        if (!_slots.TryAcquire(thread, out int slot, out long sequence))
            return PlasmaStatus.TooManyPins;
        bool handedOver = false;
        try
        {
            PinSlot* pin = _slots.Slot(slot);
            pin->Since = CoarseClock.UtcTicks;
            Interlocked.Exchange(ref pin->Word, new SlotWord(SlotKind.Pin, generation, entryIndex).Value); // PUBLISH pin, as in TryPin; a finisher looks at it before it frees the copy.
            var state = new StateWord(Volatile.Read(ref entry->State));
            var spill = new SpillPlace(Volatile.Read(ref entry->SpillPlace)); // Stays as it is while the entry is there.
            if (state.Generation != generation || !state.IsPresent || !spill.IsPlace || !ObjectId.Same(in entry->Id, in id))
                return PlasmaStatus.NotFound;
            ObjectImage image = ImageOf(entry, state);
            bytes = PartOf(image.PayloadBytes, offset, destination.Length);
            if (_spill is null)
                problem = "this attachment has no access to the spill files";
            else if (bytes > 0)
                problem = ReadPart(_spill, spill, image, offset, destination[..bytes], slot, sequence, deadline, out handedOver, out again, cancellationToken);
            if (problem is not null)
                return PlasmaStatus.NotResident;
            thread.Count(Counter.GetCopiedBytes, bytes);
            return PlasmaStatus.Ok;
        }
        finally
        {
            if (!handedOver)
                EndMove(slot, sequence);
        }
    }

    /// <summary>The disk's part of <see cref="TryReadCopy"/>. Null, or why the bytes are not there. With <paramref name="handedOver"/> the pin is ended by who reads.</summary>
    private string? ReadPart(
        SpillSpace space, SpillPlace place, ObjectImage image, long offset, Span<byte> destination, int slot, long sequence, Deadline deadline, out bool handedOver, out AnotherLook again, CancellationToken cancellationToken)
    {
        handedOver = false;
        again = AnotherLook.None;
        int bytes = destination.Length;
        if (space.ReadTurns(place) is { } turns && !turns.TryTake(bytes, deadline.SliceMs(TurnLookMs)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosing();
            again = AnotherLook.Later;
            return DescribeSilence(space, place);
        }
        fixed (byte* to = destination)
        {
            var target = new ReadTarget(to, bytes);
            bool isRefused = false;
            handedOver = true;
            try
            {
                if (!TryOnDisk(Read, deadline, late: null, out string? problem, cancellationToken))
                    return DescribeSilence(space, place);
                if (!isRefused)
                    return problem;
            }
            finally
            {
                target.Close(); // Whoever reads on for nobody does not touch the caller's memory.
            }
            Thread.Sleep(deadline.SliceMs(DiskThreads.RefusedMs));
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosing();
            again = AnotherLook.Later;
            return DiskThreads.Refused;

            string? Read(bool mayUseDisk)
            {
                try
                {
                    isRefused = !mayUseDisk;
                    return mayUseDisk ? space.ReadRange(place, image, offset, target)?.Message.TrimEnd('.') : null;
                }
                finally
                {
                    EndMove(slot, sequence);
                    space.ReadTurns(place)?.GiveBack(bytes);
                }
            }
        }
    }

    private static int PartOf(long payloadBytes, long offset, int bytes) => offset >= 0 && offset <= payloadBytes
        ? (int)Math.Min(bytes, payloadBytes - offset)
        : throw new ArgumentOutOfRangeException(nameof(offset), offset, $"The offset is {offset}; the payload has {payloadBytes} bytes.");
}
