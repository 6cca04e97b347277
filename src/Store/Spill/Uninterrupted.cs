namespace FastPlasma.Spill;

/// <summary>Locks for what has to be done whatever happens to the thread.</summary>
internal static class Uninterrupted
{
    /// <summary>As <see cref="Monitor.Enter(object)"/>; a <see cref="Thread.Interrupt"/> meanwhile is kept for the thread's next wait.</summary>
    internal static void Enter(object gate)
    {
        bool isInterrupted = false;
        while (true) // Ends with the lock: those who hold it do not wait.
        {
            try
            {
                Monitor.Enter(gate);
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
