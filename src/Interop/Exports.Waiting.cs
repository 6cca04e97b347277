using System.Runtime.InteropServices;
using FastPlasma.Copying;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_cancellation_new")]
    internal static int CancellationNew(nint* cancellation)
    {
        try
        {
            if (Process.IsForkedChild)
                return Errors.Fail(Status.Forked);
            if (cancellation == null)
                return Null("cancellation");
            nint handle = Cancellations.All.Add(new CancellationTokenSource());
            if (handle == 0)
                return Errors.Fail(Status.NoMemory, "This process has too many cancellations at once, 4,095.");
            *cancellation = handle;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_cancel")]
    internal static int Cancel(nint cancellation)
    {
        try
        {
            if (Process.IsForkedChild)
                return Errors.Fail(Status.Forked);
            if (!Cancellations.All.TryFind(cancellation, out CancellationTokenSource source))
                return Errors.Fail(Cancellations.All.Missing(cancellation), "The cancellation is NULL, no handle, or was freed.");
            source.Cancel();
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_cancellation_free")]
    internal static int CancellationFree(nint cancellation)
    {
        try
        {
            if (Process.IsForkedChild)
                return Errors.Fail(Status.Forked);
            if (cancellation == 0)
                return 0;
            // Not disposed: a wait that still uses its token, against the rules, goes on without a crash.
            return Cancellations.All.TryRemove(cancellation, out _) ? 0 : Errors.Fail(Cancellations.All.Missing(cancellation), "The cancellation is no handle, or was freed before.");
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_get_async")]
    internal static int GetAsync(nint store, ObjectId* id, long timeoutMs, FpWaitOptions* wait, delegate* unmanaged<void*, int, FpObject*, void> done, void* context)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (id == null || done == null)
                return Null("id or done");
            TimeSpan timeout = Arguments.Time(timeoutMs, "timeout_ms");
            CancellationToken token = Arguments.Wait(wait, out _);
            found.ThrowIfClosing();
            if (ParallelCopy.PoolRefuses)
                return Errors.Fail(Status.NoMemory, "The system once refused this process a thread for asynchronous gets; there are none any more until it is started again.");
            new Delivery(store, found, done, context).Await(found.GetAsync(*id, timeout, token));
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }
}
