namespace FastPlasma.Simulation;

/// <summary>Virtual time on one thread: what is due happens in the order of its time, and of its making where times are the same. The same seed gives the same run.</summary>
internal sealed class Simulator(int seed)
{
    internal const long Ms = 1_000_000;

    private readonly PriorityQueue<Action, (long, long)> _due = new();
    private long _made;

    internal Random Random { get; } = new(seed);

    /// <summary>In nanoseconds.</summary>
    internal long Now { get; private set; }

    internal long NowMs => Now / Ms;

    internal long EventCount { get; private set; }

    internal void After(long ns, Action action) => _due.Enqueue(action, (Now + ns, _made++));

    /// <summary>Runs until nothing is due, the time is over, or <paramref name="isOver"/> says so.</summary>
    internal void Run(long untilNs, Func<bool> isOver)
    {
        while (!isOver() && _due.TryDequeue(out Action? action, out (long At, long) when)) // Ends: as above.
        {
            if (when.At > untilNs)
                return;
            Now = when.At;
            EventCount++;
            action();
        }
    }
}
