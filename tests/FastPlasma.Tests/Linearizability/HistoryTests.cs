using System.Diagnostics;

namespace FastPlasma.Tests.Linearizability;

/// <summary>Histories of several processes that fight over few ids have an order: docs/concurrency.md, section 9.</summary>
/// <remarks>FASTPLASMA_TEST_SECONDS makes them longer, FASTPLASMA_TEST_SEED repeats the choice of calls (not the interleaving).</remarks>
public sealed class HistoryTests(ITestOutputHelper output) : StoreTest
{
    private const int Ids = 3;

    // Few records and buckets, so that calls on different ids meet in them too.
    // Room enough that no put of these processes is refused while others are backing chunks at that moment, which the store may say (docs/concurrency.md, section 9) and the checker does not take for an answer.
    private static readonly PlasmaOptions s_options = new() { CapacityBytes = 64 << 20, ObjectCountMax = 32 };

    private readonly Dictionary<(CallKind, PlasmaStatus), int> _answers = [];

    [Theory]
    [InlineData(2, 2, 4)]
    [InlineData(3, 2, 4)]
    [InlineData(1, 4, 2)]
    public void Calls_take_effect_one_after_the_other_each_between_its_beginning_and_its_end(int processes, int threads, double seconds)
    {
        const int CallsPerThread = 200;
        PlasmaStore store = Named(out string name, s_options);
        using var team = new Team(this, name, processes, threads, CallsPerThread);
        long start = Stopwatch.GetTimestamp();
        int round = 0;
        for (; Stopwatch.GetElapsedTime(start) < LongRun.Of(seconds); round++)
        {
            RunRound(team, store, round, Recorder.Honest);
            Check(team, Context(round));
        }
        Tell(round);

        // The answers that only a fight gives.
        foreach ((CallKind, PlasmaStatus) answer in new[]
        {
            (CallKind.Create, PlasmaStatus.Ok), (CallKind.Create, PlasmaStatus.Exists), (CallKind.Put, PlasmaStatus.Ok), (CallKind.Seal, PlasmaStatus.Ok), (CallKind.Seal, PlasmaStatus.Closed),
            (CallKind.Abort, PlasmaStatus.Ok), (CallKind.Abort, PlasmaStatus.AlreadySealed), (CallKind.Get, PlasmaStatus.Ok), (CallKind.Delete, PlasmaStatus.Ok), (CallKind.Delete, PlasmaStatus.NotSealed),
        })
            Assert.True(_answers.GetValueOrDefault(answer) > round, $"{answer}: {_answers.GetValueOrDefault(answer)} times in {round} rounds");
        Assert.Equal((0, 0), (store.Stats().CreatingCount, store.Stats().SealedCount));
    }

    [Theory]
    [InlineData(Recorder.StaleGets)]
    [InlineData(Recorder.LostSeals)]
    public void A_store_that_cheats_is_found_out(string cheat)
    {
        PlasmaStore store = Named(out string name, s_options);
        using var team = new Team(this, name, 2, 2, 200);
        int refused = 0;
        for (int round = 0; round < 3; round++)
        {
            RunRound(team, store, round, cheat);
            refused += team.Histories().Count(static h => LinearizabilityChecker.Check(h) is not null);
        }
        Assert.True(refused > 0, "Control: no history of a cheating store was refused.");
    }

    [Fact]
    public void What_a_killed_process_did_has_an_order_too_and_what_it_was_creating_becomes_free()
    {
        const int Threads = 3, CallsPerThread = 1500, RoundsMin = 5, RoundsMax = 50;
        PlasmaStore store = Named(out string name, s_options);
        var random = new Random(LongRun.Seed);
        using var team = new Team(this, name, 3, Threads, CallsPerThread);
        long start = Stopwatch.GetTimestamp();
        int round = 0, pending = 0;
        for (; round < RoundsMin || Stopwatch.GetElapsedTime(start) < LongRun.Of(4) || (pending == 0 && round < RoundsMax); round++)
        {
            team.Begin(round, Recorder.Honest, firstDiesAt: random.Next(20, CallsPerThread / 2));
            team.JoinOthers();
            Check(team, Context(round));
            pending += team.ReplaceFirst();
            store.Maintain();
            CleanUp(store, round);
        }
        Tell(round);
        output.WriteLine($"{pending} calls were in progress at a death.");
        Assert.True(pending > 0, "Control: nobody was killed in a call.");
    }

    private string Context(int round) => $"Round {round}, seed {LongRun.Seed} (FASTPLASMA_TEST_SEED repeats the calls).";

    private void Tell(int rounds) => output.WriteLine($"{rounds} rounds, seed {LongRun.Seed}: {string.Join(", ", _answers.OrderBy(static a => a.Key).Select(static a => $"{a.Key.Item1} {a.Key.Item2} {a.Value}"))}");

