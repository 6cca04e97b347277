using System.Diagnostics;

namespace FastPlasma.Stress.Storms;

/// <summary>One process of a storm, from start to reaping, and what is to happen to it.</summary>
internal sealed unsafe class ChildProcess : IDisposable
{
    private readonly Ledger _ledger;
    private readonly Process _process;

    private ChildProcess(Ledger ledger, Process process, int place, int serial, Role role)
    {
        (_ledger, _process, Place, Serial, Role) = (ledger, process, place, serial, role);
        Record = ledger.Process(place);
        ContinuedAt = Stopwatch.GetTimestamp();
    }

    internal int Place { get; }

    /// <summary>Owner number in the ledger; no two processes of a storm have the same.</summary>
    internal int Serial { get; }

    internal Role Role { get; }

    internal int Id => _process.Id;

    internal ProcessRecord* Record { get; }

    /// <summary>Whether it has attached and worked.</summary>
    internal bool IsReady => Volatile.Read(ref Record->Operations) > 1;

    internal bool IsScheduled { get; set; }

    /// <summary>When its fate comes (Stopwatch ticks).</summary>
    internal long DueAt { get; set; } = long.MaxValue;

    internal bool IsStopped { get; private set; }

    /// <summary>Since when it has been able to run.</summary>
    internal long ContinuedAt { get; private set; }

    /// <summary>When it was killed; 0 before.</summary>
    internal long KilledAt { get; private set; }

    internal bool HasExited => _process.HasExited;

    internal int ExitCode => _process.ExitCode;

    internal static ChildProcess Start(Ledger ledger, StormOptions options, int place, int serial, Role role)
    {
        *ledger.Process(place) = default;
        var start = new ProcessStartInfo(options.Executable) { UseShellExecute = false };
        foreach (string argument in StormChild.ArgumentsFor(options.Store, place, serial, role, role == Role.Culprit ? options.Plant : PlantedFault.None, options.Seed))
            start.ArgumentList.Add(argument);
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        start.Environment["DOTNET_TieredPGO"] = "0";
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"'{options.Executable}' was not started.");
        return new ChildProcess(ledger, process, place, serial, role);
    }

    internal void Kill()
    {
        if (KilledAt == 0)
            KilledAt = Stopwatch.GetTimestamp();
        _process.Kill();
    }

    internal void Stop()
    {
        if (IsStopped || HasExited)
            return;
        IsStopped = true;
        Interlocked.Increment(ref Record->StopCount); // Before it stands still: what it measures meanwhile does not count.
        Native.Signal(Id, Native.SigStop);
        Interlocked.Increment(ref _ledger.Stopped);
    }

    internal void Continue()
    {
        if (!IsStopped)
            return;
        IsStopped = false;
        Interlocked.Decrement(ref _ledger.Stopped);
        if (HasExited)
            return;
        ContinuedAt = Stopwatch.GetTimestamp();
        Native.Signal(Id, Native.SigContinue);
        Interlocked.Increment(ref Record->StopCount);
    }

    internal bool WaitForExit(TimeSpan bound) => _process.WaitForExit(bound);

    public void Dispose()
    {
        if (IsStopped)
        {
            IsStopped = false;
            Interlocked.Decrement(ref _ledger.Stopped);
        }
        if (!HasExited)
        {
            Kill();
            _process.WaitForExit();
        }
        _process.Dispose();
    }
}
