namespace FastPlasma.Interop;

/// <summary>One asynchronous get, and the one call of its fp_get_callback.</summary>
internal sealed class Delivery : IThreadPoolWorkItem
{
    private readonly nint _handle;
    private readonly PlasmaStore _store;
    private readonly nint _callback;
    private readonly nint _context;
    private PlasmaObject _pin;
    private Exception? _failure;

    internal unsafe Delivery(nint handle, PlasmaStore store, delegate* unmanaged<void*, int, FpObject*, void> callback, void* context)
    {
        _handle = handle;
        _store = store;
        _callback = (nint)callback;
        _context = (nint)context;
    }

    /// <summary>Returns at once. The outcome is delivered by a thread of the pool: what ends the wait may be a thread of the program, inside fp_cancel.</summary>
    internal async void Await(ValueTask<PlasmaObject> pending)
    {
        try
        {
            _pin = await pending.ConfigureAwait(false);
        }
        catch (Exception e)
        {
            _failure = e;
        }
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    public unsafe void Execute()
    {
        FpObject obj = default;
        int status = 0;
        if (_failure is null)
            Exports.Fill(&obj, _handle, _store, in _pin);
        else
            status = Errors.From(_failure, _store); // For fp_last_error in the callback.
        ((delegate* unmanaged<void*, int, FpObject*, void>)_callback)((void*)_context, status, status == 0 ? &obj : null);
    }
}
