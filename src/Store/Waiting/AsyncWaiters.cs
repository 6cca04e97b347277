using FastPlasma.Files;
using FastPlasma.Nodes;

namespace FastPlasma.Waiting;

/// <summary>Completes asynchronous gets: one thread per store follows the event ring for all of them, and only while there are any.</summary>
internal sealed class AsyncWaiters(PlasmaStore store)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, List<Ticket>> _waiting = [];
    private Thread? _thread;
    private bool _running;

    /// <summary>One asynchronous wait; disposing it takes it out.</summary>
    internal sealed class Ticket(AsyncWaiters owner, ObjectId id, Deadline deadline) : IDisposable
    {
        private NodeAsk _ask; // Under the owner's lock.

        private readonly TaskCompletionSource _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal Task Signalled => _source.Task;

        internal void Signal() => _source.TrySetResult();

        internal void Fail(Exception error) => _source.TrySetException(error);

        /// <summary>Set by who got the object: then the node service need not be told that the wait is over.</summary>
        internal bool IsFound { get; set; }

        /// <summary>What the node service has said (NodeReason).</summary>
        internal int Reason => owner.WithStore(this, static (ticket, box) => ticket._ask.Reason(box));

        /// <summary>Asks the node service, if there is one; again and again by the owner's thread.</summary>
        internal void Ask() => owner.WithStore(this, static (ticket, box) =>
        {
            ticket.Look(box);
            return 0;
        });

        internal void Look(NodeMailbox box) => _ask.Look(box, id, deadline, NodePriority.Get);

        internal void End(NodeMailbox box) => _ask.End(box, IsFound);

        public void Dispose() => owner.Remove(id, this);
    }

    /// <summary>Registers a wait; the caller looks for the object after this.</summary>
    internal Ticket Add(ObjectId id, Deadline deadline)
    {
        var ticket = new Ticket(this, id, deadline);
        lock (_lock)
        {
            if (!_running)
            {
                var thread = new Thread(Follow) { IsBackground = true, Name = "fastplasma-wait" };
                thread.Start(); // The first thing: the system may refuse it. What it looks at waits for this lock.
                _thread = thread;
                _running = true;
            }
            if (!_waiting.TryGetValue(id, out List<Ticket>? list))
                _waiting[id] = list = [];
            list.Add(ticket);
        }
        return ticket;
    }

    /// <summary>Waits for the thread, if there is one, to notice that the store is closed.</summary>
    internal void Join(int timeoutMs)
    {
        Thread? thread;
        lock (_lock)
            thread = _thread;
        thread?.Join(timeoutMs);
    }

    private void Remove(ObjectId id, Ticket ticket)
    {
        lock (_lock)
        {
            if (_waiting.TryGetValue(id, out List<Ticket>? list) && list.Remove(ticket) && list.Count == 0)
                _waiting.Remove(id);
        }
        WithStore(ticket, static (ended, box) =>
        {
            ended.End(box);
            return 0;
        });
    }

    /// <summary>Something with a ticket's request, unless the store is closed: then its memory may be gone, and with it the request.</summary>
    private int WithStore(Ticket ticket, Func<Ticket, NodeMailbox, int> action)
    {
        if (!store.TryBeginSlowCall())
            return NodeReason.Unknown;
        try
        {
            lock (_lock)
                return action(ticket, store.Mailbox);
        }
        finally
        {
            store.EndSlowCall();
        }
    }

    private void Follow()
    {
        try
        {
            store.FollowSeals(Signal, SignalPresent);
        }
        catch (Exception e)
        {
            FailAll(e); // The callers throw it: broken shared state, a closed store, a refusal of the system.
        }
    }

    /// <summary>One sealed id. False when nobody waits any more and the thread may end.</summary>
    private bool Signal(ObjectId id)
    {
        lock (_lock)
        {
            if (_waiting.TryGetValue(id, out List<Ticket>? list))
                list.ForEach(static t => t.Signal());
            return true;
        }
    }

    /// <summary>After lost events, and once per slice: everybody whose object is there. False when nobody waits any more: the thread ends.</summary>
    private bool SignalPresent(Func<ObjectId, bool> isPresent)
    {
        lock (_lock)
        {
            foreach ((ObjectId id, List<Ticket> list) in _waiting)
                if (isPresent(id))
                    list.ForEach(static t => t.Signal());
                else
                    list.ForEach(t => t.Look(store.Mailbox));
            _running = _waiting.Count > 0;
            return _running;
        }
    }

    private void FailAll(Exception error)
    {
        lock (_lock)
        {
            _running = false;
            foreach (List<Ticket> list in _waiting.Values)
                list.ForEach(t => t.Fail(error));
        }
    }
}
