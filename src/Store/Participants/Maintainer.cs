using System.Diagnostics.CodeAnalysis;
using FastPlasma.Native;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Participants;

/// <summary>The one background thread of the process: moves the coarse clock ten times a second, maintains every open store once a second, and evicts ahead in stores whose creates were short of memory. Ends when no store is open.</summary>
internal static class Maintainer
{
    private const int TicksPerMaintenance = 1000 / CoarseClock.PeriodMs;

    /// <summary>While creates are short of memory, how often free memory is looked at.</summary>
    private const int AheadPeriodMs = 5;

    /// <summary>So many looks that found enough free end that.</summary>
    private const int AheadIdleMax = 200;

    private static readonly Lock s_lock = new();
    private static readonly AutoResetEvent s_nudge = new(false);
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

    /// <summary>A create of this process was short of memory: from now on the store evicts ahead, until there has been enough for a while.</summary>
    internal static void Nudge(PlasmaStore store)
    {
        if (store.TryBeginEvictAhead()) // The first one; the others cost a load.
            s_nudge.Set();
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
            SleepAndEvictAhead(CoarseClock.PeriodMs);
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

    /// <summary>Sleeps for a period of the clock; meanwhile evicts in the stores that want it.</summary>
    private static void SleepAndEvictAhead(int periodMs)
    {
        long end = Environment.TickCount64 + periodMs;
        bool ahead = false;
        for (long left = periodMs; left > 0; left = end - Environment.TickCount64) // Ends with the period.
        {
            s_nudge.WaitOne((int)(ahead ? Math.Min(left, AheadPeriodMs) : left));
            ahead = false;
            foreach (WeakReference<PlasmaStore> weak in Snapshot())
                if (weak.TryGetTarget(out PlasmaStore? store) && store.EvictsAhead)
                    ahead |= EvictAhead(store);
        }
    }

    private static bool EvictAhead(PlasmaStore store)
    {
        try
        {
            return store.ContinueEvictAhead(AheadIdleMax);
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
        catch (Exception e)
        {
            store.Logger.LogError(e, "Eviction ahead in store '{Store}' failed.", store.Name);
            return false;
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
