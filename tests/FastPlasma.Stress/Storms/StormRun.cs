using System.Diagnostics;
using FastPlasma.Format;

namespace FastPlasma.Stress.Storms;

/// <summary>The parent of a storm: starts processes, kills and stops them, takes part as a survivor, and judges at quiet points.</summary>
internal sealed unsafe class StormRun : IDisposable
{
    /// <summary>Less than all keys together would need, so that memory is short most of the time.</summary>
    internal const long CapacityBytes = 12 << 20;

    /// <summary>With spilling: a fraction of what all objects need, and room for the largest one.</summary>
    internal const long SpillCapacityBytes = 6 << 20;

    private const int KilledExitCode = 128 + Native.SigKill;

    private const int ObjectCountMax = 4096, LongStopMs = StormChild.BoundMs + 1_500, StopMsMin = 300, StopMsMax = 2_000;

    /// <summary>Bound of what has no operation: start, end, recovery of a dead process, reaching a quiet point.</summary>
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    /// <summary>Time for the recovery of everything when nobody disturbs it.</summary>
    private static readonly TimeSpan SweepBound = TimeSpan.FromSeconds(3);

    /// <summary>Roles by place, again and again.</summary>
    private static readonly Role[] Roles =
        [Role.Writer, Role.Reader, Role.Deleter, Role.Recoverer, Role.Waiter, Role.Hoarder, Role.Writer, Role.Recoverer, Role.Reader, Role.Writer, Role.Waiter, Role.Deleter];

    private readonly StormOptions _options;
    private readonly Ledger _ledger;
    private readonly PlasmaStore _store;
    private readonly StormJudge _judge;
    private readonly Random _random;
    private readonly ChildProcess?[] _children;
    private readonly List<Dead> _unrecovered = [];
    private int _serials;
    private bool _longStop;

    /// <summary>A participant whose process was killed, until nothing is left of it.</summary>
    private readonly record struct Dead(int Place, ulong AttachCount, long KilledAt, Operation In);

    internal StormRun(StormOptions options)
    {
        if (options.Processes is < 1 or > Ledger.ProcessCountMax)
            throw new ArgumentOutOfRangeException(nameof(options), options.Processes, $"1 to {Ledger.ProcessCountMax} processes.");
        _options = options;
        _random = new Random(options.Seed);
        _children = new ChildProcess?[options.Processes];
        _store = PlasmaStore.Create(options.Store, new PlasmaOptions
        {
            CapacityBytes = options.SpillFolder is null ? CapacityBytes : SpillCapacityBytes,
            ObjectCountMax = ObjectCountMax,
            EventCapacity = 256,
            SpillDirectories = options.SpillFolder is null ? [] : [options.SpillFolder],
        });
        try
        {
            _ledger = Ledger.Create(options.Store);
        }
        catch
        {
            _store.Dispose();
            PlasmaStore.Destroy(options.Store);
            throw;
        }
        _judge = new StormJudge(_store, _ledger, options.Seed, Figures);
    }

    internal StormFigures Figures { get; } = new();

    /// <summary>Whether somebody has asked for the end.</summary>
    internal bool IsCancelled { get; set; }

    /// <summary>The storm, on the calling thread, whose end would be the children's (they are bound to it by the kernel).</summary>
    internal StormFigures Run()
    {
        long start = Stopwatch.GetTimestamp(), quietAt = start;
        while (!IsOver()) // Ends with the time or the number of kills.
        {
            for (int place = 0; place < _children.Length; place++)
                Advance(place);
            Settle();
            if (!_longStop && Stopwatch.GetElapsedTime(quietAt) > _options.QuietPeriod)
            {
                BeQuiet(killAll: Figures.QuietPoints % 2 == 1);
                quietAt = Stopwatch.GetTimestamp();
            }
            Thread.Sleep(1); // The pace of looking; fates are due at random times anyway.
            Figures.Elapsed = Stopwatch.GetElapsedTime(start);
        }
        if (_options.Plant == PlantedFault.None || Figures.IsSound)
        {
            BeQuiet(killAll: false);
            BeQuiet(killAll: true);
            _judge.RunEmpty();
        }
        Figures.Elapsed = Stopwatch.GetElapsedTime(start);
        Figures.WorkMs = [.. _ledger.Samples().Select(static us => us / 1000)];
        return Figures;
    }

    private bool IsOver() => IsCancelled || (_options.Plant != PlantedFault.None && !Figures.IsSound) || Figures.Elapsed >= _options.Time || (_options.Kills > 0 && Figures.Kills >= _options.Kills);

    // ---- one process -------------------------------------------------------------------------------------------------------

