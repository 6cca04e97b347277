namespace FastPlasma.Tests;

/// <summary>Managed bytes that repeated calls allocate.</summary>
internal static class AllocatedPerRound
{
    private const int Rounds = 8, CallsPerRound = 500;

    /// <summary>Least of some rounds. The runtime itself allocates now and then on the calling thread while it replaces code by a faster form; what a call allocates is in every round.</summary>
    internal static long Least(Action call)
    {
        long least = long.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < CallsPerRound; i++)
                call();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
