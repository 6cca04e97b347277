using System.Text;

namespace FastPlasma.Tests.Linearizability;

/// <summary>Whether a history of one id has an order: a moment for each step of each call, between its invocation and its return, such that the steps one after the other are what the model allows.</summary>
/// <remarks>
/// Ids are independent, so each is looked at alone (a history is linearizable exactly when its parts by object are: Herlihy and Wing 1990). The search follows the time line and keeps all states that
/// are possible, each with the steps that have happened of the calls in progress; steps happen only when a return needs them (just-in-time linearization: Lowe, "Testing for linearizability", 2017).
/// A configuration is kept once, which is the memoization of Wing and Gong's search. Calls in progress are at most one per thread, so a configuration is small.
/// </remarks>
internal static class LinearizabilityChecker
{
    private const int BitsPerCall = 2, ActiveMax = 64 / BitsPerCall;

    /// <summary>A state and, by place of the calls in progress, how many of their steps have happened.</summary>
    private readonly record struct Configuration(IdState State, ulong Steps)
    {
        internal int StepsOf(int place) => (int)(Steps >> (place * BitsPerCall)) & ((1 << BitsPerCall) - 1);

        internal Configuration After(int place, IdState state) => new(state, Steps + (1ul << (place * BitsPerCall)));

        internal Configuration Without(int place) => this with { Steps = Steps & ~(((1ul << BitsPerCall) - 1) << (place * BitsPerCall)) };
    }

    /// <summary>Null, or the call whose answer has no explanation, and what is known just before.</summary>
    internal sealed record Failure(HistoryCall Call, IReadOnlyList<IdState> StatesBefore);

    /// <summary>Looks for an order.</summary>
    internal static Failure? Check(IReadOnlyList<HistoryCall> calls, IReadOnlyList<IdState>? start = null) => Check(calls, start ?? [IdState.Absent], long.MaxValue, null);

    /// <summary>Throws when there is no order, with the shortest history that the reduction finds.</summary>
    internal static void Require(IReadOnlyList<HistoryCall> calls, string context)
    {
        if (Check(calls) is { } failure)
            Assert.Fail($"{context}\n{Explain(calls, failure)}");
    }

    internal static string Explain(IReadOnlyList<HistoryCall> calls, Failure failure)
    {
        (List<HistoryCall> shortest, IReadOnlyList<IdState> start) = Shrink(calls, failure);
        failure = Check(shortest, start, failure.Call.Returned, null)!;
        var text = new StringBuilder($"No order of these {shortest.Count} calls (of {calls.Count}) gives these answers. The id is ");
        text.AppendJoin(" or ", start).AppendLine(" before them; each takes effect between its two times.").Append(CallText.Describe(shortest));
        text.AppendLine($"No explanation for: {CallText.Describe(failure.Call)}");
        return text.AppendJoin(" or ", failure.StatesBefore.Distinct()).Append(" is what the id can be just before that return, if nothing more has happened.").ToString();
    }

    /// <summary>Cuts what follows the failure and what precedes the last moment without a call in progress, then leaves out calls that change nothing, as long as there is no order.</summary>
    internal static (List<HistoryCall> Calls, IReadOnlyList<IdState> Start) Shrink(IReadOnlyList<HistoryCall> calls, Failure failure)
    {
        long end = failure.Call.Returned;
        List<HistoryCall> shortest = [.. calls.Where(c => c.Invoked <= end)];
        IReadOnlyList<IdState> start = [IdState.Absent];
        var quiet = new List<(long At, IReadOnlyList<IdState> States)>();
        Check(shortest, start, end, quiet);
        if (quiet.Count > 0)
        {
            (long at, start) = quiet[^1];
            shortest.RemoveAll(c => c.Returned <= at);
        }
        for (int i = shortest.Count - 1; i >= 0; i--)
        {
            HistoryCall left = shortest[i];
            if (!ObjectModel.ChangesNothing(left))
                continue;
            shortest.RemoveAt(i);
            if (Check(shortest, start, end, null) is null)
                shortest.Insert(i, left);
        }
        return (shortest, start);
    }

    /// <param name="calls">The history.</param>
    /// <param name="start">What the id may be before it.</param>
    /// <param name="until">Returns after this moment are not looked at.</param>
    /// <param name="quiet">Receives the moments without a call in progress, and what the id can be then.</param>
    private static Failure? Check(IReadOnlyList<HistoryCall> calls, IReadOnlyList<IdState> start, long until, List<(long At, IReadOnlyList<IdState> States)>? quiet)
    {
        // Invocations before returns at one tick: such calls count as overlapping, whichever was first.
        var events = new List<(long At, bool IsReturn, int Call)>(calls.Count * 2);
        for (int i = 0; i < calls.Count; i++)
        {
            events.Add((calls[i].Invoked, false, i));
            events.Add((calls[i].Returned, true, i));
        }
        events.Sort();
        var places = new int[calls.Count];
        var active = new List<int>();
        ulong free = ulong.MaxValue >> (64 - ActiveMax);
        HashSet<Configuration> configurations = [.. start.Select(static s => new Configuration(s, 0))];
        foreach ((long at, bool isReturn, int call) in events)
        {
            if (at > until)
                break;
            if (!isReturn)
            {
                Assert.NotEqual(0ul, free); // More calls at once than threads in any test.
                places[call] = System.Numerics.BitOperations.TrailingZeroCount(free);
                free &= free - 1;
                active.Add(call);
                continue;
            }
            HashSet<Configuration> after = Explore(configurations, calls, places, active, call);
            if (after.Count == 0)
                return new Failure(calls[call], [.. configurations.Select(static c => c.State)]);
            active.Remove(call);
            free |= 1ul << places[call];
            configurations = after;
            if (active.Count == 0)
                quiet?.Add((at, [.. configurations.Select(static c => c.State)]));
        }
        return null;
    }

    /// <summary>Configurations in which <paramref name="returning"/> is complete, reached from the given ones by steps of the calls in progress.</summary>
    private static HashSet<Configuration> Explore(HashSet<Configuration> from, IReadOnlyList<HistoryCall> calls, int[] places, List<int> active, int returning)
    {
        var complete = new HashSet<Configuration>();
        var seen = new HashSet<Configuration>(from);
        var work = new Stack<Configuration>(from);
        while (work.TryPop(out Configuration configuration))
        {
            int done = configuration.StepsOf(places[returning]);
            if (done == ObjectModel.StepCountOf(calls[returning]) || calls[returning].IsPending)
                complete.Add(configuration.Without(places[returning])); // Of a pending call any beginning will do; the others are explored below.
            if (done == ObjectModel.StepCountOf(calls[returning]))
                continue;
            foreach (int call in active)
            {
                int step = configuration.StepsOf(places[call]);
                if (step < ObjectModel.StepCountOf(calls[call]) && ObjectModel.TryStep(calls[call], step, configuration.State, out IdState next))
                {
                    Configuration reached = configuration.After(places[call], next);
                    if (seen.Add(reached))
                        work.Push(reached);
                }
            }
        }
        return complete;
    }
}
