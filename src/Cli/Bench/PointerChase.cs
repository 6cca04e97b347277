using System.Runtime.InteropServices;

namespace FastPlasma.Cli.Bench;

/// <summary>Dependent loads that miss the caches: one cycle in random order through all lines of a large array.</summary>
internal sealed unsafe class PointerChase : IDisposable
{
    private const int LineBytes = 64;
    private readonly byte* _memory;
    private uint _at;

    internal PointerChase(long bytes)
    {
        uint lines = (uint)(bytes / LineBytes);
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);

        // Sattolo's shuffle gives a single cycle, so the walk cannot end up in a short loop that fits a cache.
        uint[] next = new uint[lines];
        for (uint i = 0; i < lines; i++)
            next[i] = i;
        ulong random = 1;
        for (uint i = lines - 1; i > 0; i--)
        {
            random = BenchIds.Mix(random);
            uint j = (uint)(random % i);
            (next[i], next[j]) = (next[j], next[i]);
        }

        for (uint i = 0; i < lines; i++)
            *(uint*)(_memory + ((long)i * LineBytes)) = next[i];
    }

    internal void Run(int steps)
    {
        uint at = _at;
        for (int i = 0; i < steps; i++)
            at = *(uint*)(_memory + ((long)at * LineBytes));
        _at = at;
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);
}
