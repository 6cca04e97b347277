namespace FastPlasma.Cli.Bench;

/// <summary>Objects of all sizes that come and go in a store that is nearly full; nothing is written into them.</summary>
/// <remarks>
/// 91 % of the objects asked for are 64 B to 16 KiB, 8 % up to 1 MiB and 1 % 8 to 16 MiB; the last are most of the bytes. Live payload is held at 90 % of capacity by deleting objects at random
/// before the next is created; an object that the store refuses is a failure and is given up, so that the store stays as full.
/// </remarks>
internal sealed class ObjectChurn(PlasmaStore store)
{
    /// <summary>The store's limit has to be this.</summary>
    internal const int ObjectCountMax = 1 << 18;

    private const long LargeBytesMin = 8L << 20;
    private readonly long _liveBytesMax = store.CapacityBytes / 10 * 9;
    private readonly (ulong Number, long Bytes)[] _objects = new (ulong, long)[ObjectCountMax];
    private ulong _numbers, _random = 1;
    private int _count;
    private long _next;

    internal bool IsFull { get; private set; }

    internal long LiveBytes { get; private set; }

    /// <summary>Live bytes in objects of <see cref="LargeBytesMin"/> and more.</summary>
    internal long LargeBytes { get; private set; }

    internal long Failures { get; private set; }

    internal long SmallestRefusedBytes { get; private set; }

    internal void ForgetFailures() => (Failures, SmallestRefusedBytes) = (0, 0);

    internal void Run(int operations)
    {
        for (int i = 0; i < operations; i++)
        {
            if (_next == 0)
                _next = NextBytes();
            if (_count == _objects.Length || LiveBytes + _next > _liveBytesMax)
            {
                IsFull = true;
                Delete();
                continue;
            }

            Create(_next);
            _next = 0;
        }
    }

    private void Create(long bytes)
    {
        PlasmaStatus status = store.TryCreate(BenchIds.Of(_numbers), bytes, out ObjectWriter writer);
        if (status == PlasmaStatus.Ok)
            status = writer.TrySeal();
        if (status == PlasmaStatus.StoreFull)
        {
            Failures++;
            SmallestRefusedBytes = SmallestRefusedBytes == 0 ? bytes : Math.Min(SmallestRefusedBytes, bytes);
            return;
        }

        if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"A create of {bytes:N0} bytes ended with {status}.");
        _objects[_count++] = (_numbers++, bytes);
        Count(bytes);
    }

    private void Count(long bytes)
    {
        LiveBytes += bytes;
        if (Math.Abs(bytes) >= LargeBytesMin)
            LargeBytes += bytes;
    }

    private void Delete()
    {
        int victim = (int)(Next() % (ulong)_count);
        var (number, bytes) = _objects[victim];
        _objects[victim] = _objects[--_count];
        Count(-bytes);
        PlasmaStatus status = store.Delete(BenchIds.Of(number));
        if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"A delete ended with {status}.");
    }

    private long NextBytes()
    {
        ulong kind = Next() % 100;
        return kind switch
        {
            < 91 => LogUniform(64, 16 << 10),
            < 99 => LogUniform(16 << 10, 1 << 20),
            _ => LargeBytesMin + (long)(Next() % (ulong)LargeBytesMin),
        };
    }

    private long LogUniform(long min, long max) => (long)(min * Math.Pow((double)max / min, (Next() >> 11) * (1.0 / (1UL << 53))));

    private ulong Next() => _random = BenchIds.Mix(_random);
}
