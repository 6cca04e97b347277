using System.Diagnostics;

namespace FastPlasma.Tests;

/// <summary>Waiting for a condition, with a watchdog that fails the test instead of hanging it.</summary>
internal static class Eventually
{
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>A wait lasted as long as it was told to. Deadlines follow a clock with steps of some milliseconds, so they may come that much early; what is late is the machine's affair.</summary>
    internal static void Lasted(long startTimestamp, int atLeastMs)
    {
        const int clockStepMs = 12;
        TimeSpan elapsed = Stopwatch.GetElapsedTime(startTimestamp);
        Assert.True(elapsed.TotalMilliseconds >= atLeastMs - clockStepMs && elapsed < Patience / 2, $"A wait of {atLeastMs} ms ended after {elapsed.TotalMilliseconds} ms.");
    }

    /// <summary>Looks again and again until <paramref name="condition"/> holds.</summary>
    internal static void True(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition()) // Ends with the condition or with the patience.
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
                Assert.Fail($"Not within {Patience.TotalSeconds} s: {what}.");
            Thread.Sleep(1); // Only the pace of looking; nothing relies on its length.
        }
    }

    /// <summary>Runs <paramref name="body"/> on a thread of its own; <see cref="Run.Join"/> fails the test if it does not end.</summary>
    internal static Run Start(Action body) => new(body);

    /// <summary>As <see cref="Start"/> and join: for calls that would hang the test if they were wrong.</summary>
    internal static void Ends(Action body) => Start(body).Join();

    internal sealed class Run
    {
        private readonly Thread _thread;
        private volatile Exception? _error;

        internal Run(Action body)
        {
            _thread = new Thread(() =>
            {
                try
                {
                    body();
                }
#pragma warning disable CA1031 // Shown by Join.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    _error = e;
                }
            })
            { IsBackground = true };
            _thread.Start();
        }

        /// <summary>Whether the thread sleeps in a wait now (or has ended).</summary>
        internal bool IsWaiting => (_thread.ThreadState & (System.Threading.ThreadState.WaitSleepJoin | System.Threading.ThreadState.Stopped)) != 0;

        internal bool HasEnded => !_thread.IsAlive;

        internal void Join()
        {
            if (!_thread.Join(Patience))
                Assert.Fail($"A call did not end within {Patience.TotalSeconds} s.");
            if (_error is not null)
                throw new InvalidOperationException($"On the other thread: {_error.Message}", _error);
        }
    }
}
