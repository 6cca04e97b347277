using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>The threads of a node. What none of them expected ends that thread with a line in the log, never the process; and a node that stops can wait until all have ended.</summary>
internal sealed class NodeThreads(ILogger logger)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Thread> _running = [];
    private int _queued;

    internal int Count
    {
        get
        {
            lock (_lock)
                return _running.Count;
        }
    }

    /// <summary>Short work on a thread of the pool, which a node that stops waits for as well. It must not throw.</summary>
    internal void Queue(Action body)
    {
        Interlocked.Increment(ref _queued);
        ThreadPool.UnsafeQueueUserWorkItem(
            static work =>
            {
                try
                {
                    work.Body();
                }
                finally
                {
                    Interlocked.Decrement(ref work.Threads._queued); // After any thread that it started: Join sees one or the other.
                }
            },
            (Threads: this, Body: body), preferLocal: false);
    }

    internal void Start(string name, Action body)
    {
        var thread = new Thread(() => Run(name, body)) { IsBackground = true, Name = name };
        lock (_lock) // Held over the start, so that Join never meets one that has not begun.
        {
            thread.Start();
            _running.Add(thread);
        }
    }

    /// <summary>An exception that no part of the node foresaw: it was survived, and somebody should know.</summary>
    internal void Report(Exception unexpected) => logger.LogError(unexpected, "Something unexpected happened in a thread of the node, which goes on.");

    /// <summary>Waits for all but the calling thread, and for what is queued.</summary>
    /// <returns>False if some still run after that time.</returns>
    internal bool Join(TimeSpan patience)
    {
        long start = Stopwatch.GetTimestamp();
        while (true) // Ends with the threads or the patience.
        {
            Thread? next;
            lock (_lock)
            {
                bool isQueued = Volatile.Read(ref _queued) > 0; // Before the look at the threads, which the work may start.
                next = _running.FirstOrDefault(static thread => thread != Thread.CurrentThread);
                if (next is null && !isQueued)
                    return true;
            }
            TimeSpan left = patience - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || next?.Join(left) == false)
                return false;
            if (next is null)
                Thread.Sleep(1); // The queue is short.
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "The last resort of a thread: else the process would end.")]
    private void Run(string name, Action body)
    {
        try
        {
            body();
        }
        catch (Exception e)
        {
            logger.LogError(e, "Thread '{Name}' of the node ended unexpectedly.", name);
        }
        finally
        {
            lock (_lock)
                _running.Remove(Thread.CurrentThread);
        }
    }
}
