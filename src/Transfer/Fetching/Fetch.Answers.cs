using System.Diagnostics;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <content>What peers answer: that they have it, do not, or its bytes.</content>
internal sealed unsafe partial class Fetch
{
    AskRecord IAskTarget.ToRecord(Peer peer)
    {
        lock (_lock)
        {
            long leftMs = LeftMs(Stopwatch.GetTimestamp());
            bool bytes = false;
            foreach (Candidate candidate in _candidates)
                bytes |= candidate.Peer == peer && candidate.Bytes;
            return new AskRecord
            {
                Id = Id,
                Flags = (bytes ? 0 : AskRecord.NoBytes) | (leftMs > 0 ? AskRecord.TellMe : 0),
                TellMs = (uint)Math.Clamp(leftMs, 0, FetchTable.TellMsMax),
            };
        }
    }

    void IAskTarget.OnAnswer(Peer peer, in ObjectRecord record)
    {
        Peer? ask = null;
        LargeTransfer? large = null;
        bool create = false;
        string? startOver = null;
        lock (_lock)
        {
            if (_done)
                return;
            ref Candidate candidate = ref CandidateOf(peer);
            if (record.Answer == ObjectAnswer.Noted && candidate.Standing == Standing.Has)
                return; // The notice that it has appeared overtook the answer that it would be told.
            bool has = record.Answer is (ObjectAnswer.Complete or ObjectAnswer.Partial or ObjectAnswer.Later) && IsUsable(record);
            candidate.Bytes = false;
            if (!has)
            {
                candidate.Standing = Standing.Absent;
                if (record.Answer == ObjectAnswer.Deleted)
                    _problem = $"{peer.Endpoint} says that it was deleted";
                else if (_table.KnowsLocations)
                    _table.Correct(Id, peer, record.Incarnation);
                if (_chosen == peer)
                    _chosen = null;
                ask = NextAfterFailure();
                if (_large is not null && _sourcelessSinceMs != 0 && !_candidates.Exists(static other => other.Standing is Standing.Asked or Standing.Has or Standing.Failed))
                    startOver = $"no node has incarnation {_large.Image.Incarnation:x} any more";
            }
            else
            {
                candidate.Standing = Standing.Has;
                candidate.Record = record;
                if (_large is { } its)
                {
                    if (its.Image.Incarnation == record.Incarnation)
                    {
                        large = its;
                        _sourcelessSinceMs = 0;
                    }
                    else if (_sourcelessSinceMs != 0)
                    {
                        startOver = $"{peer.Endpoint} has another incarnation";
                    }
                }
                else if (!IsUnderWay && (_chosen is null || _chosen == peer || !IsAskedForBytes))
                {
                    _chosen = peer;
                    if (record.Answer == ObjectAnswer.Later || (record.Answer == ObjectAnswer.Complete && ReplicaImage.Of(record).ImageBytes <= Limits.InlineBytesMax))
                    {
                        ask = AskAgain(ref candidate);
                    }
                    else
                    {
                        DropWriter(); // Of a small one that was there before.
                        create = _creating = true;
                    }
                }
            }
        }
        large?.AddSource(peer, record);
        if (startOver is not null)
            StartOver(startOver);
        ask?.Ask(this);
        if (create)
            _table.Admit(this);
    }

    byte* IAskTarget.BeginInline(Peer peer, in ObjectRecord record, long imageBytes)
    {
        bool wait = false;
        string? failure = null;
        Peer? ask = null;
        lock (_lock)
        {
            if (_done)
                return null;
            ref Candidate candidate = ref CandidateOf(peer);
            candidate.Record = record;
            candidate.Bytes = false;
            if (!IsUsable(record))
            {
                candidate.Standing = Standing.Absent;
                if (_chosen == peer)
                    _chosen = null;
                ask = NextAfterFailure();
            }
            else
            {
                candidate.Standing = Standing.Has;
                if (IsUnderWay)
                    return null; // Asked again if what is under way fails.
                _chosen = peer;
                ObjectImage image = ReplicaImage.Of(record);
                if (_hasWriter && _writerImage != image)
                    DropWriter(); // Not this very image: its block may have another size.
                if (!_hasWriter)
                {
                    PlasmaStatus status = PlasmaStatus.Closed;
                    try
                    {
                        status = _table.Store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out _writer);
                    }
                    catch (Exception e) when (e is ArgumentException or PlasmaException or ObjectDisposedException or InvalidOperationException)
                    {
                        failure = e.Message;
                    }
                    (_hasWriter, _writerImage) = (status == PlasmaStatus.Ok, image);
                    wait = _creating = !_hasWriter && failure is null;
                }
                if (_hasWriter)
                {
                    _receivingInline = true;
                    return _writer.ImageAddress;
                }
            }
        }
        ask?.Ask(this);
        if (wait)
            _table.Admit(this); // Waits for memory, or finds out why there is none, on a thread that may.
        if (failure is not null)
            End(NodeAnswer.NoSpace, failure);
        return null;
    }

    void IAskTarget.EndInline(Peer peer, in ObjectRecord record, ReceiveEnd end)
    {
        Peer? ask = null;
        bool seal = false, damaged = false, deleted = false;
        lock (_lock)
        {
            _receivingInline = false;
            if (_done)
            {
                DropWriter(); // Who ended it left that to this thread, which was writing.
                return;
            }
            ref Candidate candidate = ref CandidateOf(peer);
            deleted = !IsUsable(record);
            if (end == ReceiveEnd.Good)
            {
                seal = !deleted;
            }
            else
            {
                candidate.Standing = Standing.Failed;
                if (_chosen == peer)
                    _chosen = null;
                _problem = end == ReceiveEnd.Damaged ? $"what {peer.Endpoint} sent was damaged on the way" : $"{peer.Endpoint}: the connection broke";
                damaged = end == ReceiveEnd.Damaged && ++_damaged >= DamagedMax;
                if (!damaged && !deleted)
                    ask = NextAfterFailure() ?? (end == ReceiveEnd.Damaged ? AskAgain(ref candidate) : null);
                if (ask is null)
                    _askAgainAtMs = Environment.TickCount64 + AskAgainMs / 4;
            }
        }
        if (deleted)
            StartOver(DeletedMeanwhile);
        else if (seal)
            Seal(record.Incarnation);
        else if (damaged)
            End(NodeAnswer.Damaged, _problem);
        ask?.Ask(this);
    }

    void IAskTarget.OnAskFailed(Peer peer, string reason)
    {
        Peer? ask;
        lock (_lock)
        {
            if (_done)
                return;
            ref Candidate candidate = ref CandidateOf(peer);
            candidate.Bytes = false;
            if (candidate.Standing == Standing.Asked)
                candidate.Standing = Standing.Failed;
            if (_chosen == peer)
                _chosen = null;
            _problem = $"{peer.Endpoint}: {reason}";
            ask = NextAfterFailure();
        }
        ask?.Ask(this);
    }
}
