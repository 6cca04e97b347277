using System.Diagnostics;

namespace FastPlasma.Stress.Storms;

/// <summary>A store with resident objects, a ledger, and at most one other process; all of it gone afterwards.</summary>
internal sealed unsafe class Measurement : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly StormOptions _options;
    private Process? _other;

    internal Measurement(StormOptions options, StoreAccess access)
    {
        _options = options;
        using (PlasmaStore maker = PlasmaStore.Create(options.Store, new PlasmaOptions { CapacityBytes = 64 << 20, ObjectCountMax = 16_384 }))
        {
            byte[] payload = new byte[1_000];
            for (int i = 0; i < MeasuredChild.ResidentCount; i++)
                maker.Put(MeasuredChild.Resident(i), payload);
        }
        Ledger = Ledger.Create(options.Store);
        Store = PlasmaStore.Open(options.Store, new PlasmaOptions { Access = access });
    }

    internal PlasmaStore Store { get; }

    internal Ledger Ledger { get; }

    internal ProcessRecord* Record => Ledger.Process(0);

    internal int OtherId => _other!.Id;

    internal void Start(Func<StormOptions, Process> start)
    {
        *Record = default;
        _other = start(_options);
    }

    /// <summary>Kills the other process and returns when the kernel has ended it.</summary>
    internal void Kill()
    {
        _other!.Kill();
        if (!_other.WaitForExit(Patience))
            throw new TimeoutException($"Process {_other.Id} was killed and has not ended within {Patience.TotalSeconds} s.");
        _other.Dispose();
        _other = null;
    }

    internal void Await(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition()) // Ends with the condition or with the patience.
        {
            if (_other is { HasExited: true } || Stopwatch.GetElapsedTime(start) > Patience)
                throw new TimeoutException($"Not within {Patience.TotalSeconds} s, or the other process has ended: {what}.");
            Thread.Sleep(1); // The pace of looking.
        }
    }

    public void Dispose()
    {
        if (_other is not null)
            Kill();
        Store.Dispose();
        Ledger.Dispose();
        PlasmaStore.Destroy(_options.Store);
        File.Delete(Ledger.PathOf(_options.Store));
    }
}
