using System.Globalization;

namespace FastPlasma.Spill;

/// <summary>Turns to read, or to write, in one spill directory: so many at a time by this attachment, and hardly any while those under way are not answered.</summary>
/// <remarks>Silence is an answer's absence, not one call's length: a directory is silent when something was wanted of it since its last answer (a call, a piece of one, or a turn), and for long nothing was answered. One call that hangs while others are answered is not silence.</remarks>
/// <param name="max">Calls at a time.</param>
internal sealed class DiskTurns(int max)
{
    /// <summary>Bytes of a call that count as one answer when they are done.</summary>
    internal const int PieceBytes = 8 << 20;

    /// <summary>What a disk has to do at least to count as one that answers.</summary>
    internal const long BytesPerSecond = 32 << 20;

    /// <summary>So long, and the time that the pieces under way may take, silence is not called so. While it lasts, one call more is tried each time that so long has passed.</summary>
    private const int SilenceMs = 3000;

    /// <summary>From when on a call that is not answered is worth a word to people.</summary>
    private const int SlowMs = 100;

    private readonly object _gate = new(); // Of those below. A Lock has no Wait.
    private int _taken;
    private long _bytes;
    private long _wantedAtMs; // When something was first wanted since the last answer; 0 when nothing was.
    private long _answeredAtMs, _triedAtMs;

    /// <summary>Whether what is under way has not been answered for long.</summary>
    internal bool IsSilent
    {
        get
        {
            lock (_gate)
                return IsSilentNow;
        }
    }

    private bool IsSilentNow => _wantedAtMs != 0 && Environment.TickCount64 - _wantedAtMs > SilenceMs + _bytes * 1000 / BytesPerSecond;

    /// <summary>Takes a turn for a call of so many bytes, waiting for one for a while. False when there is none, or the directory is silent.</summary>
    internal bool TryTake(long bytes, int waitMs)
    {
        long now = Environment.TickCount64, end = now + waitMs;
        lock (_gate)
        {
            while (true) // Ends with a turn, or with the time.
            {
                now = Environment.TickCount64;
                if (_wantedAtMs == 0)
                    _wantedAtMs = now;
                bool isSilent = IsSilentNow;
                if (_taken < max && (!isSilent || now - _triedAtMs >= SilenceMs))
                {
                    if (isSilent)
                        _triedAtMs = now;
                    if (_taken++ == 0)
                        _answeredAtMs = now;
                    _bytes += Math.Min(bytes, PieceBytes);
                    return true;
                }
                if (now >= end)
                    return false;
                Monitor.Wait(_gate, (int)(end - now));
            }
        }
    }

    /// <summary>A piece of a call was answered, and the next one is wanted.</summary>
    internal void NotePiece()
    {
        EnterGate();
        _answeredAtMs = _wantedAtMs = Environment.TickCount64;
        Monitor.Exit(_gate);
    }

    /// <summary>The call has been answered.</summary>
    internal void GiveBack(long bytes)
    {
        EnterGate();
        bool wasSilent = IsSilentNow;
        _taken--;
        _bytes -= Math.Min(bytes, PieceBytes);
        _answeredAtMs = Environment.TickCount64;
        _wantedAtMs = 0;
        if (wasSilent)
            Monitor.PulseAll(_gate);
        else
            Monitor.Pulse(_gate); // Whoever is woken looks for a turn before it looks at its time.
        Monitor.Exit(_gate);
    }

    /// <summary>What is given back is given back also by a thread that somebody interrupts.</summary>
    private void EnterGate() => Uninterrupted.Enter(_gate);

    /// <summary>What is under way and not answered for a moment, for people; null when there is nothing.</summary>
    internal string? DescribeSlow(string calls, string file)
    {
        lock (_gate)
        {
            long silentMs = Environment.TickCount64 - _answeredAtMs;
            return _taken == 0 || silentMs < SlowMs ? null : string.Create(CultureInfo.InvariantCulture, $"{calls} under way in {file}: {_taken}, none answered for {silentMs / 1000.0:0.0} s");
        }
    }
}
