using System.Runtime.InteropServices;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_subscribe")]
    internal static int Subscribe(nint store, nint* subscription) => Subscribe(store, null, null, subscription);

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_subscribe_callback")]
    internal static int SubscribeCallback(nint store, delegate* unmanaged<void*, FpEvent*, long, void> each, void* context, nint* subscription) =>
        each == null ? Null("each") : Subscribe(store, each, context, subscription);

    private static int Subscribe(nint store, delegate* unmanaged<void*, FpEvent*, long, void> each, void* context, nint* subscription)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (subscription == null)
                return Null("subscription");
            var created = new Subscription(found, found.Subscribe());
            nint handle = Subscription.All.Add(created);
            if (handle == 0)
                return Errors.Fail(Status.NoMemory, "This process has too many subscriptions at once, 4,095.");
            nint before = *subscription;
            *subscription = handle; // Before a callback can run, which may want it.
            try
            {
                if (each != null)
                    created.Start(each, context);
                return 0;
            }
            catch
            {
                *subscription = before; // No thread could be started.
                Subscription.All.TryRemove(handle, out _);
                throw;
            }
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_next_event")]
    internal static int NextEvent(nint subscription, long timeoutMs, FpWaitOptions* wait, FpEvent* next)
    {
        if (!TrySubscription(subscription, out Subscription found, out int failure))
            return failure;
        try
        {
            if (next == null)
                return Null("event");
            if (found.HasCallback)
                return Errors.Fail(Status.InvalidArgument, "A callback reads this subscription.");
            TimeSpan timeout = Arguments.Time(timeoutMs, "timeout_ms");
            CancellationToken token = Arguments.Wait(wait, out _);
            if (!found.Events.Read(timeout, out PlasmaEvent e, token))
                return Errors.Fail(Status.Timeout, "There is no further event yet.");
            Subscription.Fill(next, e);
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found.Store);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_lost_events")]
    internal static int LostEvents(nint subscription, long* lost)
    {
        if (!TrySubscription(subscription, out Subscription found, out int failure))
            return failure;
        if (lost == null)
            return Null("lost");
        *lost = found.Events.Lost;
        return 0;
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_unsubscribe")]
    internal static int Unsubscribe(nint subscription)
    {
        try
        {
            if (subscription == 0)
                return 0;
            if (!TrySubscription(subscription, out _, out int failure))
                return failure;
            if (!Subscription.All.TryRemove(subscription, out Subscription found))
                return Errors.Fail(Status.Closed);
            found.End();
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    private static bool TrySubscription(nint subscription, out Subscription found, out int failure)
    {
        failure = 0;
        if (Subscription.All.TryFind(subscription, out found) && !found.Store.IsForked)
            return true;
        failure = Process.IsForkedChild ? Errors.Fail(Status.Forked) : Errors.Fail(Subscription.All.Missing(subscription), "The subscription is NULL, no handle, or was ended before.");
        return false;
    }
}
