namespace FastPlasma.Transfer.Scheduling;

/// <summary>Decides which chunk of one object is asked from which source next, and keeps what has become of each. Knows no sockets, threads or clock: nodes and the simulation run this same code.</summary>
/// <remarks>
/// A chunk is Missing, Asked (of one source), Receiving (from it) or Verified. Invariant F1: of each chunk at most one source is asked at a time, so when nothing fails every chunk is sent once.
/// Invariant F2: only the source of which it was asked takes a chunk from Asked to Receiving, and only the end of that receive takes it further; a source that is lost loses what is Asked, never what is Receiving.
/// A complete source is asked first for what no partial source has or expects, so that of many who fetch the same object each takes another part of it from there, and the rest from each other.
/// While there are partial sources it is asked for little at a time: what is asked early is far from arriving when many ask.
/// Calls are made under the lock of the object's fetch.
/// </remarks>
internal sealed class FetchPlan
{
    /// <summary>Among so many candidates the rarest is taken: enough to spread, few enough to stay cheap.</summary>
    private const int RarestOf = 64;

    /// <summary>Chunks asked of a source that also serves others: one under way, one that follows it without a gap. Without partial sources it is the beginning; each chunk that arrives makes it one more.</summary>
    internal const int CreditsFirst = 2;

    /// <summary>Chunks asked of a partial source. Few: who waits for one source cannot take the chunk from another that has got it meanwhile.</summary>
    internal const int CreditsOfPartial = 2;

    private enum ChunkState : byte { Missing, Asked, Receiving, Verified }

    private sealed class Source(int chunkCount)
    {
        // What it has, and what it is about to have: chunks that it has asked of a complete source.
        internal readonly ChunkSet Has = new(chunkCount), Expects = new(chunkCount);
        internal bool IsComplete, IsCrowded, IsGone;
        internal int Cursor, Asked, Credits = CreditsFirst, Bad;
    }

    private readonly ChunkState[] _states;
    private readonly short[] _sourceOf;
    private readonly ChunkSet _missing;

    // How many partial sources have a chunk; those that any has; those that any has or expects.
    private readonly byte[] _holders;
    private readonly ChunkSet _held, _spokenFor;
    private readonly List<Source> _sources = [];
    private readonly int _firstChunk;
    private int _partialCount;

