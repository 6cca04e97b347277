namespace FastPlasma.Transfer.Nodes;

/// <summary>Cuts a stream into lines of bounded length. Of one reader at a time.</summary>
internal sealed class ControlLines(Stream stream, int lineBytesMax)
{
    private const int FirstBytes = 4096;

    private byte[] _buffer = new byte[FirstBytes];
    private int _begin, _end;

    /// <summary>The next line without its end, valid until the next call; null at the end of the stream, where half a line counts as none.</summary>
    /// <exception cref="InvalidDataException">The line is too long.</exception>
    internal async Task<ReadOnlyMemory<byte>?> ReadAsync(CancellationToken cancellationToken)
    {
        int looked = 0;
        while (true) // Ends with a line, the end of the stream, or a line that is too long.
        {
            int at = _buffer.AsSpan(_begin + looked, _end - _begin - looked).IndexOf((byte)'\n');
            if (at >= 0)
            {
                var line = new ReadOnlyMemory<byte>(_buffer, _begin, looked + at);
                _begin += looked + at + 1;
                return line;
            }
            looked = _end - _begin;
            if (looked > lineBytesMax)
                throw new InvalidDataException($"a line has more than {lineBytesMax} bytes");
            if (_begin > 0)
            {
                // Lines that were handed out are over by now.
                _buffer.AsSpan(_begin, looked).CopyTo(_buffer);
                (_begin, _end) = (0, looked);
            }
            if (_end == _buffer.Length)
                Array.Resize(ref _buffer, Math.Min(2 * _buffer.Length, lineBytesMax + FirstBytes));
            int read = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken).ConfigureAwait(false);
            if (read == 0)
                return null;
            _end += read;
        }
    }
}
