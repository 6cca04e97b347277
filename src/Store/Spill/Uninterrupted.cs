namespace FastPlasma.Spill;

/// <summary>Locks for what has to be done whatever happens to the thread.</summary>
internal static class Uninterrupted
{
    /// <summary>As <see cref="Monitor.Enter(object)"/>; a <see cref="Thread.Interrupt"/> meanwhile is kept for the thread's next wait.</summary>
    internal static void Enter(object gate) => Do(gate, static gate => Monitor.Enter(gate));

    /// <summary>As <see cref="ManualResetEventSlim.Set"/>, which takes a lock itself.</summary>
    internal static void Set(ManualResetEventSlim signal) => Do(signal, static signal => signal.Set());

    private static void Do<T>(T target, Action<T> action)
    {
        bool isInterrupted = false;
        while (true) // Ends with the lock: those who hold it do not wait.
        {
            try
            {
                action(target);
                break;
            }
            catch (ThreadInterruptedException)
            {
                isInterrupted = true;
            }
        }
        if (isInterrupted)
            Thread.CurrentThread.Interrupt();
    }
}