    /// <summary>Begins with all chunks missing.</summary>
    /// <param name="chunkCount">At least 1.</param>
    /// <param name="firstChunk">Where to begin; nodes that fetch the same object at once are given different places.</param>
    internal FetchPlan(int chunkCount, int firstChunk)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(chunkCount, 1);
        ChunkCount = chunkCount;
        _firstChunk = firstChunk % chunkCount;
        _states = new ChunkState[chunkCount];
        _sourceOf = new short[chunkCount];
        _holders = new byte[chunkCount];
        _held = new ChunkSet(chunkCount);
        _spokenFor = new ChunkSet(chunkCount);
        _missing = new ChunkSet(chunkCount, full: true);
        Verified = new ChunkSet(chunkCount);
    }

    internal int ChunkCount { get; }

    /// <summary>Chunks that have arrived and are right.</summary>
    internal ChunkSet Verified { get; }

    internal bool IsComplete => Verified.Count == ChunkCount;

    /// <summary>Chunks that are asked of nobody.</summary>
    internal int MissingCount => _missing.Count;

    /// <summary>Chunks that are asked or being received.</summary>
    internal int UnderWayCount => ChunkCount - _missing.Count - Verified.Count;

    /// <summary>Whether others fetch the object too, as far as is known.</summary>
    internal bool IsShared => _partialCount > 0;

    /// <summary>Sources that have all of it and are there.</summary>
    internal int CompleteCount { get; private set; }

    /// <summary>Sources that have part of it and are there.</summary>
    internal int PartialCount => _partialCount;

    /// <summary>Whether every missing chunk is at a source that is still there.</summary>
    internal bool IsCovered
    {
        get
        {
            foreach (Source source in _sources)
                if (source is { IsComplete: true, IsGone: false })
                    return true;
            return _missing.Next(0, default, _held.Words) < 0;
        }
    }

    /// <summary>A further source, which has nothing yet.</summary>
    internal int AddSource()
    {
        _sources.Add(new Source(ChunkCount) { Cursor = _firstChunk });
        _partialCount++;
        return _sources.Count - 1;
    }

    /// <summary>The source has these chunks by now.</summary>
    internal void SourceHas(int index, int first, int count)
    {
        Source source = _sources[index];
        if (source.IsGone || source.IsComplete)
            return;
        for (int chunk = first; chunk < first + count; chunk++)
            if (source.Has.Add(chunk))
                Hold(chunk, +1);
    }

    /// <summary>The source will soon have these chunks, from a complete one: others need not ask that one for them.</summary>
    internal void SourceExpects(int index, int first, int count)
    {
        Source source = _sources[index];
        if (source.IsGone || source.IsComplete)
            return;
        for (int chunk = first; chunk < first + count; chunk++)
            if (source.Expects.Add(chunk))
                _spokenFor.Add(chunk);
    }

    /// <summary>The source has all of the object.</summary>
    /// <param name="index">Which.</param>
    /// <param name="isCrowded">Enough others take it from there: it is for what nobody else will have.</param>
    internal void SourceIsComplete(int index, bool isCrowded = false)
    {
        Source source = _sources[index];
        if (source.IsGone)
            return;
        Forget(source);
        source.IsCrowded = isCrowded;
        if (source.IsComplete)
            return;
        source.IsComplete = true;
        _partialCount--;
        CompleteCount++;
    }

    /// <summary>The source is lost. What was asked of it is missing again; what is being received from it is not, before <see cref="ReceiveFailed"/>.</summary>
    internal void RemoveSource(int index)
    {
        Source source = _sources[index];
        if (source.IsGone)
            return;
        Forget(source);
        if (source.IsComplete)
            CompleteCount--;
        else
            _partialCount--;
        source.IsComplete = false;
        source.IsGone = true;
        for (int chunk = 0; chunk < ChunkCount; chunk++)
            if (_states[chunk] == ChunkState.Asked && _sourceOf[chunk] == index)
                SetMissing(chunk);
    }

    internal bool IsSource(int index) => !_sources[index].IsGone;

    internal bool IsCompleteSource(int index) => _sources[index] is { IsComplete: true, IsGone: false };

    /// <summary>Whether it is for what nobody else will have.</summary>
    internal bool IsCrowdedSource(int index) => _sources[index] is { IsComplete: true, IsGone: false, IsCrowded: true };

    /// <summary>The next chunk to ask of a source, which counts as asked from now on. False while the source is to be asked for nothing: it has nothing that is missing, or owes enough.</summary>
    /// <param name="index">The source.</param>
    /// <param name="isPatient">Nothing has been under way for a while: a crowded source may be asked too.</param>
    /// <param name="chunk">What to ask for.</param>
    internal bool TryAsk(int index, bool isPatient, out int chunk)
    {
        Source source = _sources[index];
        chunk = -1;
        if (source.IsGone || _missing.Count == 0)
            return false;
        if (!source.IsComplete)
        {
            if (source.Asked >= CreditsOfPartial)
                return false;
            chunk = RarestOfThose(source);
        }
        else if (source.Asked < (IsShared ? CreditsFirst : source.Credits) && (!source.IsCrowded || (isPatient && UnderWayCount == 0)))
        {
            chunk = _missing.Next(source.Cursor, default, _spokenFor.Words);
            // What others have, or will have, only while it would have nothing else to do for this node.
            if (chunk < 0 && source.Asked == 0)
                chunk = _missing.Next(source.Cursor, default, default);
        }
        if (chunk < 0)
            return false;
        source.Cursor = chunk + 1 == ChunkCount ? 0 : chunk + 1;
        source.Asked++;
        _missing.Remove(chunk);
        _states[chunk] = ChunkState.Asked;
        _sourceOf[chunk] = (short)index;
        return true;
    }

    /// <summary>Chunks that are on their way here from complete sources.</summary>
    internal List<int> Expected()
    {
        List<int> expected = [];
        for (int chunk = 0; chunk < ChunkCount; chunk++)
            if (_states[chunk] is ChunkState.Asked or ChunkState.Receiving && _sources[_sourceOf[chunk]].IsComplete)
                expected.Add(chunk);
        return expected;
    }

    /// <summary>Bytes of a chunk begin to arrive.</summary>
    /// <returns>False if it is not asked of this source any more: the bytes have to go by.</returns>
    internal bool TryBeginReceive(int index, int chunk)
    {
        if (_states[chunk] != ChunkState.Asked || _sourceOf[chunk] != index)
            return false;
        _states[chunk] = ChunkState.Receiving;
        return true;
    }

    /// <summary>A chunk that was being received is right.</summary>
    internal void Arrived(int chunk)
    {
        Source source = _sources[_sourceOf[chunk]];
        source.Asked--;
        source.Credits++;
        _states[chunk] = ChunkState.Verified;
        Verified.Add(chunk);
    }

    /// <summary>A chunk that was asked of this source will not come: it is missing again.</summary>
    internal void Failed(int index, int chunk)
    {
        if (_states[chunk] == ChunkState.Asked && _sourceOf[chunk] == index)
            SetMissing(chunk);
    }

    /// <summary>A chunk that was being received is not there or not right: it is missing again, whether its source is still there or not.</summary>
    /// <returns>The source that it was received from.</returns>
    internal int ReceiveFailed(int chunk)
    {
        SetMissing(chunk);
        return _sourceOf[chunk];
    }

    /// <summary>The source refused a chunk that it was believed to have.</summary>
    internal void SourceLacks(int index, int chunk)
    {
        Source source = _sources[index];
        if (!source.IsComplete && source.Has.Remove(chunk))
            Hold(chunk, -1);
        Failed(index, chunk);
    }

    /// <summary>Counts wrong bytes of a source and returns how often it was wrong.</summary>
    internal int CountBad(int index) => ++_sources[index].Bad;

    /// <summary>The rarest of the next candidates from the source's cursor on, once around.</summary>
    private int RarestOfThose(Source source)
    {
        int best = -1, first = -1, from = source.Cursor;
        for (int i = 0; i < RarestOf; i++)
        {
            int chunk = _missing.Next(from, source.Has.Words, default);
            if (chunk < 0 || chunk == first)
                break;
            if (first < 0)
                first = chunk;
            if (best < 0 || _holders[chunk] < _holders[best])
                best = chunk;
            if (_holders[best] <= 1)
                break;
            from = chunk + 1 == ChunkCount ? 0 : chunk + 1;
        }
        return best;
    }

    private void SetMissing(int chunk)
    {
        _sources[_sourceOf[chunk]].Asked--;
        _states[chunk] = ChunkState.Missing;
        _missing.Add(chunk);
    }

    private void Forget(Source source)
    {
        if (source.IsComplete)
            return;
        for (int chunk = 0; chunk < ChunkCount; chunk++)
        {
            bool expected = source.Expects.Remove(chunk);
            if (source.Has.Remove(chunk))
                Hold(chunk, -1);
            else if (expected && !IsSpokenFor(chunk))
                _spokenFor.Remove(chunk);
        }
    }

    private bool IsSpokenFor(int chunk) => _held.Contains(chunk) || _sources.Exists(source => source.Expects.Contains(chunk));

    private void Hold(int chunk, int by)
    {
        // Saturates upwards: with 255 holders a chunk is not rare, and stays held.
        int holders = _holders[chunk] + by;
        if (_holders[chunk] == byte.MaxValue)
            return;
        _holders[chunk] = (byte)holders;
        if (holders == 0)
        {
            _held.Remove(chunk);
            if (!IsSpokenFor(chunk))
                _spokenFor.Remove(chunk);
        }
        else
        {
            _held.Add(chunk);
            _spokenFor.Add(chunk);
        }
    }
}
