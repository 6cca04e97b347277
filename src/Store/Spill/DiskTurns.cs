using System.Globalization;

namespace FastPlasma.Spill;

/// <summary>Turns to read, or to write, in one spill directory: so many at a time by this attachment, and none more while those under way are not answered.</summary>
/// <param name="max">Calls at a time.</param>
internal sealed class DiskTurns(int max)
{
    /// <summary>Calls that are under way, of which none was answered for so long and the time that their bytes may take, make a directory silent.</summary>
    private const int SilenceMs = 3000;

    /// <summary>From when on a call that is not answered is worth a word to people.</summary>
    private const int SlowMs = 100;

    /// <summary>What a disk has to do at least to count as one that answers.</summary>
    internal const long BytesPerSecond = 32 << 20;

    private readonly object _gate = new(); // Of the three below. A Lock has no Wait.
    private int _taken;
    private long _bytes;
    private long _answeredAtMs;

    /// <summary>Whether what is under way has not been answered for long.</summary>
    internal bool IsSilent
    {
        get
        {
            lock (_gate)
                return IsSilentNow;
        }
    }

    private bool IsSilentNow => _taken > 0 && Environment.TickCount64 - _answeredAtMs > SilenceMs + _bytes * 1000 / BytesPerSecond;

    /// <summary>Takes a turn for a call of so many bytes, waiting for one for a while. False when there is none, or the directory is silent.</summary>
    internal bool TryTake(long bytes, int waitMs)
    {
        long end = Environment.TickCount64 + waitMs;
        lock (_gate)
        {
            while (_taken >= max || IsSilentNow) // Ends with a turn, or with the time.
            {
                long left = end - Environment.TickCount64;
                if (left <= 0)
                    return false;
                Monitor.Wait(_gate, (int)left);
            }
            if (_taken++ == 0)
                _answeredAtMs = Environment.TickCount64;
            _bytes += bytes;
            return true;
        }
    }

    /// <summary>The call has been answered.</summary>
    internal void GiveBack(long bytes)
    {
        lock (_gate)
        {
            _taken--;
            _bytes -= bytes;
            _answeredAtMs = Environment.TickCount64;
            Monitor.PulseAll(_gate); // All: who waits may have no time left.
        }
    }

    /// <summary>What is under way and not answered for a moment, for people; null when there is nothing.</summary>
    internal string? DescribeSlow(string calls, string file)
    {
        lock (_gate)
        {
            long silentMs = Environment.TickCount64 - _answeredAtMs;
            return _taken == 0 || silentMs < SlowMs ? null : string.Create(CultureInfo.InvariantCulture, $"{_taken} {calls} {file}, of {_bytes} bytes, have not been answered for {silentMs / 1000.0:0.0} s");
        }
    }
}
