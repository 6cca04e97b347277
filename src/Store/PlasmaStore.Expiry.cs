using System.Runtime.CompilerServices;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Reclaim;

namespace FastPlasma;

/// <content>Objects that live for a time: gone for every call from the moment of expiry on, their memory freed soon after.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>A clock that was set back by more than this counts; less is two maintainers that wrote in another order than they read.</summary>
    private const long ClockBackTicks = 10 * TimeSpan.TicksPerSecond;

    /// <summary>When the store's clock is so far behind the process's own, no writer moves it, and readers go by their own.</summary>
    private const long ClockStaleTicks = 3 * TimeSpan.TicksPerSecond;

    /// <summary>Longest time to live.</summary>
    private static readonly TimeSpan s_lifeMax = TimeSpan.FromDays(100 * 365.25);

    /// <summary>The time of expiry, in UTC ticks: one word for all processes, which maintainers move once a second, so that all agree on what is gone.</summary>
    private long ExpiryClock
    {
        get
        {
            long clock = Volatile.Read(ref _memory.Header->Clock), own = CoarseClock.UtcTicks; // OBSERVE clock.
            return own - clock > ClockStaleTicks ? own : clock;
        }
    }

    /// <summary>Whether an object's time is over. The caller has validated the entry's generation, or does so afterwards.</summary>
    internal bool IsExpired(StateWord state, ObjectEntry* entry) => state.Expires && HasExpired(entry);

    /// <summary>The second half of <see cref="IsExpired"/>, out of the way of objects that do not expire.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool HasExpired(ObjectEntry* entry) => Volatile.Read(ref entry->ExpiresAt) <= ExpiryClock;

    /// <summary>Time to live in ticks; 0 for none.</summary>
    private long LifeTicksOf(TimeSpan? timeToLive)
    {
        if (timeToLive is not TimeSpan life)
            return Math.Max(_memory.Header->DefaultLifeTicks, 0);
        return CheckLife(life, nameof(ObjectOptions.TimeToLive));
    }

    /// <summary>Ticks of a time to live that a caller gave; 0 for <see cref="Timeout.InfiniteTimeSpan"/>.</summary>
    /// <exception cref="ArgumentException">It is no time to live.</exception>
    internal static long CheckLife(TimeSpan life, string name)
    {
        if (life == Timeout.InfiniteTimeSpan)
            return 0;
        return life > TimeSpan.Zero && life <= s_lifeMax
            ? life.Ticks
            : throw new ArgumentException($"{name} is {life}; it can be above zero and up to {s_lifeMax.Days} days, or infinite.", name);
    }

    /// <summary>Moves the store's clock to now.</summary>
    private void AdvanceClock()
    {
        long now = DateTime.UtcNow.Ticks, old = Volatile.Read(ref _memory.Header->Clock);
        // PUBLISH clock: rises, unless the machine's clock was set back. A lost exchange is another maintainer's, who wrote the same second. OBSERVE in ExpiryClock.
        if (now > old || old - now > ClockBackTicks)
            Interlocked.CompareExchange(ref _memory.Header->Clock, now, old);
    }

    /// <summary>After the seal of an object that expires: whoever looks for expired ones does so then at the latest.</summary>
    private void LowerNextExpiry(long expiresAt)
    {
        // PUBLISH expiry: after the seal (full fence). OBSERVE in ExpireDue: its exchange comes before this, and then this word stays; or after it, and then its walk sees the seal.
        for (long old = Volatile.Read(ref _memory.Header->NextExpiry); expiresAt < old; old = Volatile.Read(ref _memory.Header->NextExpiry)) // Ends: only one exchange per walk raises it.
            if (Interlocked.CompareExchange(ref _memory.Header->NextExpiry, expiresAt, old) == old)
                return;
    }

    /// <summary>Removes what has expired, if anything may have. Returns bytes freed.</summary>
    private long ExpireDue(ThreadSlots thread)
    {
        long now = ExpiryClock, due = Volatile.Read(ref _memory.Header->NextExpiry);
        // PUBLISH walk: full fence, before the entries are read. One process takes the word, so one walks. OBSERVE in LowerNextExpiry.
        if (due > now || Interlocked.CompareExchange(ref _memory.Header->NextExpiry, long.MaxValue, due) != due)
            return 0;
        // CRASH expiry-taken: nobody walks for what has expired until the recovery of this participant, or the next seal with a time to live; gets know by themselves.
        FailPoint.Pass("expiry-taken");
        long next = long.MaxValue;
        var expired = new List<Evictor.Victim>();
        try
        {
            for (uint e = 0; e < (uint)ObjectCountMax; e++)
            {
                ObjectEntry* entry = _memory.Entries + e;
                var state = new StateWord(Volatile.Read(ref entry->State));
                if (!state.Expires || state.State is ObjectState.Free or ObjectState.Tentative or ObjectState.Aborted or ObjectState.Creating or ObjectState.Condemned)
                    continue; // Who is being created lowers the word after its seal.
                long expiresAt = Volatile.Read(ref entry->ExpiresAt);
                if (expiresAt > now)
                    next = Math.Min(next, expiresAt);
                else
                    expired.Add(new Evictor.Victim(e, state.Generation, 0)); // The condemn looks at it again, in that generation.
            }
            return expired.Count == 0 ? 0 : Condemn(thread, expired, PlasmaEventKind.Expired, out _);
        }
        finally
        {
            if (expired.Any(v => new StateWord(Volatile.Read(ref _memory.Entries[v.Entry].State)) is var s && s.Generation == v.Generation && s.Expires && s.State is not (ObjectState.Condemned or ObjectState.Free)))
                next = now; // One could not be condemned, because all slots are taken: again at the next opportunity.
            LowerNextExpiry(next);
        }
    }

    /// <summary>Makes an id free whose object has expired. False when there was no slot for it.</summary>
    private bool Expire(ThreadSlots thread, uint entryIndex, uint generation)
    {
        Condemn(thread, [new Evictor.Victim(entryIndex, generation, 0)], PlasmaEventKind.Expired, out _);
        return new StateWord(Volatile.Read(ref _memory.Entries[entryIndex].State)) is var state && (state.Generation != generation || !state.IsPresent);
    }
}
