using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>What happens in the node's store, told in order by a thread of its own.</summary>
internal sealed class StoreEvents : IDisposable
{
    private const int CollectMs = 1;
    private const int DrainMax = 1 << 20; // More than the ring holds; processes that go on cannot hold up the end.

    private readonly PlasmaSubscription _subscription;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private readonly ILogger _logger;
    private readonly Action<PlasmaEvent, ulong> _onEvent;
    private readonly Action _onLost;

    /// <summary>Follows from now on.</summary>
    /// <param name="store">Whose events.</param>
    /// <param name="onEvent">An event and its incarnation.</param>
    /// <param name="onLost">Events were lost: everything has to be looked at.</param>
    /// <param name="logger">Told of failures.</param>
    internal StoreEvents(PlasmaStore store, Action<PlasmaEvent, ulong> onEvent, Action onLost, ILogger logger)
    {
        (_onEvent, _onLost, _logger) = (onEvent, onLost, logger);
        _subscription = store.Subscribe();
        _thread = new Thread(Run) { IsBackground = true, Name = "fastplasma events" };
    }

    internal void Start() => _thread.Start();

    public void Dispose()
    {
        _stop.Cancel();
        if (_thread.ThreadState != ThreadState.Unstarted)
            _thread.Join();
        _subscription.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        long lost = 0;
        while (!_stop.IsCancellationRequested) // Ends with the node or the store.
        {
            try
            {
                if (_subscription.Read(TimeSpan.FromSeconds(1), out PlasmaEvent e, out ulong incarnation, _stop.Token))
                {
                    _onEvent(e, incarnation);
                    while (_subscription.TryRead(out e, out incarnation)) // Ends: the ring is bounded, and who laps it costs a look at everything.
                        _onEvent(e, incarnation);
                    // The first event after a pause is handled at once, those that follow it within this time together: else every seal of a busy store would wake this thread.
                    Thread.Sleep(CollectMs);
                }
                if (_subscription.Lost == lost)
                    continue;
                lost = _subscription.Lost;
                _onLost();
            }
            catch (OperationCanceledException)
            {
                // The node is being stopped: the loop ends.
            }
            catch (ObjectDisposedException)
            {
                _logger.LogDebug("The store was closed under the node.");
                return;
            }
#pragma warning disable CA1031 // One event cannot be told; the next ones can.
            catch (Exception e)
#pragma warning restore CA1031
            {
                _logger.LogError(e, "An event of the store could not be told to other nodes.");
                _stop.Token.WaitHandle.WaitOne(10);
            }
        }
        Drain();
    }

    /// <summary>The node is being stopped: what has happened until now is told, or a delete would be forgotten.</summary>
    private void Drain()
    {
        try
        {
            for (int i = 0; i < DrainMax && _subscription.Read(TimeSpan.Zero, out PlasmaEvent e, out ulong incarnation, CancellationToken.None); i++)
                _onEvent(e, incarnation);
        }
        catch (ObjectDisposedException)
        {
            _logger.LogDebug("The store was closed under the node.");
        }
    }
}
