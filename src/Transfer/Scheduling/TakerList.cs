namespace FastPlasma.Transfer.Scheduling;

/// <summary>Where somebody stands among those who take an object at the same time.</summary>
/// <typeparam name="T">A requester.</typeparam>
/// <param name="FirstChunk">Where it is to begin.</param>
/// <param name="IsCrowded">Enough others take it from here already: what they get, it is to get from them.</param>
/// <param name="Named">Who is named to it, and it to them.</param>
internal readonly record struct TakerPlace<T>(uint FirstChunk, bool IsCrowded, IReadOnlyList<T> Named);

/// <summary>Those who take one large object from one node at the same time: they begin at different places and are named to each other, so that each chunk leaves the node about once and they get the rest from each other. Knows no sockets or clock.</summary>
/// <remarks>Whoever comes is named to some who came before, at random but rather those who were named seldom: that gives a graph of a few steps' depth in which nobody has many more neighbours than others.</remarks>
internal sealed class TakerList<T>
    where T : class
{
    /// <summary>So many take it from the node itself; who comes later takes it from them. More than the sources that each takes from (<see cref="SourceLimits.PartialMax"/>), so that there are places left for whoever comes last.</summary>
    internal const int DirectMax = 12;

    internal const int NamedMax = 8;

    private const int SampleCount = 3 * NamedMax, CountMax = 1 << 14, LifeMs = 30_000;

    private sealed class Taker(T who)
    {
        internal readonly T Who = who;
        internal long UntilMs;
        internal int Named;
        internal bool IsDirect;
    }

    private readonly List<Taker> _takers = [];
    private uint _count;

    internal bool IsEmpty => _takers.Count == 0;

    /// <summary>Somebody takes the object.</summary>
    internal TakerPlace<T> Join(T who, int chunkCount, long nowMs, Func<T, bool> isOver, Random random)
    {
        Expire(nowMs, isOver);
        Taker? own = _takers.Find(taker => ReferenceEquals(taker.Who, who));
        if (own is not null)
            _takers.Remove(own);
        List<T> named = Choose(random);
        own ??= new Taker(who) { IsDirect = _takers.Count(static taker => taker.IsDirect) < DirectMax };
        own.UntilMs = nowMs + LifeMs;
        own.Named += named.Count;
        if (_takers.Count < CountMax)
            _takers.Add(own);
        return new TakerPlace<T>(FirstChunk(_count++, chunkCount), !own.IsDirect, named);
    }

    /// <summary>Forgets whose time is over.</summary>
    internal void Expire(long nowMs, Func<T, bool> isOver) => _takers.RemoveAll(taker => taker.UntilMs < nowMs || isOver(taker.Who));

    /// <summary>Spreads beginnings: 0, 1/2, 1/4, 3/4, 1/8 … of the object.</summary>
    internal static uint FirstChunk(uint order, int chunkCount)
    {
        uint reversed = 0;
        for (int bit = 0; bit < 32; bit++)
            reversed |= (order >> bit & 1) << (31 - bit);
        return (uint)((ulong)reversed * (uint)chunkCount >> 32);
    }

    private List<T> Choose(Random random)
    {
        List<Taker> sample = [];
        if (_takers.Count <= SampleCount)
            sample.AddRange(_takers);
        else
            while (sample.Count < SampleCount) // Ends: there are more than that.
            {
                Taker taker = _takers[random.Next(_takers.Count)];
                if (!sample.Contains(taker))
                    sample.Add(taker);
            }
        Taker[] all = [.. sample];
        random.Shuffle(all);
        List<T> named = [];
        foreach (Taker taker in all.OrderBy(static taker => taker.Named).Take(NamedMax))
        {
            taker.Named++;
            named.Add(taker.Who);
        }
        return named;
    }
}
