using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>What happens in the node's store, told in order by a thread of its own.</summary>
internal sealed class StoreEvents : IDisposable
{
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
        try
        {
            while (true) // Ends with the node or the store.
            {
                if (_subscription.Read(TimeSpan.FromSeconds(1), out PlasmaEvent e, out ulong incarnation, _stop.Token))
                    _onEvent(e, incarnation);
                if (_subscription.Lost == lost)
                    continue;
                lost = _subscription.Lost;
                _onLost();
            }
        }
        catch (OperationCanceledException)
        {
            Drain();
        }
        catch (ObjectDisposedException)
        {
            _logger.LogDebug("The store was closed under the node.");
        }
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
