using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Waiting;

namespace FastPlasma.Nodes;

/// <summary>The node service's side of the mailbox: what processes of this machine want and is not in the store. At most one exists per store, by a life token.</summary>
/// <remarks>
/// One thread collects and waits; any thread answers. A loop is: <see cref="Collect"/>, work, <see cref="Wait"/>. What was asked after the last Collect ends the Wait at once.
/// Nothing is lost when a service dies: the next one collects what was asked, and what the dead one had taken; requesters of the rest ask again.
/// </remarks>
internal sealed unsafe class NodeRequests : IDisposable
{
    /// <summary>New requests that one Collect takes from one domain of readers: they can make as many as they like.</summary>
    private const int ForeignMax = 256;

    private readonly PlasmaStore _store;
    private readonly LifeTokens _token;
    private readonly NodeServiceWord _self;
    private readonly ulong* _doorbell;
    private readonly Lock _lock = new();
    private readonly Dictionary<(int Domain, int Participant, int Record), Tracked> _tracked = [];
    private readonly ForeignRequests _foreign = new();
    private uint _sequence;
    private int _round;
    private int _disposed;

    /// <summary>A request whose end is to be noticed, or, from a domain that cannot be written, one that was collected before.</summary>
    private record struct Tracked(uint Sequence, bool IsKept, bool IsAnswered, int Round);

    private NodeRequests(PlasmaStore store, LifeTokens token, NodeServiceWord self)
    {
        (_store, _token, _self) = (store, token, self);
        _doorbell = store.Memory.Wait(WaitWord.DoorbellIndex);
    }

    /// <summary>Becomes the store's node service; null when there is one, and then its process id (0 when it is not known).</summary>
    /// <exception cref="InvalidOperationException">The store is open for reading only.</exception>
    internal static NodeRequests? TryOpen(PlasmaStore store, out int otherProcessId)
    {
        otherProcessId = 0;
        store.RequireWriter();
        store.BeginSlowCall();
        LifeTokens? token = null;
        try
        {
            token = store.Participants.OpenTokens();
            ref ulong word = ref store.Memory.Header->NodeService;
            if (!token.TryAcquire(SpecialTokens.NodeService))
            {
                int other = new NodeServiceWord(Volatile.Read(ref word)).Participant;
                otherProcessId = other >= 0 && other < store.Participants.High ? store.Participants.Block(other)->ProcessId : 0;
                token.Dispose();
                return null;
            }
            // CRASH node-token: the token falls; the word may still name an older one, which was dead already.
            FailPoint.Pass("node-token");
            NodeServiceWord old, self;
            do // Ends: besides us only recoverers of older services change the word, once each.
            {
                old = new NodeServiceWord(Volatile.Read(ref word));
                self = new NodeServiceWord(old.Generation + 1, store.Participants.Index);
            }
            while (Interlocked.CompareExchange(ref word, self.Value, old.Value) != old.Value); // PUBLISH node service. OBSERVE in NodeMailbox.Service.
            // CRASH node-named: the word names a dead participant; its recoverer clears it, or the next service overwrites it.
            FailPoint.Pass("node-named");
            return new NodeRequests(store, token, self);
        }
        catch
        {
            token?.Dispose();
            throw;
        }
        finally
        {
            store.EndSlowCall();
        }
    }

    /// <summary>Which service of the store this is, counted from 1.</summary>
    internal ulong Generation => _self.Generation;

    /// <summary>Takes all requests that are new to this service, and names those that it collected before and that are over: withdrawn, found otherwise, or their process is gone. Ends of requests that are not kept, or were answered, are not named.</summary>
    /// <returns>How many were added to <paramref name="requests"/>.</returns>
    internal int Collect(List<NodeRequest> requests, List<NodeRequestHandle> ended)
    {
        _store.BeginSlowCall();
        try
        {
            lock (_lock)
            {
                int before = requests.Count;
                _round++;
                _sequence = _store.Waits.Announce(_doorbell); // PUBLISH flag, before the look. OBSERVE in NodeMailbox.Ring, after the request.
                int high = _store.Participants.High;
                for (int k = 0; k < high; k++)
                {
                    ParticipantBlock* block = _store.Participants.Block(k);
                    if (Volatile.Read(ref block->Attached) == 0)
                        continue;
                    for (int r = 0; r < ParticipantBlock.RequestCount; r++)
                        CollectOwn(k, r, ParticipantTable.Requests(block) + r, requests, ended);
                }
                for (int d = 1; d < _store.Scan.DomainCount; d++)
                    CollectForeign(d, requests, ended);
                foreach (((int d, int k, int r) key, Tracked tracked) in _tracked)
                {
                    if (tracked.Round == _round)
                        continue;
                    _tracked.Remove(key); // Allowed while a dictionary is walked.
                    AddEnded(key, tracked, ended);
                }
                return requests.Count - before;
            }
        }
        finally
        {
            _store.EndSlowCall();
        }
    }

    /// <summary>The last word on a request: what a requester that waits in vain says in its message. The object's seal wakes it, this does not. May come from any thread, and again.</summary>
    /// <returns>Whether anybody can read it.</returns>
    internal bool Answer(in NodeRequestHandle request, NodeAnswer answer) => Say(request, answer, isLast: true);

    /// <summary>As <see cref="Answer"/>, but the service goes on trying: what the message says if the deadline passes now.</summary>
    internal bool Tell(in NodeRequestHandle request, NodeAnswer answer) => Say(request, answer, isLast: false);

