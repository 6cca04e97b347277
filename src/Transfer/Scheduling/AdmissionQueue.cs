namespace FastPlasma.Transfer.Scheduling;

/// <summary>How many large objects are received at a time, and who is next: the most urgent, then about the oldest. Guarded by its user.</summary>
/// <remarks>Not exactly the oldest: nodes that all want the same objects in the same order would fall upon one sender after the other. Among some times as many as are received at once the order is chance, so nobody waits for ever.</remarks>
internal sealed class AdmissionQueue<T>(int admittedMax, Random random)
    where T : class
{
    private const int MixedOver = 4;

    private readonly PriorityQueue<T, (int, long)> _waiting = new();
    private readonly HashSet<T> _admitted = [];
    private long _arrivals;

    internal int WaitingCount => _waiting.Count;

    internal void Add(T one, int priority) => _waiting.Enqueue(one, (priority, _arrivals++ + random.Next(MixedOver * admittedMax)));

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
