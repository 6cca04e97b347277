using System.Runtime.InteropServices;

namespace FastPlasma.Cli.Bench;

/// <summary>The ceiling of single-threaded operations: one atomic increment of a word that nobody else touches.</summary>
internal sealed class UncontendedIncrement
{
    internal const string Name = "one uncontended Interlocked.Increment";
    private Padded _word;

    internal void Run(int operations)
    {
        ref long value = ref _word.Value;
        for (int i = 0; i < operations; i++)
            Interlocked.Increment(ref value);
    }

    [StructLayout(LayoutKind.Explicit, Size = 192)]
    private struct Padded
    {
        [FieldOffset(64)] internal long Value;
    }
}
