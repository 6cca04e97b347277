using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace FastPlasma.Worker;

/// <summary>Makes random calls on few ids from several threads and records them.</summary>
/// <remarks>
/// Writers belong to the process: any of its threads may seal, dispose or abort what another made, which is where they race. Only the rule that nobody aborts what is being written is kept:
/// a create with its filling, and an abort by id, take turns on each id.
/// </remarks>
internal sealed unsafe partial class Recorder(PlasmaStore store, RecordFile file, Recorder.Plan plan)
{
    /// <summary>No cheat.</summary>
    internal const string Honest = "honest";

    /// <summary>A cheat for controls: a get answers what the process read last of that id, if anything, as a cache without invalidation would.</summary>
    internal const string StaleGets = "stale-gets";

    /// <summary>A cheat for controls: a seal answers Ok and does nothing.</summary>
    internal const string LostSeals = "lost-seals";

    private const int PayloadBytesMax = 3000, Kill = 9;

    private readonly Creation?[] _open = new Creation?[plan.Ids];
    private readonly int[] _number = new int[plan.Threads];
    private readonly int[] _turn = new int[plan.Ids];
    private readonly ulong[] _lastRead = new ulong[plan.Ids];

    /// <summary>What to do in one round.</summary>
    /// <param name="Round">Chooses the ids.</param>
    /// <param name="Seed">Of the random choice of calls.</param>
    /// <param name="Process">Number of the process in the round.</param>
    /// <param name="Threads">How many make calls.</param>
    /// <param name="CallsPerThread">How many each makes.</param>
    /// <param name="Ids">How many ids they fight over.</param>
    /// <param name="StartTimestamp">When all begin.</param>
    /// <param name="DieAt">Before this call of the first thread the process kills itself, as soon as another thread is in a call; -1: never.</param>
    /// <param name="Cheat">One of the names above.</param>
    internal sealed record Plan(int Round, int Seed, int Process, int Threads, int CallsPerThread, int Ids, long StartTimestamp, int DieAt, string Cheat)
    {
        internal static Plan Parse(ReadOnlySpan<string> a) => new(Int(a[0]), Int(a[1]), Int(a[2]), Int(a[3]), Int(a[4]), Int(a[5]), long.Parse(a[6], CultureInfo.InvariantCulture), Int(a[7]), a[8]);

        /// <summary>Places in the file: the calls of each thread, then an end for each id.</summary>
        internal int RecordCount => Threads * CallsPerThread + Ids;

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Round} {Seed} {Process} {Threads} {CallsPerThread} {Ids} {StartTimestamp} {DieAt} {Cheat}");

        internal static ObjectId IdOf(int round, int id) => ObjectId.FromName(string.Create(CultureInfo.InvariantCulture, $"h{round}-{id}"));

