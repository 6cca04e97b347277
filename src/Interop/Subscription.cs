using System.Diagnostics.CodeAnalysis;

namespace FastPlasma.Interop;

/// <summary>What a fp_subscription stands for: read by the caller, or by a thread that calls the caller.</summary>
[SuppressMessage("Design", "CA1001", Justification = "A source without timer and wait handle holds nothing; the thread may still look at it.")]
internal sealed unsafe class Subscription(PlasmaStore store, PlasmaSubscription events)
{
    private const byte Kind = 0xA2;

    internal static readonly HandleTable<Subscription> All = new(Kind, static _ => false);

    internal readonly PlasmaStore Store = store;
    internal readonly PlasmaSubscription Events = events;

    private readonly CancellationTokenSource _end = new();
    private Thread? _thread;

    /// <summary>Whether a thread of the library reads it.</summary>
    internal bool HasCallback => _thread is not null;

    internal void Start(delegate* unmanaged<void*, FpEvent*, long, void> callback, void* context)
    {
        _thread = new Thread(() => Run(callback, context)) { IsBackground = true, Name = "fastplasma-event" };
        _thread.Start();
    }

    /// <summary>Ends it and waits for a callback that is running, unless that is who calls.</summary>
    internal void End()
    {
        _end.Cancel();
        if (_thread is not null && _thread != Thread.CurrentThread)
            _thread.Join();
        Events.Dispose();
    }

    private void Run(delegate* unmanaged<void*, FpEvent*, long, void> callback, void* context)
    {
        try
        {
            while (!_end.IsCancellationRequested) // Ends with fp_unsubscribe, or with the store.
            {
                if (!Events.Read(Timeout.InfiniteTimeSpan, out PlasmaEvent e, _end.Token))
                    continue;
                FpEvent copy;
                Fill(&copy, e);
                callback(context, &copy, Events.Lost);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // Unsubscribed, or the store was closed.
        }
        catch (Exception e)
        {
            // Nobody would see it: broken shared state, which every other call reports too.
            Microsoft.Extensions.Logging.LoggerExtensions.LogError(Store.Logger, e, "A subscription of store '{Store}' has ended.", Store.Name);
        }
    }

    internal static void Fill(FpEvent* target, in PlasmaEvent e)
    {
        *target = new FpEvent { Kind = (int)e.Kind, PayloadSize = e.PayloadBytes, MetadataSize = e.MetadataBytes, Sequence = e.Sequence };
        *(ObjectId*)&target->Id = e.Id;
    }
}
