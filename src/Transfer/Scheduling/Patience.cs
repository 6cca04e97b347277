namespace FastPlasma.Transfer.Scheduling;

/// <summary>What a transfer does that gets nothing: first it asks who else takes the object, later it turns to a crowded source all the same. So nobody starves whose neighbours are gone or have nothing, and not everybody falls upon the source at once.</summary>
/// <param name="firstChunk">Where the transfer began, which differs from node to node, and so do their patiences.</param>
internal sealed class Patience(uint firstChunk)
{
    /// <summary>After so long without anything under way it asks again who else takes the object.</summary>
    internal const int AskAgainMs = 500;

    private readonly long _patienceMs = 1000 + firstChunk * 2654435761u % 2000;
    private long _idleSinceMs = -1, _askedAtMs;

    /// <summary>Whether a crowded source may be asked.</summary>
    internal bool IsSpent { get; private set; }

    /// <summary>Looks at the clock.</summary>
    /// <param name="nowMs">It.</param>
    /// <param name="isIdle">Chunks are missing and none is under way.</param>
    /// <returns>Whether it is time to ask who else takes the object.</returns>
    internal bool Tick(long nowMs, bool isIdle)
    {
        if (!isIdle)
        {
            _idleSinceMs = -1;
            return false;
        }
        if (_idleSinceMs < 0)
            _idleSinceMs = _askedAtMs = nowMs;
        IsSpent |= nowMs - _idleSinceMs >= _patienceMs;
        if (nowMs - _askedAtMs < AskAgainMs)
            return false;
        _askedAtMs = nowMs;
        return true;
    }

    /// <summary>A chunk came from a source that is not crowded.</summary>
    internal void Renew() => IsSpent = false;
}
