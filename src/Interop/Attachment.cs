using System.Runtime.CompilerServices;

namespace FastPlasma.Interop;

/// <summary>What a fp_store stands for. It stays in the table after fp_close, until its last object is released: those are found through it.</summary>
internal sealed class Attachment(PlasmaStore store, CallbackLogger? logger)
{
    private const byte Kind = 0xA1;

    internal static readonly HandleTable<Attachment> All = new(Kind, static attachment => attachment.Store.IsDetached);

    internal readonly PlasmaStore Store = store;

    private int _closed;

    /// <summary>The store of a handle for a call: false with the status to return, when it is none, or this is a forked child. A closed store is found, and refuses by itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryUse(nint handle, out PlasmaStore store, out int failure)
    {
        failure = 0;
        if (All.TryFind(handle, out Attachment attachment))
        {
            store = attachment.Store;
            if (!store.IsForked)
                return true;
        }
        store = null!;
        failure = Refuse(handle);
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Refuse(nint handle)
    {
        if (Process.IsForkedChild)
            return Errors.Fail(Status.Forked);
        Status status = All.Missing(handle);
        return status == Status.Closed
            ? Errors.Fail(status, "The store was closed before.")
            : Errors.Fail(status, handle == 0 ? "The store is NULL." : "The store is no handle of this library.");
    }

    internal Status Close()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
            return Status.Closed;
        Store.Dispose();
        logger?.Stop();
        return Status.Ok;
    }
}
