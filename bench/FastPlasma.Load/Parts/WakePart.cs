using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FastPlasma.Cli.Bench;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Parts;

/// <summary>How rounds of wakes go.</summary>
/// <param name="Kind">What is waited for.</param>
/// <param name="Sleeps">Whether the waiter sleeps in the kernel; otherwise it spins.</param>
/// <param name="IdCount">For <see cref="WakeKind.Any"/>: how many ids are waited for.</param>
/// <param name="Rounds">Measured rounds.</param>
/// <param name="WarmRounds">Rounds before them.</param>
/// <param name="SettleUs">How long the waker lets pass after the waiter has said that it is about to wait.</param>
/// <param name="Page">Path of the shared page.</param>
/// <param name="Open">The instance.</param>
internal sealed record WakePlan(WakeKind Kind, bool Sleeps, int IdCount, int Rounds, int WarmRounds, int SettleUs, string Page, OpenRequest Open);

/// <summary>One process of a pair: it waits, or wakes, in turns over a bare shared word and over a store.</summary>
/// <remarks>
/// Both steps of a round are the same, so that their ratio is fair. The waiter writes to a shared word for which step it is about to wait, and waits; the waker sees that, lets some time pass so that the waiter really sleeps or
/// spins, writes its reading of the clock to a shared word, and acts. The waiter reads the clock as soon as it has what it waited for. The clock is the same for all processes of a machine.
/// </remarks>
internal sealed unsafe class WakePart : IPart
{
    internal const string PartName = "wake", Waiter = "waiter", Waker = "waker", Ready = "ready";
    private const int StepsPerRound = 2;
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(20);

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        WakePlan plan = JsonSerializer.Deserialize(arguments[1], WorkJson.Default.WakePlan) ?? throw new FormatException("The plan is null.");
        using var page = new SharedPage(plan.Page);
        using WakeSubject subject = WakeSubject.Create(plan);
        parent.Send(Ready);
        parent.Expect(Ready); // When both are.
        if (arguments[0] == Waiter)
            Wait(parent, plan, page, subject);
        else
            Wake(plan, page, subject);
        parent.Expect(ParentPipe.Exit);
    }

    // Words of the page: incremented by the waker; its clock; the waiter's step.
    private static uint* Sequence(SharedPage page) => (uint*)page.Word(0);

    private static long* WokenAt(SharedPage page) => page.Word(1);

    private static long* Step(SharedPage page) => page.Word(2);

    private static void Wake(WakePlan plan, SharedPage page, WakeSubject subject)
    {
        long rounds = plan.Rounds + plan.WarmRounds;
        for (int round = 0; round < rounds; round++)
        {
            AwaitStep(page, (round * StepsPerRound) + 1, plan.SettleUs);
            if (round > 0)
                subject.Clear(round - 1);
            Volatile.Write(ref *WokenAt(page), Stopwatch.GetTimestamp());
            Interlocked.Increment(ref *Sequence(page));
            if (plan.Sleeps)
                Futex.WakeOne(Sequence(page));

            subject.Prepare(round);
            AwaitStep(page, (round * StepsPerRound) + 2, plan.SettleUs);
            Volatile.Write(ref *WokenAt(page), Stopwatch.GetTimestamp());
            subject.Wake(round);
        }
    }

    private static void Wait(ParentPipe parent, WakePlan plan, SharedPage page, WakeSubject subject)
    {
        var bare = new Latencies();
        var stored = new Latencies();
        uint sequence = 0;
        for (int round = 0; round < plan.Rounds + plan.WarmRounds; round++)
        {
            Volatile.Write(ref *Step(page), (round * StepsPerRound) + 1);
            AwaitWord(page, sequence++, plan.Sleeps);
            long now = Stopwatch.GetTimestamp();
            if (round >= plan.WarmRounds)
                bare.Record(now - Volatile.Read(ref *WokenAt(page)), 1);

            Volatile.Write(ref *Step(page), (round * StepsPerRound) + 2);
            subject.Await(round, s_deadline);
            now = Stopwatch.GetTimestamp();
            if (round >= plan.WarmRounds)
                stored.Record(now - Volatile.Read(ref *WokenAt(page)), 1);
            subject.Release();
        }

        parent.SendResult(ResultOf(bare));
        parent.SendResult(ResultOf(stored));
    }

    // A rate of wakes would say only how long the waker lets pass between them.
    private static WorkResult ResultOf(Latencies latencies) =>
        new() { Operations = latencies.Count, Pairs = latencies.ToPairs() };

    private static void AwaitWord(SharedPage page, uint before, bool sleeps)
    {
        long start = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref *Sequence(page)) == before)
        {
            if (sleeps)
                Futex.WaitOn(Sequence(page), before, TimeSpan.FromMilliseconds(100));
            else
                Thread.SpinWait(1);
            ThrowIfLate(start, "the waker");
        }
    }

    private static void AwaitStep(SharedPage page, long step, int settleUs)
    {
        long start = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref *Step(page)) != step)
        {
            Thread.SpinWait(1);
            ThrowIfLate(start, "the waiter");
        }

        long until = Stopwatch.GetTimestamp() + (settleUs * Stopwatch.Frequency / 1_000_000);
        while (Stopwatch.GetTimestamp() < until)
            Thread.SpinWait(1);
    }

    private static void ThrowIfLate(long start, string whom)
    {
        if (Stopwatch.GetElapsedTime(start) > s_deadline)
            throw new TimeoutException(string.Create(CultureInfo.InvariantCulture, $"{whom} did not come within {s_deadline.TotalSeconds:0} s."));
    }
}
