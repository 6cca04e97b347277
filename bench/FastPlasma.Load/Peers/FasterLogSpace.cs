using FASTER.core;

namespace FastPlasma.Load.Peers;

/// <summary>Keeps FASTER's log inside its memory: when it has grown to a threshold, the thread that puts copies what is alive in its older half to its end and drops that half.</summary>
internal sealed class FasterLogSpace
{
    private readonly FasterKV<SpanByte, SpanByte> _store;
    private readonly long _thresholdBytes, _limitBytes;
    private readonly Lock _compacting = new();

    /// <param name="store">Whose log.</param>
    /// <param name="thresholdBytes">From this length on, the log is compacted.</param>
    /// <param name="limitBytes">At this length, no put goes on before it is shorter: beyond it FASTER would drop what is in use.</param>
    internal FasterLogSpace(FasterKV<SpanByte, SpanByte> store, long thresholdBytes, long limitBytes)
    {
        _store = store;
        _thresholdBytes = thresholdBytes;
        _limitBytes = limitBytes;
    }

    /// <summary>Returns when there is room for another object; holds no epoch.</summary>
    internal void Ensure(int valueBytes)
    {
        if (Length + valueBytes < _thresholdBytes)
            return;
        if (Length + valueBytes >= _limitBytes)
        {
            lock (_compacting)
                Compact(valueBytes);
        }
        else if (_compacting.TryEnter())
        {
            try
            {
                Compact(valueBytes);
            }
            finally
            {
                _compacting.Exit();
            }
        }
        if (Length + valueBytes >= _limitBytes)
            throw new InvalidOperationException($"FASTER's log is full: {Length} bytes, of at most {_limitBytes}, are in use after it was compacted; an object of {valueBytes} bytes does not fit.");
    }

    /// <summary>Where the log begins; moves when it has been compacted.</summary>
    internal long BeginAddress => _store.Log.BeginAddress;

    private long Length => _store.Log.TailAddress - _store.Log.BeginAddress;

    private void Compact(int valueBytes)
    {
        if (Length + valueBytes < _thresholdBytes)
            return; // Another thread has done it.
        long until = _store.Log.BeginAddress + Length / 2;
        _store.Log.ShiftReadOnlyAddress(until, wait: true); // Only what no longer changes can be compacted.
        until = Math.Min(until, _store.Log.SafeReadOnlyAddress);
        var input = false;
        var output = default(FasterRead);
        until = _store.Log.Compact<bool, FasterRead, Empty, FasterFunctions>(new FasterFunctions(), ref input, ref output, until, CompactionType.Lookup);
        _store.Log.ShiftBeginAddress(until);
        _store.Log.ShiftHeadAddress(until, wait: false);
    }
}
