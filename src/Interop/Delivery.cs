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
    private Exception? _failure;
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
            if (_failure is null)
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
            _failure = e;
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
            _failure = e;
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
        int status = 0;
        if (_failure is null)
            Exports.Fill(&obj, _handle, _store, in _pin);
        else
            status = Errors.From(_failure, _store); // For fp_last_error in the callback.
        ((delegate* unmanaged<void*, int, FpObject*, void>)_callback)((void*)_context, status, status == 0 ? &obj : null);
    }
}
