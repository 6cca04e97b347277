using System.Collections.Concurrent;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Spill;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

namespace FastPlasma;

/// <content>The end of an attachment: Dispose takes no more calls; whoever ends the last call or handle detaches, or the maintainer, in a disk thread where there is a disk.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Longest time that Dispose waits for each of the store's own threads.</summary>
    private const int OwnThreadsMs = 1000;

    /// <summary>Closed attachments that wait for a thread to detach in; nobody else may know them any more.</summary>
    private static readonly ConcurrentDictionary<PlasmaStore, bool> s_detachLater = [];

    /// <summary>Detaches. Handles that are still open keep their bytes; the last one that is disposed ends the attachment. A second call does nothing.</summary>
    /// <remarks>When no handle is open and no call of another thread in progress, the attachment has ended when this returns, so the process may end at once and leaves nothing to recover; unless a disk does not answer, or the system refuses a thread that could wait for it: then it ends later, which the log says. In a forked child of the process that opened the store only the child's copies of the descriptors are closed; the attachment is the parent's.</remarks>
    public void Dispose()
    {
        if (IsForked)
        {
            _scan.Dispose();
            _memory.CloseFiles();
            _participants.CloseFiles();
            _spill?.CloseFiles();
            return;
        }
        if (Interlocked.Exchange(ref _openMark, Closed) == Closed)
            return;

        // Counts as a call itself, so that a waiter that leaves cannot unmap the words under the waking below.
        Interlocked.Increment(ref _slowCalls);

        bool alone = false;
        try
        {
            // Calls raise their thread's Busy, then read _openMark, without a fence between; this barrier stands in for it.
            Interlocked.MemoryBarrierProcessWide();
            Volatile.Write(ref _mayDetach, 1);
            if (_slots.AnyInUse() || Volatile.Read(ref _slowCalls) > 1)
                WakeOwnWaiters();

            // The process may end right after this call, and its background threads at whatever they do: a detaching that they had begun would leave a dead participant. What they do with the store ends first,
            // within milliseconds. Not waited for without end: they call the logger, which may wait for the caller, or a disk that does not answer; then they detach later.
            Volatile.Read(ref _asyncWaiters)?.Join(OwnThreadsMs);
            _spillAhead?.Join(OwnThreadsMs);
            for (long end = Environment.TickCount64 + OwnThreadsMs; Volatile.Read(ref _diskWork) > 0 && Environment.TickCount64 < end;)
                Thread.Sleep(1);
            if (Volatile.Read(ref _diskWork) > 0)
                Logger.LogWarning("Store '{Store}' is closed, and stays attached until its disk has answered: {What}.", Name, _spill?.DescribeSlow() ?? "");
            Volatile.Read(ref _ownDiskThreads)?.Close();
            alone = _maintenance.TryEnter(OwnThreadsMs);
        }
        finally
        {
            try
            {
                EndSlowCall();
            }
            finally
            {
                if (alone)
                    _maintenance.Exit();
            }
        }
    }

    /// <summary>The background thread's turn: maintains an open store; of a closed one it ends the attachment once the last call or handle is gone, because a hot call that was under way at Dispose does not look itself.</summary>
    internal void MaintainInBackground()
    {
        if (!_maintenance.TryEnter())
            return; // It is being detached, which may take as long as its disk.
        try
        {
            if (IsClosing)
                TryDetach(waits: false); // This thread has other stores, and the clock.
            else
                Maintain();
        }
        finally
        {
            _maintenance.Exit();
        }
    }

    /// <summary>Ends the attachment once it is closing, no call is in progress and no handle is open. Called by whoever may be the last, and by the maintainer for hot calls, which do not look.</summary>
    /// <param name="waits">Whether this thread has time to wait for a disk.</param>
    internal void TryDetach(bool waits = true)
    {
        // Before the barrier of Dispose, a call that is not seen in AnyInUse may still be in progress. Nothing shared is touched here: it may be unmapped already.
        if (IsForked || Volatile.Read(ref _mayDetach) == 0 || Volatile.Read(ref _slowCalls) != 0 || _slots.AnyInUse() || Interlocked.Exchange(ref _detaches, 1) != 0)
            return;
        if (_spill is not null && HasDiskThreads)
            DetachByDisk(waits); // Catalogues may be written, and files of another machine closed.
        else
            Detach();
    }

    private void Detach()
    {
        try
        {
            if (Access == StoreAccess.ReadWrite)
            {
                NodeMailbox.ForgetService(_memory.Header, _participants.Index);
                _reclaimer.FinishAll(null);
                ulong* condemned = ParticipantTable.Condemned(_participants.Own);
                for (int i = 0; i < ParticipantBlock.CondemnedCount; i++)
                {
                    if (Volatile.Read(ref condemned[i]) == 0)
                        continue;
                    _reclaimer.RequestWalk(); // Before the list forgets it.
                    Volatile.Write(ref condemned[i], 0);
                }
            }
            // CRASH detach-emptied: a participant that holds nothing, as attach-announced.
            FailPoint.Pass("detach-emptied");
            _participants.MarkDetached();
            // CRASH detach-unmarked: no clean shutdown is noted; the next boot refuses a store on disk, as after any death.
            FailPoint.Pass("detach-unmarked");
            if (Access == StoreAccess.ReadWrite)
            {
                MarkIfLastWriter();
                _spill?.LeaveCatalogs(_memory, Name, _options.Logger);
            }
        }
        finally
        {
            try
            {
                Maintainer.Unregister(this);
                _scan.Dispose();
                _spill?.Dispose();
                _memory.Dispose();
                _participants.Dispose();
                _slots.GiveSequencesBack();
            }
            finally
            {
                _detached = true;
            }
        }
    }

    /// <summary>Detaches in another thread, because that may write catalogues, and waits for it as long as a disk is waited for.</summary>
    private void DetachByDisk(bool waits)
    {
        Task<bool>? detach = null;
        try
        {
            var deadline = new Deadline(waits ? PatienceFor(0) : TimeSpan.Zero);
            while ((detach = OwnDiskThreads.TryStart(Detached)) is null && !deadline.HasPassed) // Ends with a thread, or the time.
                Thread.Sleep(DiskThreads.RefusedMs);
        }
        finally
        {
            if (detach is null)
                DetachLater();
        }
        if (detach is null)
            return;
        ManualResetEventSlim? ended = null;
        if (waits && !DiskThreads.Wait(detach, ref ended, new Deadline(PatienceFor(0)).SliceMs(int.MaxValue), CancellationToken.None))
            Logger.LogWarning("Store '{Store}' is closed, and stays attached until its disk has answered: catalogues are being written, or files closed.", Name);
        if (waits && detach.IsCompleted)
            detach.GetAwaiter().GetResult();
        else
            _ = detach.ContinueWith(ended => Logger.LogError(ended.Exception, "Store '{Store}' could not be closed in order.", Name), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

        bool Detached()
        {
            s_detachLater.TryRemove(this, out _);
            Detach();
            return true;
        }
    }

    /// <summary>The maintainer tries it again.</summary>
    private void DetachLater()
    {
        bool isFirst = s_detachLater.TryAdd(this, true);
        Volatile.Write(ref _detaches, 0);
        if (isFirst)
            Logger.LogWarning("Store '{Store}' is closed, and stays attached for now: {Why}.", Name, DiskThreads.Refused);
    }

    /// <summary>Marks that no writer is left, unless one is, or came since we looked.</summary>
    private void MarkIfLastWriter()
    {
        // OBSERVE writer: the word is read before the blocks. A writer that is not seen in them counts itself later, and then the exchange fails, or it takes the mark away again.
        ulong word = Volatile.Read(ref _memory.Header->WriterAttaches);
        int high = _participants.High;
        for (int k = 0; k < high; k++)
        {
            ParticipantBlock* block = _participants.Block(k);
            if (Volatile.Read(ref block->Attached) != 0 && block->Access == (int)StoreAccess.ReadWrite)
                return;
        }
        MarkNoWriterLeft(_memory.Header, word);
    }

    /// <summary>Second half of <see cref="MarkIfLastWriter"/>: does nothing if a writer has come since the word was <paramref name="seen"/>.</summary>
    internal static void MarkNoWriterLeft(StoreHeader* header, ulong seen) => Interlocked.CompareExchange(ref header->WriterAttaches, seen | StoreHeader.NoWriterLeft, seen);

    private void WakeOwnWaiters()
    {
        if (_memory.CanWriteWaits)
        {
            _waits.WakeAll();
            return;
        }
        for (int i = 0; i < WaitWord.SleepCount; i++)
            Futex.WakeAll((uint*)_memory.Wait(i)); // Not the doorbell and not the spillers: no reader is a node service, or spills.
    }
}
