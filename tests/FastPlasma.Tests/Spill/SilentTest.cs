using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests.Spill;

/// <summary>What tests of disks that do not answer need: stores whose objects are on disk, or are to go there; workers whose calls to the system are held up or refused.</summary>
public abstract class SilentTest : SpillTest
{
    private protected const int Bytes = 900_000;

    private const int Fillers = 13;

    /// <summary>As <see cref="SpillTest.StartWithDelay"/>, for calls on whatever files: those that do not exist yet.</summary>
    private protected WorkerProcess StartWithDelayEverywhere(string call, int delayMs) =>
        StartWorker(null, uid: null, ["strace", "-f", "-qq", "-o", "/dev/null", "-e", $"trace={call}", "-e", $"inject={call}:delay_enter={delayMs}000"]);

    /// <summary>A worker whose runtime makes no thread by itself: it aborts when the system refuses one that compiles methods anew.</summary>
    private protected WorkerProcess StartWithoutTiers() => StartWorker(null, uid: null, ["env", "DOTNET_TieredCompilation=0"]);

    /// <summary>Until it is disposed the system gives the process no new thread.</summary>
    private protected static Tracer RefuseThreads(WorkerProcess worker) => new(worker.Id, "-e", "trace=clone3,clone", "-e", "inject=clone3,clone:error=EAGAIN");

    /// <summary>A store whose objects are on disk only.</summary>
    private protected PlasmaStore OnDisk(out string name, params string[] objects)
    {
        PlasmaStore store = Named(out name, WithSpill() with { CapacityBytes = 64 << 20, SpillsAhead = false });
        foreach (string id in objects)
            store.Put(Id(id), Content(id, Bytes));
        Assert.True(store.Unload(long.MaxValue) > 0);
        return store;
    }

    /// <summary>A store whose memory is full of objects that have no copy on disk.</summary>
    private protected PlasmaStore Full(out string name, params string[] more)
    {
        PlasmaStore store = Named(out name, WithSpill([Folder, .. more]) with { CapacityBytes = 12 << 20, SpillsAhead = false });
        for (int i = 0; i < Fillers; i++)
            store.Put(Id($"f{i}"), Content($"f{i}", Bytes));
        Assert.Equal(0, store.SpillInfo().Directories[0].WrittenCount);
        return store;
    }

    private protected static void AssertAllThere(PlasmaStore store)
    {
        for (int i = 0; i < Fillers; i++)
        {
            using PlasmaObject obj = store.Get(Id($"f{i}"), TimeSpan.FromSeconds(20));
            Same(Content($"f{i}", Bytes), obj.Span);
        }
        Eventually.True(() => store.Verify().Problems.Count == 0, "The store is not whole.");
    }

    private protected static WorkerException Late(Action call, int fromMs, int? toMs = null)
    {
        long start = Stopwatch.GetTimestamp();
        WorkerException e = Assert.ThrowsAny<WorkerException>(call);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, fromMs - 10, toMs ?? fromMs + 2400);
        return e;
    }

    private protected static void Kill(WorkerProcess worker)
    {
        using Process process = Process.GetProcessById(int.Parse(worker.Call("pid"), CultureInfo.InvariantCulture)); // The worker started is the tracer.
        process.Kill();
        process.WaitForExit();
    }

    /// <summary>A tracer that is attached to all threads of a process, until it is disposed.</summary>
    private protected sealed class Tracer : IDisposable
    {
        private readonly Process _process;

        internal Tracer(int pid, params string[] how)
        {
            _process = Process.Start(new ProcessStartInfo("strace", ["-f", "-qq", "-o", "/dev/null", .. how, "-p", pid.ToString(CultureInfo.InvariantCulture)]))!;
            Eventually.True(() => Directory.GetDirectories($"/proc/{pid}/task").All(IsTraced), "strace is attached");

            bool IsTraced(string task)
            {
                try
                {
                    return File.ReadLines(Path.Combine(task, "status")).Contains($"TracerPid:\t{_process.Id}");
                }
                catch (IOException)
                {
                    return true; // The thread has ended.
                }
            }
        }

        public void Dispose()
        {
            Assert.Equal(0, Mono.Unix.Native.Syscall.kill(_process.Id, Mono.Unix.Native.Signum.SIGTERM)); // On which it lets the process go on.
            _process.WaitForExit();
            _process.Dispose();
        }
    }
}
