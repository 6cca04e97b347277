namespace FastPlasma.Transfer.Scheduling;

/// <summary>How many large objects are received at a time, and who is next: the most urgent, then the oldest. Guarded by its user.</summary>
internal sealed class AdmissionQueue<T>(int admittedMax)
    where T : class
{
    private readonly PriorityQueue<T, (int, long)> _waiting = new();
    private readonly HashSet<T> _admitted = [];
    private long _arrivals;

    internal int WaitingCount => _waiting.Count;

    internal void Add(T one, int priority) => _waiting.Enqueue(one, (priority, _arrivals++));

    /// <summary>Who may begin now; asked until it says no, after each <see cref="Add"/> and <see cref="Remove"/>.</summary>
    internal bool TryAdmit([System.Diagnostics.CodeAnalysis.MaybeNullWhen(false)] out T next)
    {
        next = null;
        if (_admitted.Count >= admittedMax || !_waiting.TryDequeue(out next, out _))
            return false;
        _admitted.Add(next);
        return true;
    }

    /// <summary>It has ended. One that was never admitted does no harm.</summary>
    internal void Remove(T one) => _admitted.Remove(one);
}
