namespace FastPlasma.Copying;

/// <summary>One large copy, cut into parts that the caller and some threads of the pool take in turn.</summary>
/// <remarks>
/// One core does not fill the memory bus of most machines. The caller takes parts too, so a pool that has no thread free costs nothing but the company; it waits only for parts that another thread has begun.
/// A helper that comes late finds no part left and touches neither region. Each part ends with the fence of the non-temporal loop, then with a full one, so all bytes precede what the caller does next.
/// </remarks>
internal sealed unsafe class ParallelCopy : IThreadPoolWorkItem
{
    /// <summary>Below this, waking another thread takes about as long as it saves.</summary>
    internal const nuint BytesMin = 16 << 20;

    /// <summary>More threads than this fill the bus of no machine that we know.</summary>
    internal const int ThreadCountMax = 64;

    private const nuint PartBytes = 1 << 20;
    private const int SpinsBeforeYield = 20;

    private static volatile bool s_poolRefuses;

    private readonly byte* _destination;
    private readonly byte* _source;
    private readonly nuint _bytes;
    private readonly int _partCount;
    private int _taken;
    private int _done;

    private ParallelCopy(byte* destination, byte* source, nuint bytes)
    {
        _destination = destination;
        _source = source;
        _bytes = bytes;
        _partCount = (int)(bytes / PartBytes); // The last part has the rest as well.
    }

    /// <summary>Whether the pool was refused a thread. It counts that thread as one that works, for good: what is queued from then on may never be run.</summary>
    internal static bool PoolRefuses
    {
        get => s_poolRefuses;
        set => s_poolRefuses = value;
    }

    /// <summary>How many threads copy when nobody says: half of the processors or two, whichever is more, but four at most and no more than there are.</summary>
    internal static int DefaultThreadCount { get; } = Math.Min(Environment.ProcessorCount, Math.Clamp(Environment.ProcessorCount / 2, 2, 4));

    /// <summary>What an option of 0 (the default) or more threads means.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is negative or too large.</exception>
    internal static int ThreadCountOf(int option) => option is >= 0 and <= ThreadCountMax
        ? (option == 0 ? DefaultThreadCount : option)
        : throw new ArgumentOutOfRangeException(nameof(option), option, $"CopyThreads is {option}; it can be 0 (choose) to {ThreadCountMax}.");

    /// <summary>Copies <paramref name="bytes"/> bytes, at least <see cref="BytesMin"/>, as <see cref="CopyEngine.Copy(byte*, byte*, nuint)"/> does. Allocates one small object.</summary>
    /// <remarks>Throws nothing: it runs between the creation of an object and its seal, and the regions must stay until no helper copies any more.</remarks>
    internal static void Copy(byte* destination, byte* source, nuint bytes, int threadCount)
    {
        ParallelCopy? copy = null;
        try
        {
            copy = new ParallelCopy(destination, source, bytes);
            for (int helper = 1; helper < threadCount && !s_poolRefuses; helper++)
                ThreadPool.UnsafeQueueUserWorkItem(copy, preferLocal: false);
        }
        catch (Exception)
        {
            // No memory, or no thread to be had (the pool starts one on the caller): we copy alone, and do not ask again. Helpers that were asked already take parts or find none left.
            s_poolRefuses = true;
        }
        if (copy is null)
        {
            CopyEngine.Copy(destination, source, bytes);
            return;
        }
        copy.CopyParts();

        // Ends: every part is with a thread that copies it, some 50 µs unless the system stops that thread. Nothing here may be interrupted, which a sleep could be.
        for (int look = 0; Volatile.Read(ref copy._done) < copy._partCount; look++)
        {
            if (look < SpinsBeforeYield)
                Thread.SpinWait(32);
            else
                Thread.Yield();
        }
    }

    void IThreadPoolWorkItem.Execute() => CopyParts();

    private void CopyParts()
    {
        int part;
        while ((part = Interlocked.Increment(ref _taken) - 1) < _partCount)
        {
            // SAFETY: parts lie side by side inside the caller's regions, which stay until all are done; each is taken once.
            nuint offset = (nuint)part * PartBytes;
            CopyEngine.CopyNonTemporal(_destination + offset, _source + offset, part == _partCount - 1 ? _bytes - offset : PartBytes);
            Interlocked.Increment(ref _done);
        }
    }
}
