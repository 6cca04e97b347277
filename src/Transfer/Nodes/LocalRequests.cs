using FastPlasma.Nodes;
using FastPlasma.Transfer.Fetching;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>What processes of this machine ask the node for: their gets and waits that miss. A thread of its own takes the requests out of shared memory.</summary>
internal sealed class LocalRequests : IDisposable
{
    private readonly NodeRequests _requests;
    private readonly FetchTable _fetches;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<NodeRequestHandle, Waiter> _open = []; // Of the thread.

    /// <summary>Takes ownership of the requests.</summary>
    internal LocalRequests(NodeRequests requests, FetchTable fetches, ILogger logger)
    {
        (_requests, _fetches, _logger) = (requests, fetches, logger);
        _thread = new Thread(Run) { IsBackground = true, Name = "fastplasma requests" };
        _thread.Start();
    }

    /// <summary>One request of a process.</summary>
    private sealed class Waiter(LocalRequests owner, NodeRequest request) : IFetchWaiter
    {
        internal ObjectId Id => request.Id;

        internal bool IsOver { get; private set; }

        public void OnFetched(in ObjectId id, NodeAnswer answer, string? reason)
        {
            IsOver = true;
            if (request.IsKept)
                owner._requests.Answer(request.Handle, answer);
        }

        public void OnProgress(in ObjectId id, NodeAnswer state)
        {
            if (request.IsKept)
                owner._requests.Tell(request.Handle, state);
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _requests.Ring();
        _thread.Join();
        _requests.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        var requests = new List<NodeRequest>();
        var ended = new List<NodeRequestHandle>();
        while (!_stop.IsCancellationRequested) // Ends with the node.
        {
            try
            {
                requests.Clear();
                ended.Clear();
                _requests.Collect(requests, ended);
                foreach (NodeRequestHandle handle in ended)
                    if (_open.Remove(handle, out Waiter? waiter) && !waiter.IsOver)
                        _fetches.Leave(waiter.Id, waiter);
                foreach (NodeRequest request in requests)
                {
                    var waiter = new Waiter(this, request);
                    if (request.IsKept)
                        _open[request.Handle] = waiter;
                    ObjectId id = request.Id;
                    _fetches.Request(new ReadOnlySpan<ObjectId>(in id), waiter, PriorityOf(request.Priority), request.DeadlineTicks);
                }
                if (_open.Count > 1024)
                    foreach ((NodeRequestHandle handle, Waiter waiter) in _open)
                        if (waiter.IsOver)
                            _open.Remove(handle); // Allowed while a dictionary is walked.
                if (requests.Count == 0)
                    _requests.Wait(TimeSpan.FromMilliseconds(FetchTable.TickMs), _stop.Token);
            }
            catch (ObjectDisposedException)
            {
                return; // The store was closed under the node.
            }
#pragma warning disable CA1031 // The gets of all processes hang on this thread: it goes on.
            catch (Exception e)
#pragma warning restore CA1031
            {
                _logger.LogError(e, "Requests of this machine's processes cannot be read.");
                _stop.Token.WaitHandle.WaitOne(1000); // What is broken stays so; the gets of others time out and say that the request was not taken.
            }
        }
    }

    private static TransferPriority PriorityOf(NodePriority priority) => priority switch
    {
        NodePriority.Get => TransferPriority.Get,
        NodePriority.Wait => TransferPriority.Wait,
        _ => TransferPriority.Prefetch,
    };
}
