using System.Diagnostics;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma.Waiting;

/// <summary>Sleeping and waking on the words of the meta file. A word is a sequence (the futex) and a flag "somebody sleeps"; waking clears the flag and moves the sequence in one exchange.</summary>
internal sealed unsafe class WaitWords
{
    /// <summary>Longest sleep before a waiter looks again by itself: covers a publisher that died between its change and its wake.</summary>
    internal const int SliceMs = 100;

    private readonly StoreMemory _memory;
    private readonly SlotScan _scan;

    internal WaitWords(StoreMemory memory, SlotScan scan) => (_memory, _scan) = (memory, scan);

    /// <summary>Announces a sleeper and returns the sequence to sleep on. The caller looks at its condition after this, then calls <see cref="Sleep"/>.</summary>
    internal uint Announce(ulong* word) => _memory.CanWriteWaits
        // PUBLISH flag: full fence before the caller's look. OBSERVE in Wake.
        ? (uint)Interlocked.Or(ref *word, WaitWord.WaitersFlag)
        : (uint)Volatile.Read(ref *word); // A foreign reader: publishers act as if the flag were set while any is admitted.

    /// <summary>Sleeps until the sequence moves on, at most <paramref name="timeoutMs"/>, with a cancellation that wakes at once.</summary>
    internal static void Sleep(ulong* word, uint sequence, int timeoutMs, CancellationToken cancellation)
    {
        if (timeoutMs <= 0 || cancellation.IsCancellationRequested)
            return;
        if (!cancellation.CanBeCanceled)
        {
            Futex.Wait((uint*)word, sequence, timeoutMs);
            return;
        }
        int left = 0, sleeper = Environment.CurrentManagedThreadId;
        // The token may fire before the sleeper is asleep, so it wakes until the sleeper has left; that ends with the slice at the latest.
        // When it has fired just before, registering runs the callback here, on the sleeper itself, which must not wait for itself.
        using (cancellation.UnsafeRegister(
            _ =>
            {
                while (Environment.CurrentManagedThreadId != sleeper && Volatile.Read(ref left) == 0)
                {
                    Futex.WakeAll((uint*)word);
                    Thread.Yield();
                }
            },
            null))
        {
            try
            {
                if (!cancellation.IsCancellationRequested)
                    Futex.Wait((uint*)word, sequence, timeoutMs);
            }
            finally
            {
                Volatile.Write(ref left, 1);
            }
        }
    }

    /// <summary>After a change that sleepers of <paramref name="word"/> may wait for, and a full fence.</summary>
    internal void Wake(ulong* word)
    {
        ulong old = Volatile.Read(ref *word); // OBSERVE flag: the caller's change came before this; a sleeper that it misses looks after the change.
        if ((old & WaitWord.WaitersFlag) == 0 && !_scan.HasForeignDomains)
            return;
        Move(word, old);
    }

    /// <summary>Wakes everybody everywhere: what a dead participant may have left undone.</summary>
    internal void WakeAll()
    {
        for (int i = 0; i < WaitWord.SleepCount; i++)
            MoveAlways(_memory.Wait(i));
        MoveAlways(_memory.Wait(WaitWord.DoorbellIndex));
        MoveAlways(_memory.Wait(WaitWord.SpillerIndex));

        static void MoveAlways(ulong* word) => Move(word, Volatile.Read(ref *word));
    }

    private static void Move(ulong* word, ulong old)
    {
        while (true) // Ends: each failure is another publisher's success, or a sleeper that sets the flag, once per sequence.
        {
            ulong next = (uint)old + 1u;
            ulong seen = Interlocked.CompareExchange(ref *word, next & uint.MaxValue, old);
            if (seen == old)
                break;
            old = seen;
        }
        Futex.WakeAll((uint*)word);
    }
}

/// <summary>A point in time on the monotonic clock.</summary>
internal readonly struct Deadline
{
    private readonly long _at;

    /// <exception cref="ArgumentOutOfRangeException">A negative timeout other than <see cref="Timeout.InfiniteTimeSpan"/>.</exception>
    internal Deadline(TimeSpan timeout)
    {
        if (timeout < TimeSpan.Zero && timeout != Timeout.InfiniteTimeSpan)
            throw new ArgumentOutOfRangeException(nameof(timeout), timeout, $"The timeout is {timeout}; it can be zero, positive or infinite.");
        IsZero = timeout == TimeSpan.Zero;
        double ticks = timeout.TotalSeconds * Stopwatch.Frequency;
        _at = timeout == Timeout.InfiniteTimeSpan || ticks > long.MaxValue / 4 ? long.MaxValue : Stopwatch.GetTimestamp() + (long)ticks;
    }

    internal bool IsZero { get; }

    internal bool IsNever => _at == long.MaxValue;

    /// <summary>On the clock of <see cref="Stopwatch.GetTimestamp"/>, which on Linux is CLOCK_MONOTONIC in nanoseconds; <see cref="long.MaxValue"/> for never.</summary>
    internal long At => _at;

    /// <summary>Time left, or <see cref="Timeout.InfiniteTimeSpan"/>.</summary>
    internal TimeSpan Left => _at == long.MaxValue ? Timeout.InfiniteTimeSpan : HasPassed ? TimeSpan.Zero : Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), _at);

    internal bool HasPassed => IsZero || Stopwatch.GetTimestamp() >= _at;

    /// <summary>Time left in milliseconds, rounded up, at most one slice.</summary>
    internal int SliceMs(int sliceMs) => IsZero ? 0 : (int)Math.Clamp(Math.Ceiling((_at - (double)Stopwatch.GetTimestamp()) * 1000 / Stopwatch.Frequency), 0, sliceMs);
}
