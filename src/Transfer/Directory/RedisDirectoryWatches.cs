using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>Objects that this node wants to be told of. It writes itself into a set of each, and then looks whether the object is there already.</summary>
internal sealed class RedisDirectoryWatches(RedisDirectoryOptions options, RedisDirectoryKeys keys, RedisDirectoryLink link, Func<ReadOnlyMemory<ObjectId>, Task> look, Func<string> self)
{
    /// <summary>Watched at a time; others are found when they are asked for again.</summary>
    internal const int CountMax = 65_536;

    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, long> _ends = [];

    /// <summary>Begins to watch those that are not watched for long enough already.</summary>
    internal void Watch(ReadOnlySpan<ObjectId> ids, TimeSpan howLong)
    {
        long now = Environment.TickCount64, lifeMs = (long)Math.Clamp(howLong.TotalMilliseconds, 1, TimeSpan.MillisecondsPerDay);
        var begun = new List<ObjectId>();
        lock (_lock)
        {
            foreach (ref readonly ObjectId id in ids)
                if ((_ends.TryGetValue(id, out long end) ? end - now < lifeMs / 2 : _ends.Count < CountMax) && link.Problem is null)
                {
                    _ends[id] = now + lifeMs;
                    begun.Add(id);
                }
        }
        Register(begun, lifeMs);
    }

    /// <summary>Forgets those whose time is over.</summary>
    internal void Tick()
    {
        long now = Environment.TickCount64;
        lock (_lock)
            foreach ((ObjectId id, long end) in _ends)
                if (end <= now)
                    _ends.Remove(id); // Allowed while a dictionary is walked.
    }

    /// <summary>Watches all again that are watched: messages or the sets themselves may have been lost.</summary>
    internal void Renew()
    {
        long now = Environment.TickCount64;
        (ObjectId Id, long LeftMs)[] all;
        lock (_lock)
            all = [.. _ends.Where(watch => watch.Value > now).Select(watch => (watch.Key, watch.Value - now))];
        if (all.Length > 0)
            Register([.. all.Select(static watch => watch.Id)], all.Max(static watch => watch.LeftMs));
    }

    private void Register(List<ObjectId> ids, long lifeMs)
    {
        if (ids.Count > 0)
            _ = RegisterAsync([.. ids], TimeSpan.FromMilliseconds(lifeMs));
    }

    private async Task RegisterAsync(ObjectId[] ids, TimeSpan life)
    {
        RedisValue node = self();
        for (int i = 0; i < ids.Length; i += options.BatchMax)
        {
            ReadOnlyMemory<ObjectId> part = ids.AsMemory(i, Math.Min(options.BatchMax, ids.Length - i));
            try
            {
                IDatabase database = link.Database;
                var answers = new Task[part.Length];
                for (int j = 0; j < part.Length; j++)
                {
                    RedisKey key = keys.Watchers(part.Span[j]);
                    answers[j] = database.SetAddAsync(key, node);
                    _ = database.KeyExpireAsync(key, life, CommandFlags.FireAndForget);
                }
                await link.SettleAsync(answers, CancellationToken.None).ConfigureAwait(false);
                await look(part).ConfigureAwait(false);
            }
            catch (Exception e) when (RedisDirectoryLink.IsTrouble(e))
            {
                lock (_lock)
                    foreach (ObjectId id in ids.AsSpan(i))
                        _ends.Remove(id); // Watched again when they are asked for again.
                return;
            }
        }
    }
}
