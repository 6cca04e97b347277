using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench;

/// <summary>One-way wake latency between two processes: of the store, and in turns with it of bare shared words.</summary>
/// <remarks>
/// Both protocols are the same, so that their ratio is fair. The sleeper writes to a shared word for which step it is about to wait, and waits; the
/// waker sees that, lets <see cref="Settle"/> pass so that the sleeper really sleeps (or really spins), reads the clock into shared memory and acts: it seals an
/// object whose payload is that reading, or changes the word and wakes it. The sleeper reads the clock as soon as it has the object or sees the word.
/// The clock is the same for all processes of a machine, so one direction is enough, and no symmetry needs to be assumed.
/// </remarks>
internal sealed class WakeRounds
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);
    private readonly bool _spin;

    internal WakeRounds(bool spin) => _spin = spin;

    /// <summary>Two steps are one round: bare words first, then the store.</summary>
    private const int StepsPerRound = 2;

    /// <summary>Rounds that are not counted: the runtime is still compiling.</summary>
    private int WarmupRounds => _spin ? 20_000 : 600;

    private TimeSpan Settle => TimeSpan.FromMicroseconds(_spin ? 3 : 200);

    /// <summary>The waker's side; returns medians and 99th percentiles in nanoseconds.</summary>
    internal unsafe WakeLatencies Run(IBenchPeerScenario scenario, int rounds)
    {
        if (!_spin && !OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("The ceiling of this scenario is the futex system call of Linux.");
        using BenchStore owned = new(new PlasmaOptions { CapacityBytes = 64 << 20 });
        using SharedWords words = SharedWords.Create();
        using ChildProcess peer = BenchContext.StartPeer(scenario, owned.Store);
        rounds += WarmupRounds;
        peer.Send(words.Path);
        peer.Send(rounds.ToString(CultureInfo.InvariantCulture));
        for (int round = 0; round < rounds; round++)
        {
            AwaitSleeper(words, (round * StepsPerRound) + 1);
            Volatile.Write(ref *words.WokenAt, Stopwatch.GetTimestamp());
            Interlocked.Increment(ref *words.Sequence);
            if (!_spin)
                Futex.WakeOne(words.Sequence);

            ObjectId id = BenchIds.Of((ulong)round);
            using (ObjectWriter writer = owned.Store.Create(id, sizeof(long)))
            {
                AwaitSleeper(words, (round * StepsPerRound) + 2);
                long now = Stopwatch.GetTimestamp();
                MemoryMarshal.Write(writer.Span, in now);
                writer.Seal();
            }

            if (round > 0)
                owned.Store.Delete(BenchIds.Of((ulong)round - 1));
        }

        double[] figures = [.. peer.Receive().Split(' ').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
        peer.Send(ParentPipe.Exit);
        return new WakeLatencies(figures[0], figures[1], figures[2], figures[3]);
    }

    /// <summary>The sleeper's side.</summary>
    internal unsafe void RunPeer(ParentPipe parent, PlasmaStore store)
    {
        using SharedWords words = SharedWords.Open(parent.Receive());
        int rounds = int.Parse(parent.Receive(), CultureInfo.InvariantCulture);
        double[] bare = new double[rounds - WarmupRounds], stored = new double[rounds - WarmupRounds];
        TimeSpan spin = _spin ? TimeSpan.FromSeconds(1) : TimeSpan.Zero;
        uint sequence = 0;
        for (int round = 0; round < rounds; round++)
        {
            Volatile.Write(ref *words.SleeperStep, (round * StepsPerRound) + 1);
            AwaitWord(words, sequence++);
            double bareNs = SinceNs(Stopwatch.GetTimestamp(), *words.WokenAt);

            ObjectId id = BenchIds.Of((ulong)round);
            Volatile.Write(ref *words.SleeperStep, (round * StepsPerRound) + 2);
            using PlasmaObject woken = store.Get(id, Deadline, spin);
            double storedNs = SinceNs(Stopwatch.GetTimestamp(), MemoryMarshal.Read<long>(woken.Span));
            if (round >= WarmupRounds)
                (bare[round - WarmupRounds], stored[round - WarmupRounds]) = (bareNs, storedNs);
        }

        parent.Send(string.Create(
            CultureInfo.InvariantCulture, $"{Quantiles.Of(stored, 0.5)} {Quantiles.Of(stored, 0.99)} {Quantiles.Of(bare, 0.5)} {Quantiles.Of(bare, 0.99)}"));
        parent.Expect(ParentPipe.Exit);
    }

    private static double SinceNs(long now, long then) => (now - then) * (1e9 / Stopwatch.Frequency);

    private unsafe void AwaitWord(SharedWords words, uint before)
    {
        long start = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref *words.Sequence) == before)
        {
            if (!_spin)
                Futex.WaitOn(words.Sequence, before, TimeSpan.FromMilliseconds(100));
            else
                Thread.SpinWait(1);
            ThrowIfLate(start, "the waker");
        }
    }

    private unsafe void AwaitSleeper(SharedWords words, int step)
    {
        long start = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref *words.SleeperStep) != step)
        {
            Thread.SpinWait(1);
            ThrowIfLate(start, "the sleeper");
        }

        start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < Settle)
            Thread.SpinWait(1);
    }

    private static void ThrowIfLate(long start, string whom)
    {
        if (Stopwatch.GetElapsedTime(start) > Deadline)
            throw new TimeoutException($"{whom} did not come within {Deadline.TotalSeconds:0} s.");
    }
}

/// <summary>Latencies in nanoseconds.</summary>
internal sealed record WakeLatencies(double StoreMedian, double StoreP99, double BareMedian, double BareP99);
