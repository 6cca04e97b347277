using System.Diagnostics.CodeAnalysis;
using FastPlasma.Native;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Participants;

/// <summary>The one background thread of the process: moves the coarse clock ten times a second and maintains every open store once a second. Ends when no store is open.</summary>
internal static class Maintainer
{
    private const int TicksPerMaintenance = 1000 / CoarseClock.PeriodMs;

    private static readonly Lock s_lock = new();
    private static readonly List<WeakReference<PlasmaStore>> s_stores = [];
    private static bool s_running;
    private static int s_process;

    internal static void Register(PlasmaStore store)
    {
        lock (s_lock)
        {
            if (s_process != ForkMark.OfThisProcess())
            {
                // A forked child has copies of its parent's stores, and not its thread.
                s_process = ForkMark.OfThisProcess();
                s_stores.Clear();
                s_running = false;
            }
            if (!s_running)
            {
                CoarseClock.Advance();
                StartThread(); // The system may refuse it: then nothing is registered.
                s_running = true;
            }
            s_stores.Add(new WeakReference<PlasmaStore>(store));
        }
    }

    [SuppressMessage("Usage", "CA2201", Justification = "The runtime's own exception, with what it leaves out.")]
    private static void StartThread()
    {
        try
        {
            new Thread(Run) { IsBackground = true, Name = "fastplasma" }.Start();
        }
        catch (OutOfMemoryException e)
        {
            // The runtime says no more than that, whatever was missing.
            throw new OutOfMemoryException("The system refuses a thread for the maintenance of stores: this process has too many threads, or no memory or descriptor is left for one.", e);
        }
    }

    internal static void Unregister(PlasmaStore store)
    {
        lock (s_lock)
            s_stores.RemoveAll(w => !w.TryGetTarget(out PlasmaStore? s) || s == store);
    }

    private static void Run()
    {
        for (int tick = 0; ; tick++) // Ends when the last store is gone.
        {
            Thread.Sleep(CoarseClock.PeriodMs);
            CoarseClock.Advance();
            if (tick % TicksPerMaintenance != 0)
                continue;
            foreach (WeakReference<PlasmaStore> weak in Snapshot())
                if (weak.TryGetTarget(out PlasmaStore? store))
                    Maintain(store);
            lock (s_lock)
            {
                s_stores.RemoveAll(static w => !w.TryGetTarget(out _));
                if (s_stores.Count == 0)
                {
                    s_running = false;
                    return;
                }
            }
        }
    }

    private static WeakReference<PlasmaStore>[] Snapshot()
    {
        lock (s_lock)
            return [.. s_stores];
    }

    private static void Maintain(PlasmaStore store)
    {
        try
        {
            store.MaintainInBackground();
        }
        catch (ObjectDisposedException)
        {
            // Closed between snapshot and call: nothing is left to do.
        }
        catch (Exception e)
        {
            // The thread goes on for the other stores; what is broken is met again, and thrown, by the foreground.
            store.Logger.LogError(e, "Background maintenance of store '{Store}' failed.", store.Name);
        }
    }
}
