using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Stress.Instructions;

/// <summary>Where a victim dies.</summary>
internal enum KillKind
{
    /// <summary>Before it executes one instruction for the nth time.</summary>
    Instruction,

    /// <summary>After n single steps, wherever that is.</summary>
    Step,

    /// <summary>After so many microseconds: mostly inside a system call, if the operation makes any.</summary>
    Time,
}

/// <summary>One death.</summary>
/// <param name="Kind">How its moment is chosen.</param>
/// <param name="Address">Of the instruction.</param>
/// <param name="Number">Hit, step or microseconds.</param>
internal readonly record struct Kill(KillKind Kind, long Address, long Number)
{
    /// <summary>Options that repeat exactly this death.</summary>
    internal string ToOptions(VictimCode code) => Kind switch
    {
        KillKind.Instruction => string.Create(CultureInfo.InvariantCulture, $"--at '{code.Describe(Address)}' --hit {Number}"),
        KillKind.Step => string.Create(CultureInfo.InvariantCulture, $"--step {Number}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"--after-us {Number}"),
    };
}

/// <summary>What an attack on one scenario found.</summary>
internal sealed class AttackResult
{
    internal int Kills;
    internal long Steps;
    internal TimeSpan Elapsed;
    internal readonly List<string> Failures = [];

    /// <summary>Instructions that some run reached.</summary>
    internal readonly HashSet<long> Reached = [];

    /// <summary>Instructions before which a victim died.</summary>
    internal readonly HashSet<long> Killed = [];

    /// <summary>Deaths that were planned and not died, because the operation went another way each time.</summary>
    internal readonly List<Kill> Missed = [];
}

/// <summary>Kills victims of one scenario at every instruction that it reaches, or at a sample.</summary>
internal sealed class Attack(VictimCode code, Plan plan, string storePrefix, int workers)
{
    private const int Discoveries = 3, StepsOfCountMax = 500_000, StepsOfKillMax = 30_000, VictimPatienceMs = 60_000, FailuresShown = 20;

    // When the survivor does its part of an operation that waits for it: which instructions the victim reaches depends on how far it has come by then. The first death in an instruction is tried with all, then with all of them while the victim is single-stepped; later passes with the first three.
    private static readonly int[] s_delaysMs = [5, 20, 80, 320, 1, 0, 2, 160, 40, 10, 320, 120];

    /// <summary>Part of the symbols to die in; null for all.</summary>
    internal string? Symbol { get; init; }

    /// <summary>How often a death at the first pass of an instruction is tried before it counts as missed; beyond the twelfth try the victim is single-stepped, which takes seconds.</summary>
    internal int Tries { get; init; } = TriesDefault;

    internal const int TriesDefault = 48;

    /// <summary>Those of a sample: none is single-stepped, because one death that cannot be died would cost more than all the others.</summary>
    internal static readonly int TriesOfSample = s_delaysMs.Length;

    /// <summary>No further deaths after so many failures.</summary>
    internal int FailuresMax { get; init; } = int.MaxValue;

    private readonly ConcurrentDictionary<int, (VictimProcess Victim, long Since)> _current = new();
    private readonly AttackResult _result = new();

    /// <summary>The whole attack.</summary>
    /// <param name="sample">How many deaths of each kind; 0 for every instruction.</param>
    /// <param name="seed">Of the sample and of the random moments.</param>
    /// <param name="progress">Told the part done, 0 to 1.</param>
    internal AttackResult Run(int sample, int seed, Action<double> progress)
    {
        long start = Stopwatch.GetTimestamp();
        var random = new Random(seed);
        List<Kill> kills = [];
        using var watchdog = new Timer(_ => KillTheStuck(), null, 1000, 1000);
        OnThreads(1, () => kills = Explore(sample, random));
        progress(0.1);

        var queue = new ConcurrentQueue<Kill>(kills);
        int worker = 0;
        OnThreads(workers, () =>
        {
            using var survivor = new Survivor(plan, code.Executable, $"{storePrefix}{plan.Name}-{Interlocked.Increment(ref worker)}");
            while (_result.Failures.Count < FailuresMax && queue.TryDequeue(out Kill kill))
            {
                RunKill(survivor, kill);
                progress(0.1 + 0.9 * (kills.Count - queue.Count) / kills.Count);
            }
            foreach (string problem in survivor.ExamineAtEnd())
                Report(null, problem);
        });
        _result.Elapsed = Stopwatch.GetElapsedTime(start);
        return _result;
    }

    /// <summary>One death, to look at it.</summary>
    internal AttackResult Repeat(Kill kill)
    {
        using var watchdog = new Timer(_ => KillTheStuck(), null, 1000, 1000);
        OnThreads(1, () =>
        {
            // Twice, because every second death is met by a creator of the same id instead of by maintenance.
            using var survivor = new Survivor(plan, code.Executable, $"{storePrefix}{plan.Name}-0");
            RunKill(survivor, kill);
            RunKill(survivor, kill);
        });
        return _result;
    }

    /// <summary>Which instructions the operation reaches, how often, and where to die.</summary>
    private List<Kill> Explore(int sample, Random random)
    {
        using var survivor = new Survivor(plan, code.Executable, $"{storePrefix}{plan.Name}-0");
        HashSet<long> reached = _result.Reached;
        long shortest = long.MaxValue;
        for (int round = 0; round < Discoveries; round++)
        {
            List<long> found = [];
            Complete(survivor, tracer => found = tracer.Discover(), delayMs: 5 << round);
            reached.UnionWith(found);
        }
        for (int round = 0; round < Discoveries; round++)
        {
            long took = 0;
            Complete(survivor, null, delayMs: 1, elapsed => took = elapsed);
            shortest = Math.Min(shortest, took);
        }
        Dictionary<long, int> counts = [];
        Complete(survivor, tracer => counts = tracer.Count(StepsOfCountMax, out _result.Steps), delayMs: 300);
        reached.UnionWith(counts.Keys);

        // Each pass or step before a death stops the victim, which takes a virtual machine long: a sample leaves late ones to whole runs.
        const int HitsOfSampleMax = 64, StepsOfSampleMax = 20_000;
        var kills = new List<Kill>();
        foreach (long address in reached.Order())
        {
            if (Symbol is not null && !code.Describe(address).Contains(Symbol, StringComparison.Ordinal))
                continue;
            int hits = counts.GetValueOrDefault(address, 1);
            foreach (int hit in new SortedSet<int> { 1, (hits + 1) / 2, hits })
                if (sample == 0 || hit <= HitsOfSampleMax)
                    kills.Add(new Kill(KillKind.Instruction, address, hit));
        }
        if (sample > 0 && kills.Count > sample)
        {
            Kill[] all = [.. kills];
            random.Shuffle(all);
            kills = [.. all.Take(sample)];
        }
        int others = sample > 0 ? Math.Max(1, sample / 10) : 25;
        for (int i = 0; i < others; i++)
        {
            // Logarithmic: early and late steps alike. An operation that ends before lets its victim live.
            kills.Add(new Kill(KillKind.Step, 0, (long)Math.Pow(sample > 0 ? StepsOfSampleMax : StepsOfKillMax, random.NextDouble())));
            kills.Add(new Kill(KillKind.Time, 0, random.NextInt64(0, shortest + 1)));
        }
        return kills;
    }

    /// <summary>A run to the end: nobody dies but by the end of its work, without detaching.</summary>
    private void Complete(Survivor survivor, Action<Tracer>? follow, int delayMs, Action<long>? elapsed = null)
    {
        Tracer? tracer = null;
        using VictimProcess victim = Watch(survivor.StartVictim([], v => tracer = follow is null ? null : new Tracer(v, code)));
        survivor.Accompany(delayMs);
        long start = Stopwatch.GetTimestamp();
        using (tracer)
        {
            if (tracer is null)
                victim.Go();
            else
                follow!(tracer);
        }
        victim.ReadRest();
        elapsed?.Invoke((long)Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        victim.Reap();
        List<string> problems = survivor.Examine();
        if (victim.WaitStatus != 0 || victim.Done is null)
            problems.Add($"the operation did not end well: wait status {victim.WaitStatus}.");
        foreach (string problem in problems)
            Report(null, problem);
    }

    private void RunKill(Survivor survivor, Kill kill)
    {
        int hit = (int)kill.Number;
        int attempts = kill is { Kind: KillKind.Instruction, Number: 1 } ? Tries : Math.Min(3, Tries);
        for (int attempt = 0; attempt < attempts; attempt++)
        {
            if (attempt > 0)
                survivor.Discard(); // What is only done once in the life of a store needs a new one.
            Tracer? tracer = null;
            using VictimProcess victim = Watch(survivor.StartVictim([], v => tracer = kill.Kind == KillKind.Time ? null : new Tracer(v, code)));
            survivor.Accompany(s_delaysMs[attempt % s_delaysMs.Length]);
            bool reached;
            int hits = 0;
            using (tracer)
                reached = kill.Kind switch
                {
                    KillKind.Instruction when attempt >= s_delaysMs.Length => tracer!.KillStepping(kill.Address, StepsOfCountMax),
                    KillKind.Instruction => tracer!.KillAt(kill.Address, hit, out hits),
                    KillKind.Step => tracer!.KillAfter(kill.Number),
                    _ => KillLater(victim, kill.Number),
                };
            victim.Reap();
            List<string> problems = survivor.Examine();
            if (!reached && victim.WaitStatus != 0)
                problems.Add($"the operation did not end well: wait status {victim.WaitStatus}.");
            foreach (string problem in problems)
                Report(kill, problem);
            if (reached)
            {
                lock (_result)
                {
                    _result.Kills++;
                    if (kill.Kind == KillKind.Instruction)
                        _result.Killed.Add(kill.Address);
                }
                return;
            }
            if (hits > 0)
                hit = hits; // How often a loop runs depends on what was before: then the last pass of this run.
            if (problems.Count > 0 || kill.Kind != KillKind.Instruction)
                return;
        }
        lock (_result)
            _result.Missed.Add(kill);
    }

    private static bool KillLater(VictimProcess victim, long microseconds)
    {
        long start = Stopwatch.GetTimestamp();
        victim.Go();
        while (Stopwatch.GetElapsedTime(start).TotalMicroseconds < microseconds)
            Thread.SpinWait(10);
        victim.Signal();
        victim.Reap();
        return true;
    }

    private VictimProcess Watch(VictimProcess victim)
    {
        _current[Environment.CurrentManagedThreadId] = (victim, Stopwatch.GetTimestamp());
        return victim;
    }

    /// <summary>A victim that hangs is a failure, not a hang of the attack: its operation "did not end well".</summary>
    private void KillTheStuck()
    {
        foreach ((VictimProcess victim, long since) in _current.Values)
            if (victim.WaitStatus is null && Stopwatch.GetElapsedTime(since).TotalMilliseconds > VictimPatienceMs)
                victim.Signal();
    }

    private void Report(Kill? kill, string problem)
    {
        lock (_result)
        {
            string repeat = kill is Kill k ? $" {k.ToOptions(code)}" : "";
            if (_result.Failures.Count < FailuresShown)
                _result.Failures.Add($"{plan.Name}{repeat}: {problem}\n    repeat: FastPlasma.Stress instructions --scenario {plan.Name}{repeat}");
            else
                _result.Failures.Add("");
        }
    }

    /// <summary>Threads of their own: ptrace and wait belong to the thread that started the victim.</summary>
    internal static void OnThreads(int count, Action body)
    {
        var errors = new ConcurrentQueue<Exception>();
        var threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            threads[i] = new Thread(() =>
            {
                try
                {
                    body();
                }
#pragma warning disable CA1031 // Thrown again below.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    errors.Enqueue(e);
                }
            });
            threads[i].Start();
        }
        foreach (Thread thread in threads)
            thread.Join();
        if (!errors.IsEmpty)
            throw new AggregateException(errors);
    }
}
