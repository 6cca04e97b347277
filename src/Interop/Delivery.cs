using FastPlasma.Copying;

namespace FastPlasma.Interop;

/// <summary>One asynchronous get, and the one call of its fp_get_callback.</summary>
internal sealed class Delivery : IThreadPoolWorkItem
{
    private readonly nint _handle;
    private readonly PlasmaStore _store;
    private readonly nint _callback;
    private readonly nint _context;
    private PlasmaObject _pin;
    private Status _status;
    private int _begun;

    internal unsafe Delivery(nint handle, PlasmaStore store, delegate* unmanaged<void*, int, FpObject*, void> callback, void* context)
    {
        _handle = handle;
        _store = store;
        _callback = (nint)callback;
        _context = (nint)context;
    }

    /// <summary>Returns at once. The outcome is delivered by a thread of the pool: what ends the wait may be a thread of the program, inside fp_cancel.</summary>
    /// <exception cref="OutOfMemoryException">There is an outcome, but no thread to deliver it: nothing is delivered.</exception>
    internal void Await(ValueTask<PlasmaObject> pending)
    {
        if (!pending.IsCompleted)
        {
            AwaitLater(pending);
            return;
        }
        Take(pending);
        try
        {
            Queue();
        }
        catch (OutOfMemoryException) when (TryBegin())
        {
            if (_status == Status.Ok)
                _pin.Dispose();
            throw;
        }
        catch (OutOfMemoryException)
        {
            // Another thread of the pool has found it.
        }
    }

    private async void AwaitLater(ValueTask<PlasmaObject> pending)
    {
        try
        {
            _pin = await pending.ConfigureAwait(false);
        }
        catch (Exception e)
        {
            _status = Errors.StatusOf(e, _store);
        }
        try
        {
            Queue();
        }
        catch (OutOfMemoryException)
        {
            Execute(); // No thread can be started: on this one, which is the library's own.
        }
    }

    private void Take(ValueTask<PlasmaObject> completed)
    {
        try
        {
            _pin = completed.GetAwaiter().GetResult();
        }
        catch (Exception e)
        {
            _status = Errors.StatusOf(e, _store);
        }
    }

    /// <summary>When this fails the pool may have it all the same.</summary>
    private void Queue()
    {
        try
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
        catch (OutOfMemoryException)
        {
            ParallelCopy.PoolRefuses = true;
            throw;
        }
    }

    private bool TryBegin() => Interlocked.Exchange(ref _begun, 1) == 0;

    public unsafe void Execute()
    {
        if (!TryBegin())
            return;
        FpObject obj = default;
        if (_status == Status.Ok)
            Exports.Fill(&obj, _handle, _store, in _pin);
        ((delegate* unmanaged<void*, int, FpObject*, void>)_callback)((void*)_context, (int)_status, _status == Status.Ok ? &obj : null);
    }
}