    /// <summary>Sleeps until somebody asks or withdraws, somebody rings, or the time is over; a slice (100 ms) at most. Returns early now and then.</summary>
    internal void Wait(TimeSpan timeout, CancellationToken cancellationToken)
    {
        _store.BeginSlowCall();
        try
        {
            WaitWords.Sleep(_doorbell, _sequence, new Deadline(timeout).SliceMs(WaitWords.SliceMs), cancellationToken);
        }
        finally
        {
            _store.EndSlowCall();
        }
    }

    /// <summary>Ends a <see cref="Wait"/> from another thread, or the next one before it begins.</summary>
    internal void Ring()
    {
        if (!_store.TryBeginSlowCall())
            return;
        try
        {
            _store.Mailbox.Ring();
        }
        finally
        {
            _store.EndSlowCall();
        }
    }

    /// <summary>Ends the service: requesters no longer ask, and another one may begin.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        if (_store.TryBeginSlowCall())
        {
            Interlocked.CompareExchange(ref _store.Memory.Header->NodeService, _self.WithNobody.Value, _self.Value);
            _store.EndSlowCall();
        }
        // CRASH node-left: the word names nobody, and the token falls.
        FailPoint.Pass("node-left");
        _token.Dispose();
    }

    private void CollectOwn(int participant, int index, NodeRecord* record, List<NodeRequest> requests, List<NodeRequestHandle> ended)
    {
        var word = new NodeRecordWord(Volatile.Read(ref record->Word)); // OBSERVE asked: the fields are read after it.
        (int, int, int) key = (0, participant, index);
        if (word.Priority == (int)NodePriority.Restore)
            return; // For the writers' spillers.
        bool isNew = word.State == NodeRecordState.Asked
            || (word.State == NodeRecordState.Taken && word.IsKept && word.Service != _self.Mark); // By a service that is gone. What was not kept may serve another request by now; its requester asks again.
        if (!isNew)
        {
            if (word.State != NodeRecordState.Free && _tracked.TryGetValue(key, out Tracked tracked) && tracked.Sequence == word.Sequence)
                _tracked[key] = tracked with { Round = _round };
            return;
        }
        long deadline = record->Deadline;
        ObjectId id = record->Id;

        // The requester writes the fields only in Free, and no word comes twice: if the word is still the same, they belong to it.
        if (Interlocked.CompareExchange(ref record->Word, word.With(NodeRecordState.Taken, _self.Mark, 0).Value, word.Value) != word.Value)
            return; // Withdrawn or replaced at this moment; whoever asked anew rings.
        // CRASH node-taken: taken by a dead service; the next one takes it over, or the requester asks again.
        FailPoint.Pass("node-taken");
        if (word.IsKept)
            Track(key, word, ended);
        requests.Add(Make(key, word, id, deadline));
    }

    private void CollectForeign(int domain, List<NodeRequest> requests, List<NodeRequestHandle> ended)
    {
        int added = 0;
        foreach (ForeignRequest request in _foreign.Read(_store.Scan.ForeignPins(domain), ofDisk: false))
        {
            var word = new NodeRecordWord(request.Record.Word);
            (int, int, int) key = (domain, request.Participant, request.Index);
            if (_tracked.TryGetValue(key, out Tracked tracked) && tracked.Sequence == word.Sequence)
            {
                _tracked[key] = tracked with { Round = _round };
                continue;
            }
            if (added == ForeignMax || !request.IsWhole)
                continue; // Next time.
            added++;
            Track(key, word, ended);
            requests.Add(Make(key, word, request.Record.Id, request.Record.Deadline));
        }
    }

    private static NodeRequest Make((int Domain, int Participant, int Record) key, NodeRecordWord word, in ObjectId id, long deadline) => new(
        new NodeRequestHandle(key.Domain, key.Participant, key.Record, word.Sequence), id, deadline, (NodePriority)Math.Min(word.Priority, (int)NodePriority.Get), word.IsKept);

    private void Track((int, int, int) key, NodeRecordWord word, List<NodeRequestHandle> ended)
    {
        if (_tracked.TryGetValue(key, out Tracked older) && older.Sequence != word.Sequence)
            AddEnded(key, older, ended);
        _tracked[key] = new Tracked(word.Sequence, word.IsKept, IsAnswered: false, _round);
    }

    private static void AddEnded((int Domain, int Participant, int Record) key, Tracked tracked, List<NodeRequestHandle> ended)
    {
        if (tracked.IsKept && !tracked.IsAnswered)
            ended.Add(new NodeRequestHandle(key.Domain, key.Participant, key.Record, tracked.Sequence));
    }

    private bool Say(in NodeRequestHandle request, NodeAnswer answer, bool isLast)
    {
        (int, int, int) key = (request.Domain, request.Participant, request.Record);
        if (isLast)
            lock (_lock)
                if (_tracked.TryGetValue(key, out Tracked tracked) && tracked.Sequence == request.Sequence)
                    _tracked[key] = tracked with { IsAnswered = true };
        if (request.Domain != 0 || !_store.TryBeginSlowCall())
            return false;
        try
        {
            ref ulong place = ref ParticipantTable.Requests(_store.Participants.Block(request.Participant))[request.Record].Word;
            while (true) // Ends: with the exchange, or with the request.
            {
                var word = new NodeRecordWord(Volatile.Read(ref place));
                if (word.Sequence != request.Sequence || !word.IsKept || word.Service != _self.Mark || word.State is not (NodeRecordState.Taken or NodeRecordState.Answered))
                    return false;
                NodeRecordWord said = word.With(isLast ? NodeRecordState.Answered : NodeRecordState.Taken, _self.Mark, (byte)answer);
                if (Interlocked.CompareExchange(ref place, said.Value, word.Value) == word.Value)
                    return true;
            }
        }
        finally
        {
            _store.EndSlowCall();
        }
    }
}
