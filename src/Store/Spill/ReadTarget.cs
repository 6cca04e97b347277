namespace FastPlasma.Spill;

/// <summary>A caller's memory that bytes from disk go to, until the caller has waited long enough and closes it.</summary>
/// <param name="destination">Stays where it is until <see cref="Close"/>.</param>
/// <param name="length">Bytes there.</param>
internal sealed unsafe class ReadTarget(byte* destination, int length)
{
    private readonly object _gate = new();
    private byte* _destination = destination;

    internal int Length => length;

    /// <summary>Copies bytes to a place of the target; false when it is closed.</summary>
    internal bool TryFill(int offset, ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            if (_destination == null)
                return false;
            bytes.CopyTo(new Span<byte>(_destination + offset, length - offset));
            return true;
        }
    }

    /// <summary>Waits for a copy in progress; from here on nobody touches the memory.</summary>
    internal void Close()
    {
        Uninterrupted.Enter(_gate); // Until it is closed the memory must stay where it is.
        _destination = null;
        Monitor.Exit(_gate);
    }
}