        private static int Int(string text) => int.Parse(text, CultureInfo.InvariantCulture);
    }

    private sealed record Creation(ulong Name, ObjectWriter Writer);

    internal void Run()
    {
        file.Calls.Clear();
        Thread[] threads = [.. Enumerable.Range(0, plan.Threads).Select(t => new Thread(() => Run(t)) { IsBackground = true })];
        Array.ForEach(threads, static t => t.Start());
        Array.ForEach(threads, static t => t.Join());

        // Others may still be at it, so what is left is ended on record.
        for (int id = 0; id < plan.Ids; id++)
        {
            if (_open[id] is not { } left)
                continue;
            RecordedCall* call = file.At(plan.Threads * plan.CallsPerThread + id);
            (call->Process, call->Thread, call->Number, call->Id) = (plan.Process, plan.Threads, id, id);
            End(call, left);
        }
    }

    private void Run(int thread)
    {
        var random = new Random(unchecked((plan.Seed * 31 + plan.Process) * 31 + thread));
        Signal(0); // So that the deadly one is compiled and comes at once, before the other threads are through.
        while (Stopwatch.GetTimestamp() < plan.StartTimestamp) // Ends with the clock; all threads of all processes begin at once.
            Thread.SpinWait(8);
        for (int number = 0; number < plan.CallsPerThread; number++)
        {
            if (thread == 0 && number == plan.DieAt)
            {
                AwaitCallOfOther();
                Signal(Kill);
            }
            Volatile.Write(ref _number[thread], number);
            RecordedCall* call = file.At(thread * plan.CallsPerThread + number);
            call->Process = plan.Process;
            call->Thread = thread;
            call->Number = number;
            call->Id = random.Next(plan.Ids);
            Make(call, random, RecordedCall.NameOf(plan.Process, thread, plan.Round, number));
            if (random.Next(4) == 0)
                Thread.SpinWait(random.Next(60));
            if (random.Next(50) == 0)
                Thread.Yield();
        }
        Volatile.Write(ref _number[thread], plan.CallsPerThread);
    }

    private void Make(RecordedCall* call, Random random, ulong name)
    {
        ObjectId id = Plan.IdOf(plan.Round, call->Id);
        Creation? open = Volatile.Read(ref _open[call->Id]);
        PlasmaStatus status = PlasmaStatus.Ok;
        switch (random.Next(20))
        {
            case < 4 when TryTakeTurn(call->Id):
                int length = LengthOf(random);
                Begin(call, CallKind.Create, name);
                status = store.TryCreate(id, length, out ObjectWriter writer);
                End(call, status);
                if (status == PlasmaStatus.Ok)
                {
                    MemoryMarshal.Cast<byte, ulong>(writer.Span).Fill(name);
                    Volatile.Write(ref _open[call->Id], new Creation(name, writer));
                }
                EndTurn(call->Id);
                break;
            case < 6:
                Span<byte> payload = stackalloc byte[LengthOf(random)];
                MemoryMarshal.Cast<byte, ulong>(payload).Fill(name);
                Begin(call, CallKind.Put, name);
                status = store.TryPut(id, payload);
                End(call, status);
                break;
            case < 10 when open is not null:
                Begin(call, CallKind.Seal, open.Name);
                if (plan.Cheat != LostSeals)
                    status = open.Writer.TrySeal();
                End(call, status);
                break;
            case < 11 when open is not null:
                End(call, open);
                break;
            case < 12 when TryTakeTurn(call->Id):
                Begin(call, CallKind.Abort, 0);
                status = store.Abort(id);
                End(call, status);
                EndTurn(call->Id);
                break;
            case < 15:
                Begin(call, CallKind.Delete, 0);
                status = store.Delete(id);
                End(call, status);
                break;
            case < 16:
                Begin(call, CallKind.Contains, 0);
                status = store.Contains(id) ? PlasmaStatus.Ok : PlasmaStatus.NotFound;
                End(call, status);
                break;
            default:
                Begin(call, CallKind.Get, 0);
                bool found = store.TryGet(id, out PlasmaObject obj);
                if (found)
                {
                    if (random.Next(8) == 0)
                        Thread.SpinWait(100); // The bytes must stay while others delete the object and fill the memory that they freed.
                    ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(obj.Span);
                    call->Name = words.ContainsAnyExcept(words[0]) ? RecordedCall.TornContent : words[0];
                    obj.Dispose();
                    _lastRead[call->Id] = call->Name;
                }
                else if (plan.Cheat == StaleGets && _lastRead[call->Id] != 0)
                {
                    call->Name = _lastRead[call->Id];
                    found = true;
                }
                End(call, found ? PlasmaStatus.Ok : PlasmaStatus.NotFound);
                break;
        }
    }

    private static void End(RecordedCall* call, Creation creation)
    {
        Begin(call, CallKind.Dispose, creation.Name);
        creation.Writer.Dispose();
        End(call, PlasmaStatus.Ok);
    }

    private static int LengthOf(Random random) => sizeof(ulong) * random.Next(1, PayloadBytesMax / sizeof(ulong));

    private static void Begin(RecordedCall* call, CallKind kind, ulong name)
    {
        call->Kind = kind;
        call->Name = name;
        Volatile.Write(ref call->Invoked, Stopwatch.GetTimestamp());
    }

    private static void End(RecordedCall* call, PlasmaStatus status)
    {
        long now = Stopwatch.GetTimestamp();
        call->Status = status;
        Volatile.Write(ref call->Returned, now);
    }

    /// <summary>Returns to the first thread when another one is in a call, or none makes calls any more.</summary>
    private void AwaitCallOfOther()
    {
        for (bool anyAtIt = true; anyAtIt;) // Ends with a call, or with the calls of all.
        {
            anyAtIt = false;
            for (int t = 1; t < plan.Threads; t++)
            {
                int number = Volatile.Read(ref _number[t]);
                if (number == plan.CallsPerThread)
                    continue;
                anyAtIt = true;
                RecordedCall* call = file.At(t * plan.CallsPerThread + number);
                if (Volatile.Read(ref call->Invoked) != 0 && Volatile.Read(ref call->Returned) == 0)
                    return;
            }
        }
    }

    private static void Signal(int number)
    {
        if (kill(Environment.ProcessId, number) != 0)
            throw new InvalidOperationException("kill");
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);

    private bool TryTakeTurn(int id) => Interlocked.CompareExchange(ref _turn[id], 1, 0) == 0;

    private void EndTurn(int id) => Volatile.Write(ref _turn[id], 0);
}