    private void Advance(int place)
    {
        ChildProcess? child = _children[place];
        if (child is null)
        {
            bool culprit = _options.Plant != PlantedFault.None && place == 0;
            child = _children[place] = ChildProcess.Start(_ledger, _options, place, ++_serials, culprit ? Role.Culprit : Roles[place % Roles.Length]);
            if (!culprit && _random.Next(10) == 0)
                Schedule(child, _random.Next(20)); // While it starts and attaches.
            return;
        }
        if (child.HasExited)
        {
            Bury(child);
            return;
        }
        Watch(child);
        if (child.KilledAt != 0)
            return; // Its end is on the way.
        if (!child.IsScheduled && child.Role != Role.Culprit && child.IsReady)
            Schedule(child, -Math.Log(1 - _random.NextDouble()) * _options.MeanLife.TotalMilliseconds * (_random.Next(16) == 0 ? 20 : 1)); // Some live long.
        if (Stopwatch.GetTimestamp() >= child.DueAt)
            Meet(child);
    }

    private static void Schedule(ChildProcess child, double afterMs)
    {
        child.IsScheduled = true;
        child.DueAt = Stopwatch.GetTimestamp() + (long)(afterMs * Stopwatch.Frequency / 1000);
    }

    /// <summary>The fate of a process is due.</summary>
    private void Meet(ChildProcess child)
    {
        if (child.IsStopped)
        {
            _longStop = false;
            if (_random.Next(3) == 0)
            {
                Kill(child); // Out of the stop.
                return;
            }
            child.Continue();
            child.IsScheduled = false;
            child.DueAt = long.MaxValue;
            return;
        }
        switch (_random.Next(16))
        {
            case < 3:
                _longStop = _random.Next(40) == 0;
                child.Stop();
                Figures.Stops++;
                Schedule(child, _longStop ? LongStopMs : _random.Next(StopMsMin, StopMsMax));
                break;
            case < 6:
                // Two at once: with another one, or with whoever recovers the first.
                Figures.Pairs++;
                ChildProcess? other = _children[_random.Next(_children.Length)];
                Kill(child);
                if (other is { Role: not Role.Culprit, HasExited: false, KilledAt: 0 })
                    Kill(other);
                break;
            default:
                Kill(child);
                if (_unrecovered.Count > 0 && (child.Role == Role.Hoarder || _random.Next(3) == 0))
                    KillRecovererOf(_unrecovered[^1], child);
                break;
        }
    }

    private void Kill(ChildProcess child)
    {
        if (child.KilledAt != 0)
            return;
        int before = _unrecovered.Count;
        long now = Stopwatch.GetTimestamp();
        var operation = (Operation)child.Record->Operation;
        for (int k = 0; k < _store.Participants.High; k++)
        {
            ParticipantBlock* block = _store.Participants.Block(k);
            if (Volatile.Read(ref block->Attached) != 0 && block->ProcessId == child.Id)
                _unrecovered.Add(new Dead(k, block->AttachCount, now, Volatile.Read(ref child.Record->OperationStart) != 0 ? operation : Operation.None));
        }
        Figures.Attachments += _unrecovered.Count - before;
        child.Kill();
        Figures.Kills++;
    }

