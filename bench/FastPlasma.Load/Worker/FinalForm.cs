using System.Runtime;

namespace FastPlasma.Load.Worker;

/// <summary>Runs code until the runtime has compiled its final form.</summary>
/// <remarks>
/// The runtime compiles hot code anew in the background, in two steps: it begins to count calls after 100 ms without new code. A busy machine takes longer, so the steps go on until one has passed in which
/// nothing was compiled.
/// </remarks>
internal static class FinalForm
{
    private const int StepsMin = 3, StepsMax = 25, RunMs = 30, PauseMs = 120;

    /// <param name="run">Runs the code for about so many milliseconds, at least once.</param>
    internal static void Reach(Action<int> run)
    {
        long compiled = -1;
        for (int step = 0; step < StepsMin || (step < StepsMax && JitInfo.GetCompiledMethodCount() != compiled); step++)
        {
            compiled = JitInfo.GetCompiledMethodCount();
            run(RunMs);
            Thread.Sleep(PauseMs);
        }
    }
}
