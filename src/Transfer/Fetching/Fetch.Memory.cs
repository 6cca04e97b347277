using FastPlasma.Nodes;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <content>Memory for a large object, which is waited for if there is none, and the transfer into it.</content>
internal sealed unsafe partial class Fetch
{
    /// <summary>Memory may be taken now. If there is none, it is waited for on a thread of its own.</summary>
    internal void Create(bool mayWait)
    {
        try
        {
            CreateReplica(mayWait);
        }
#pragma warning disable CA1031 // On a thread of the pool: whatever it is, the fetch ends, not the process.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _table.Threads.Report(e);
            End(NodeAnswer.NoSpace, e.Message);
        }
        finally
        {
            bool over;
            lock (_lock)
                over = _done;
            if (over)
                _table.LeaveAdmission(this); // It may have been let in after it had ended.
        }
    }

    private void CreateReplica(bool mayWait)
    {
        ObjectRecord record = default;
        Peer? chosen = null;
        using var cancel = new CancellationTokenSource();
        long latestTicks;
        lock (_lock)
        {
            if (_done)
                return;
            Peer? peer = _chosen;
            int at = _candidates.FindIndex(candidate => candidate.Peer == peer && candidate.Standing is Standing.Has);
            if (at < 0)
                at = _candidates.FindIndex(candidate => candidate.Standing is Standing.Has);
            if (at < 0)
            {
                _creating = false;
                if (!HasOpenQuestion())
                    NobodyHasIt();
            }
            else
            {
                record = _candidates[at].Record;
                _chosen = chosen = _candidates[at].Peer;
                _creatingIncarnation = record.Incarnation;
                _cancelCreate = cancel.Cancel;
            }
            latestTicks = LatestDeadline();
        }
        if (chosen is null)
        {
            _table.LeaveAdmission(this);
            return;
        }
        ObjectImage image = ReplicaImage.Of(record);
        PlasmaStatus status;
        ObjectWriter writer;
        try
        {
            while (true) // Ends with memory, an error, or the last deadline of those who wait.
            {
                status = _table.Store.TryCreateReplica(image, mayWait ? FetchTable.TimeLeft(latestTicks) : TimeSpan.Zero, cancel.Token, out writer);
                if (status is not (PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects))
                    break;
                if (!mayWait)
                {
                    lock (_lock)
                        SetState(NodeAnswer.NoSpace);
                    _table.Threads.Start("fastplasma space", () => Create(mayWait: true));
                    return;
                }
                lock (_lock)
                {
                    long later = LatestDeadline();
                    if (_done || later <= latestTicks)
                        break;
                    latestTicks = later; // Somebody joined who waits for longer.
                }
            }
        }
        catch (OperationCanceledException)
        {
            lock (_lock)
                _creating = false;
            StartOver(DeletedMeanwhile); // Or it has ended.
            return;
        }
        catch (Exception e) when (e is ArgumentException or PlasmaException or ObjectDisposedException or InvalidOperationException)
        {
            End(NodeAnswer.NoSpace, e.Message);
            return;
        }
        finally
        {
            lock (_lock)
                _cancelCreate = null; // Under the lock, so that nobody cancels what is disposed next.
        }
        Created(status, writer, image, record);
    }

    private void Created(PlasmaStatus status, ObjectWriter writer, in ObjectImage image, in ObjectRecord record)
    {
        Peer? ask = null;
        bool ended = false, deleted = false;
        List<(Peer, ObjectRecord)> sources = [];
        (Peer Peer, ulong Incarnation)[] named = [];
        LargeTransfer? large = null;
        lock (_lock)
        {
            deleted = status == PlasmaStatus.Ok && _table.Tombstones.Contains(Id, image.Incarnation); // After _creatingIncarnation was set: who deletes sees that, or this sees the tombstone.
            if (status == PlasmaStatus.Ok && (_done || deleted))
                writer.Dispose();
            if (_done)
                return;
            _creating = false;
            switch (status)
            {
                case PlasmaStatus.Ok when deleted:
                    break;
                case PlasmaStatus.Ok when image.ImageBytes <= Limits.InlineBytesMax:
                    (_writer, _hasWriter, _writerImage) = (writer, true, image);
                    SetState(NodeAnswer.None);
                    if (_chosen is { } chosen)
                    {
                        ref Candidate candidate = ref CandidateOf(chosen);
                        ask = AskAgain(ref candidate);
                    }
                    else
                    {
                        ask = NextAfterFailure();
                    }
                    break;
                case PlasmaStatus.Ok:
                    SetState(NodeAnswer.None);
                    try
                    {
                        large = new LargeTransfer(_table, this, image, writer, record.FirstChunk);
                    }
                    catch
                    {
                        writer.Dispose();
                        throw;
                    }
                    _sourcelessSinceMs = 0;
                    Volatile.Write(ref _large, large);
                    named = _named?.ToArray() ?? [];
                    _named = null;
                    foreach (Candidate candidate in _candidates)
                        if (candidate.Standing == Standing.Has)
                            sources.Add((candidate.Peer, candidate.Record));
                    break;
                case PlasmaStatus.Exists:
                    // Somebody of this machine makes it, or has just made it: its seal ends this fetch. If it is given up instead, the next look asks again.
                    ForgetCandidates();
                    _askAgainAtMs = Environment.TickCount64 + AskAgainMs / 4;
                    ended = _table.Store.Contains(Id);
                    break;
                default:
                    ended = true;
                    break;
            }
        }
        if (large is not null)
        {
            foreach ((Peer peer, ObjectRecord its) in sources)
                large.AddSource(peer, its);
            _table.OnTransferBegan(this, large);
            foreach ((Peer peer, ulong incarnation) in named)
                ConsiderSource(peer, incarnation);
            AskTheOthers();
        }
        if (deleted)
            StartOver(DeletedMeanwhile);
        ask?.Ask(this);
        if (!ended)
            return;
        if (status == PlasmaStatus.Exists)
            End(NodeAnswer.Fetched, null);
        else if (status == PlasmaStatus.TooLarge)
            End(NodeAnswer.TooLarge, $"{image.ImageBytes} bytes can never fit into store '{_table.Store.Name}'");
        else
            End(NodeAnswer.NoSpace, $"{image.ImageBytes} bytes had no room in store '{_table.Store.Name}' in time ({status})");
    }
}
