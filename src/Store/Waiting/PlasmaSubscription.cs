using FastPlasma.Waiting;

namespace FastPlasma;

/// <summary>A place in a store's event order. Bounded: a reader that falls behind by more than the ring's length loses the oldest and is told how many.</summary>
/// <remarks>One thread at a time. The first subscriber of a store makes every seal and delete announce itself from then on, some 5 ns each; further ones cost publishers nothing, and none makes them wait. Events of one id come in order when one operation ended before the next began.</remarks>
public sealed class PlasmaSubscription : IDisposable
{
    private readonly PlasmaStore _store;
    private EventCursor _cursor;
    private bool _disposed;

    internal PlasmaSubscription(PlasmaStore store)
    {
        _store = store;
        _cursor = store.NewCursor();
    }

    /// <summary>Events that were overwritten before they were read, or never finished because their process died or stood still.</summary>
    public long Lost => _cursor.Lost;

    /// <summary>Next event, if there is one now.</summary>
    public bool TryRead(out PlasmaEvent e)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _store.TryReadEvent(ref _cursor, out e, out _);
    }

    /// <summary>As <see cref="TryRead(out PlasmaEvent)"/>, with the incarnation that was sealed or removed.</summary>
    internal bool TryRead(out PlasmaEvent e, out ulong incarnation)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _store.TryReadEvent(ref _cursor, out e, out incarnation);
    }

    /// <summary>Next event, waiting for it; false when the time is over.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The store was closed.</exception>
    public bool Read(TimeSpan timeout, out PlasmaEvent e, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _store.ReadEvent(ref _cursor, new Deadline(timeout), out e, out _, cancellationToken);
    }

    /// <summary>As <see cref="Read(TimeSpan, out PlasmaEvent, CancellationToken)"/>, with the incarnation that was sealed or removed.</summary>
    internal bool Read(TimeSpan timeout, out PlasmaEvent e, out ulong incarnation, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _store.ReadEvent(ref _cursor, new Deadline(timeout), out e, out incarnation, cancellationToken);
    }

    /// <summary>Ends the subscription.</summary>
    public void Dispose() => _disposed = true;
}