    private static void RunRound(Team team, PlasmaStore store, int round, string cheat)
    {
        team.Begin(round, cheat);
        team.Join();
        CleanUp(store, round);
    }

    private static void CleanUp(PlasmaStore store, int round)
    {
        for (int id = 0; id < Ids; id++)
        {
            PlasmaStatus left = store.Delete(Recorder.Plan.IdOf(round, id));
            Assert.True(left is PlasmaStatus.Ok or PlasmaStatus.NotFound, $"{left} after the end");
        }
    }

    private void Check(Team team, string context)
    {
        foreach (List<HistoryCall> history in team.Histories())
        {
            foreach (HistoryCall call in history)
                if (!call.IsPending)
                    _answers[(call.Kind, call.Status)] = _answers.GetValueOrDefault((call.Kind, call.Status)) + 1;
            LinearizabilityChecker.Require(history, context);
        }
    }

    /// <summary>Workers that make and record calls at the same time.</summary>
    private sealed class Team(HistoryTests test, string store, int processes, int threads, int callsPerThread) : IDisposable
    {
        private readonly Recording[] _members = [.. Enumerable.Range(0, processes).Select(p => new Recording(test, store, p, threads, callsPerThread))];
        private int _processes = processes;

        internal void Begin(int round, string cheat, int firstDiesAt = -1)
        {
            long at = Stopwatch.GetTimestamp() + Stopwatch.Frequency / 200; // Time for all to get there; who comes later begins at once.
            Array.ForEach(_members, m => m.Begin(round, at, m == _members[0] ? firstDiesAt : -1, cheat));
        }

        internal void Join() => Array.ForEach(_members, static m => m.Join());

        /// <summary>As <see cref="Join"/> in a round in which the first dies.</summary>
        internal void JoinOthers()
        {
            _members[0].AwaitDeath();
            Array.ForEach(_members[1..], static m => m.Join());
        }

        /// <summary>A new process for the killed one. Returns how many calls were in progress at its death.</summary>
        internal int ReplaceFirst()
        {
            int pending = _members[0].PendingCount;
            _members[0].Dispose();
            _members[0] = new Recording(test, store, _processes++, threads, callsPerThread);
            return pending;
        }

        internal IEnumerable<List<HistoryCall>> Histories() => Enumerable.Range(0, Ids).Select(id => _members.SelectMany(m => m.HistoryOf(id)).ToList());

        public void Dispose() => Array.ForEach(_members, static m => m.Dispose());
    }

    /// <summary>A worker process and what it records.</summary>
    private sealed class Recording : IDisposable
    {
        private readonly WorkerProcess _worker;
        private readonly RecordFile _file;
        private readonly string _path;
        private readonly int _process, _threads, _callsPerThread;
        private long _killedAt, _deadAt;

        internal Recording(HistoryTests test, string store, int process, int threads, int callsPerThread)
        {
            (_process, _threads, _callsPerThread) = (process, threads, callsPerThread);
            _path = Path.Combine(test.NewFolder(), "calls");
            _worker = test.StartWorker(store);
            _file = new RecordFile(_path, PlanOf(0, 0, -1, Recorder.Honest).RecordCount);
        }

        internal int PendingCount => Recorded().Count(static c => c.Returned == 0);

        internal void Begin(int round, long at, int dieAt, string cheat)
        {
            _file.Calls.Clear();
            _worker.Send($"record {_path} {PlanOf(round, at, dieAt, cheat)}");
        }

        private Recorder.Plan PlanOf(int round, long at, int dieAt, string cheat) => new(round, unchecked(LongRun.Seed + round), _process, _threads, _callsPerThread, Ids, at, dieAt, cheat);

        internal void Join() => Assert.Equal("", _worker.Receive());

        /// <summary>The process kills itself after the last answer to its first thread.</summary>
        internal void AwaitDeath()
        {
            _worker.AwaitExit();
            _deadAt = Stopwatch.GetTimestamp();
            _killedAt = Recorded().Where(static c => c.Thread == 0).Max(static c => c.Returned);
        }

        internal IEnumerable<HistoryCall> HistoryOf(int id)
        {
            foreach (RecordedCall call in Recorded())
                if (call.Id == id)
                    yield return HistoryCall.Of(call, _deadAt);
            if (_killedAt != 0)
                yield return HistoryCall.Recovery(_process, _killedAt);
        }

        public void Dispose()
        {
            _worker.Dispose();
            _file.Dispose();
        }

        private RecordedCall[] Recorded() => [.. _file.Calls.ToArray().Where(static c => c.Invoked != 0)];
    }
}
