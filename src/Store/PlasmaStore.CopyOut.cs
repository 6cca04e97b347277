using System.Runtime.ExceptionServices;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <content>Writing copies of objects to disk while they stay readable, several at a time, for callers that wait no longer than they have time. docs/concurrency.md, section 12.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Writes copies of victims that have none, several at a time. False when the disk refused one, or has not taken all by the deadline or while it counts as one that answers: what was begun goes on then.</summary>
    private bool CopyOut(ThreadSlots thread, List<Evictor.Victim> victims, Deadline deadline, CancellationToken cancellationToken)
    {
        Evictor.Victim[] dirty = [.. victims.Where(v => new SpillPlace(Volatile.Read(ref _entries[v.Entry].SpillPlace)).IsNone)]; // Of another generation by now: then it is passed over, or unloaded in vain.
        if (dirty.Length == 0)
            return true;
        bool together = dirty.Length > 1 && dirty.Sum(static v => v.Bytes) >= SpillBytesMin;
        if (!HasDiskThreads || (!together && HasAllTime(deadline, cancellationToken)))
            return Array.TrueForAll(dirty, victim => TryCopyOut(thread, victim.Entry, victim.Generation) != CopyOutcome.Failed);
        var work = new CopyWork(this, dirty);
        try
        {
            while (TryTakeTurn(_spill!.WriteTurns, deadline, cancellationToken) && !work.TryStart()) // Ends with a thread, the deadline, a cancellation or the store's end.
            {
                if (deadline.HasPassed)
                {
                    NoteSpillProblem(DiskThreads.Refused);
                    break;
                }
                Thread.Sleep(deadline.SliceMs(DiskThreads.RefusedMs));
            }
            if (work.Threads.Count > 0)
                Interlocked.CompareExchange(ref _spillProblem, null, DiskThreads.Refused);
            for (int i = work.Threads.Count; together && i > 0 && i < Math.Min(dirty.Length, CopiesAtATime); i++)
                if (TryTakeTurn(_spill!.WriteTurns, new Deadline(TimeSpan.Zero), cancellationToken))
                    work.TryStart(); // Without it the others do its share.
            bool ended = work.Threads.Count > 0 && IsEnded(Task.WhenAll(work.Threads), deadline, () => work.IsStuck, cancellationToken);
            if (work.Error is { } error)
                ExceptionDispatchInfo.Throw(error);
            return ended && work.IsDone;
        }
        finally
        {
            work.Stop();
        }
    }

    /// <summary>Copies that several threads write, each taking the next one.</summary>
    private sealed class CopyWork(PlasmaStore store, Evictor.Victim[] victims)
    {
        private readonly List<WriteWatch> _watches = [];
        private int _next;
        private volatile bool _isStopped, _hasFailed;

        /// <summary>Whether all copies were begun, and none has failed.</summary>
        internal bool IsDone => !_hasFailed && Volatile.Read(ref _next) >= victims.Length;

        internal Exception? Error { get; private set; }

        /// <summary>The parts that were begun.</summary>
        internal List<Task> Threads { get; } = [];

        /// <summary>Whether all parts that have not ended are writing in directories that do not answer.</summary>
        internal bool IsStuck
        {
            get
            {
                for (int i = 0; i < Threads.Count; i++)
                    if (!Threads[i].IsCompleted && _watches[i].Directory is not { IsSilent: true })
                        return false;
                return true;
            }
        }

        /// <summary>No further copy is begun.</summary>
        internal void Stop() => _isStopped = true;

        /// <summary>Begins one thread's part, for which a turn was taken. False when the system refuses a thread.</summary>
        internal bool TryStart()
        {
            var watch = new WriteWatch();
            store.BeginDiskWork();
            if (store.OwnDiskThreads.TryStart(() => Run(watch)) is { } part)
            {
                _watches.Add(watch);
                Threads.Add(part);
                return true;
            }
            End();
            return false;
        }

        private void End()
        {
            store._spill!.WriteTurns.Release();
            store.EndDiskWork();
        }

        private bool Run(WriteWatch watch)
        {
            ThreadSlots? own = null;
            try
            {
                if (!store.TryEnter(out own))
                    return false;
                while (!_isStopped && Interlocked.Increment(ref _next) is var taken && taken <= victims.Length) // Ends with the victims.
                {
                    if (store.TryCopyOut(own, victims[taken - 1].Entry, victims[taken - 1].Generation, watch) == CopyOutcome.Failed)
                        _hasFailed = _isStopped = true;
                }
                return true;
            }
            catch (Exception e)
            {
                Error = e; // For who waits; if nobody does any more the next one meets it too.
                _hasFailed = _isStopped = true;
                return false;
            }
            finally
            {
                if (own is not null)
                    Leave(own);
                End();
            }
        }
    }

    /// <summary>As <see cref="Enter"/> for a thread that helps a call: false when the store is being closed or the thread gets no slots.</summary>
    private bool TryEnter([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ThreadSlots? thread)
    {
        thread = null;
        try
        {
            thread = Enter();
            return true;
        }
        catch (Exception e) when (e is ObjectDisposedException or PlasmaException)
        {
            return false;
        }
    }

    /// <summary>Writes one object's bytes to disk while it stays readable.</summary>
    private CopyOutcome TryCopyOut(ThreadSlots thread, uint entryIndex, uint generation, WriteWatch? watch = null)
    {
        ObjectEntry* entry = _entries + entryIndex;
        if (!_slots.TryAcquire(thread, out int slot, out long sequence))
            return CopyOutcome.Passed;
        PinSlot* announcement = _slots.Slot(slot);
        try
        {
            announcement->Since = CoarseClock.UtcTicks;

            // PUBLISH copy: full fence, before State is read. As a pin: a finisher or unloader sees it, or we see what it made of the state. OBSERVE in SlotScan; in Recovery, which frees what a dead one had taken on disk.
            Interlocked.Exchange(ref announcement->Word, new SlotWord(SlotKind.Copy, generation, entryIndex).Value);
            // CRASH copy-announced: nothing but the announcement; recovery clears it.
            FailPoint.Pass("copy-announced");
            var state = new StateWord(Volatile.Read(ref entry->State));
            if (!state.IsSealed(generation))
                return CopyOutcome.Passed;
            ulong claim = SpillPlace.Claim(_participants.Index).Value;

            // PUBLISH claim: one writer of this entry's copy. OBSERVE in Recovery.
            var seen = new SpillPlace(Interlocked.CompareExchange(ref entry->SpillPlace, claim, 0));
            if (seen.Value != 0)
                return seen.IsPlace ? CopyOutcome.Clean : CopyOutcome.Busy;
            return WriteClaimed(entry, state, BlockOwner.Of(generation, entryIndex), claim, watch);
        }
        finally
        {
            EndMove(slot, sequence);
        }
    }

    private CopyOutcome WriteClaimed(ObjectEntry* entry, StateWord state, ulong owner, ulong claim, WriteWatch? watch)
    {
        SpillPlace place = default;
        bool written = false;
        try
        {
            // CRASH copy-claimed: a claim of a dead participant, and perhaps blocks on disk; recovery frees the blocks, then takes the claim back.
            FailPoint.Pass("copy-claimed");
            ObjectImage image = ImageOf(entry, state);
            long offset = entry->DataOffset;
            if (image.Validate() is not null || !StoreMemory.IsInside(offset, image.ImageBytes, _capacity))
                throw _memory.Broken("an object lies at", offset, _capacity);
            written = _spill!.TryWrite(owner, image, _payload + offset, out place, out SpillError? error, watch);
            // CRASH copy-written: a whole copy that nobody knows of; as copy-claimed.
            FailPoint.Pass("copy-written");
            if (!written)
                NoteSpillProblem(error?.Message.TrimEnd('.') ?? "the copy could not be written");
        }
        finally
        {
            // PUBLISH copy place: full fence, after the bytes are on disk. OBSERVE in Unload and TryRestore. On failure nothing of it is on disk: TryWrite has freed what it had taken.
            Interlocked.CompareExchange(ref entry->SpillPlace, written ? place.Value : 0, claim);
        }
        if (!written)
            return CopyOutcome.Failed;
        // CRASH copy-placed: the object is clean; nothing is left behind but the announcement.
        FailPoint.Pass("copy-placed");
        Volatile.Write(ref _spillProblem, null);
        _waits.Wake(_reclaimer.SpaceWord); // Who waits for what is being moved can take its memory now.
        ParticipantTable.CountSpill(_participants.Own, SpillCounter.Spills, 1);
        ParticipantTable.CountSpill(_participants.Own, SpillCounter.SpilledBytes, entry->PayloadBytes);
        return CopyOutcome.Clean;
    }
}
