using System.Collections.Concurrent;
using FastPlasma.Allocator;
using FastPlasma.Native;

namespace FastPlasma.Spill;

/// <summary>What one read or write needs for itself: page-aligned memory and the allocators' hints. Lent from a pool, because the threads that spill change.</summary>
internal sealed unsafe class SpillBuffers
{
    /// <summary>Memory for what cannot be read or written where it lies.</summary>
    internal const int BounceBytes = 1 << 20;

    private const nuint AllBytes = 2 * SpillRecord.AlignmentBytes + BounceBytes;

    private SpillBuffers(int directoryCount)
    {
        Header = (byte*)ForkMark.MapWiped(AllBytes);
        Caches = new BlockCache[directoryCount];
        for (int i = 0; i < directoryCount; i++)
            Caches[i] = new BlockCache();
    }

    /// <summary>A page.</summary>
    internal byte* Header { get; }

    /// <summary>Another page.</summary>
    internal byte* Tail => Header + SpillRecord.AlignmentBytes;

    /// <summary><see cref="BounceBytes"/> bytes from a page on.</summary>
    internal byte* Bounce => Header + 2 * SpillRecord.AlignmentBytes;

    /// <summary>Hints for each directory's allocator.</summary>
    internal BlockCache[] Caches { get; }

    internal sealed class Pool(int directoryCount) : IDisposable
    {
        private readonly ConcurrentBag<SpillBuffers> _idle = [];

        internal SpillBuffers Rent() => _idle.TryTake(out SpillBuffers? buffers) ? buffers : new SpillBuffers(directoryCount);

        internal void Return(SpillBuffers buffers) => _idle.Add(buffers);

        /// <summary>Frees what is in the pool; nobody may be reading or writing.</summary>
        public void Dispose()
        {
            while (_idle.TryTake(out SpillBuffers? buffers)) // Ends with the pool.
                ForkMark.Unmap(buffers.Header, AllBytes);
        }
    }
}