    /// <summary>Waits a moment until somebody holds the token of the dead: it is being recovered. Then its recoverers die, too.</summary>
    private void KillRecovererOf(Dead dead, ChildProcess child)
    {
        if (!child.WaitForExit(TimeSpan.FromMilliseconds(50)))
            return;
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(4))
        {
            if (HasGone(dead))
                return;
            if (!_store.Participants.IsAlive(dead.Place))
                continue;
            foreach (ChildProcess? other in _children)
            {
                if (other is null or { Role: Role.Culprit } || other == child || other.KilledAt != 0 || other.HasExited || Volatile.Read(ref other.Record->OperationStart) == 0)
                    continue;
                if ((Operation)other.Record->Operation is not (Operation.Maintain or Operation.Attach))
                    continue;
                Kill(other);
            }
            if (!HasGone(dead))
                Figures.RecovererKills++;
            return;
        }
    }

    /// <summary>A process has ended: what it said, what it was doing.</summary>
    private void Bury(ChildProcess child)
    {
        ProcessRecord* record = child.Record;
        Figures.Operations += record->Operations;
        Figures.Gets += record->Gets;
        Figures.StallTicks = Math.Max(Figures.StallTicks, record->StallTicks);
        bool told = HearFaults(child);
        if (child.ExitCode != KilledExitCode && !told)
            Figures.AddStuck($"{child.Role} ended by itself with exit code {child.ExitCode} in {(Operation)record->Operation}");
        _ledger.Disown(child.Serial);
        _children[child.Place] = null;
        child.Dispose();
    }

    private bool HearFaults(ChildProcess child)
    {
        ProcessRecord* record = child.Record;
        int count = Interlocked.Exchange(ref record->FaultCount, 0);
        if (count == 0)
            return false;
        if (record->FaultKind == (int)FaultKind.Lost)
            Figures.AddLost(Ledger.TextOf(record));
        else
            Figures.AddStuck(Ledger.TextOf(record));
        Figures.Lost += record->FaultKind == (int)FaultKind.Lost ? count - 1 : 0;
        return true;
    }

    private void Watch(ChildProcess child)
    {
        HearFaults(child);
        if (child.KilledAt != 0)
        {
            if (Stopwatch.GetElapsedTime(child.KilledAt) > Bound)
                throw new InvalidOperationException($"Process {child.Id} ({child.Role}) was killed {Bound.TotalSeconds} s ago and has not ended.");
            return;
        }
        if (child.IsStopped)
            return;
        TimeSpan inOperation = Ledger.InOperation(child.Record, child.ContinuedAt), bound = TimeSpan.FromMilliseconds(child.Record->OperationBoundMs);
        if (inOperation > bound)
        {
            Figures.AddStuck($"{child.Role} (process {child.Id}) has been in {(Operation)child.Record->Operation} for {inOperation.TotalSeconds:0.0} s; {bound.TotalSeconds:0.0} s are allowed. {WhereIs(child.Id)}");
            Kill(child);
        }
        else if (!child.IsReady && Stopwatch.GetElapsedTime(child.ContinuedAt) > Bound)
        {
            Figures.AddStuck($"{child.Role} (process {child.Id}) did not begin to work within {Bound.TotalSeconds} s. {WhereIs(child.Id)}");
            Kill(child);
        }
    }

    /// <summary>What the kernel says about the threads of a process.</summary>
    private static string WhereIs(int process)
    {
        try
        {
            return string.Join("; ", Directory.EnumerateDirectories($"/proc/{process}/task")
                .Select(static task => $"{File.ReadAllText(Path.Combine(task, "stat")).Split(") ")[1][0]} {File.ReadAllText(Path.Combine(task, "wchan"))}"));
        }
        catch (IOException)
        {
            return "It has ended meanwhile.";
        }
    }

    // ---- recoveries --------------------------------------------------------------------------------------------------------

    /// <summary>Which of the dead have been recovered since the last look.</summary>
    private void Settle()
    {
        for (int i = _unrecovered.Count - 1; i >= 0; i--)
        {
            Dead dead = _unrecovered[i];
            TimeSpan age = Stopwatch.GetElapsedTime(dead.KilledAt);
            if (HasGone(dead))
            {
                if (dead.In == Operation.Detach)
                {
                    Figures.Detaching++; // It may have gone by itself.
                }
                else
                {
                    Figures.Recoveries++;
                    Figures.RecoveryMs.Add(age.TotalMilliseconds);
                }
            }
            else if (age > Bound)
            {
                Figures.AddStuck($"participant {dead.Place}, killed in {dead.In}, is not recovered after {age.TotalSeconds:0.0} s");
            }
            else
            {
                continue;
            }
            _unrecovered.RemoveAt(i);
        }
    }

    private bool HasGone(Dead dead)
    {
        ParticipantBlock* block = _store.Participants.Block(dead.Place);
        return Volatile.Read(ref block->Attached) == 0 || Volatile.Read(ref block->AttachCount) != dead.AttachCount;
    }

    // ---- quiet points ------------------------------------------------------------------------------------------------------

    /// <summary>Everybody stands still, holding nothing, or is dead; the dead are recovered; the store is judged; those who live go on.</summary>
    private void BeQuiet(bool killAll)
    {
        foreach (ChildProcess? child in _children)
            child?.Continue();
        _longStop = false;
        int pause = ++_ledger.Pause;
        if (killAll)
            foreach (ChildProcess? child in _children)
                if (child is { KilledAt: 0, HasExited: false })
                    Kill(child);
        foreach (ChildProcess? child in _children)
            if (child is not null)
                AwaitQuiet(child, pause);

        long start = Stopwatch.GetTimestamp();
        do
        {
            _store.Maintain();
            Settle();
        }
        while ((_unrecovered.Count > 0 || !IsSwept()) && Stopwatch.GetElapsedTime(start) < SweepBound); // What is left after that is judged.
        _judge.Run();
        Figures.QuietPoints++;
        Volatile.Write(ref _ledger.Pause, pause + 1);
    }

    private void AwaitQuiet(ChildProcess child, int pause)
    {
        long start = Stopwatch.GetTimestamp();
        while (!child.HasExited && Volatile.Read(ref child.Record->Quiet) != pause) // Ends with the child or with the bound.
        {
            Watch(child);
            if (Stopwatch.GetElapsedTime(start) > Bound && child.KilledAt == 0)
            {
                Figures.AddStuck($"{child.Role} (process {child.Id}) did not come to rest, in {(Operation)child.Record->Operation}. {WhereIs(child.Id)}");
                Kill(child);
            }
            Thread.Sleep(1);
        }
        if (child.HasExited)
            Bury(child);
        else
            child.IsScheduled = false;
    }

    /// <summary>Whether nothing is condemned or unfinished, and no dead participant is left whose process the kernel had not shown yet.</summary>
    private bool IsSwept()
    {
        StoreStats stats = _store.Stats();
        return stats.CondemnedCount == 0 && stats.CreatingCount == 0 && stats.Participants.All(static p => p.Alive) && _judge.IsAtRest();
    }

    public void Dispose()
    {
        foreach (ChildProcess? child in _children)
            child?.Dispose();
        _store.Dispose();
        _ledger.Dispose();
        PlasmaStore.Destroy(_options.Store);
        File.Delete(Ledger.PathOf(_options.Store));
    }
}
