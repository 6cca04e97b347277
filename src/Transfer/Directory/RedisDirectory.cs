using System.Collections.Frozen;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>A directory in a server that speaks the Redis protocol: Redis 6.2 or later, Valkey, Garnet, alone or as a cluster. Nodes find each other and each other's objects through it; docs/directory.md says what it keeps there.</summary>
/// <remarks>
/// Nothing in it is the truth: it may be emptied or lose its last seconds at any time, and is filled again within a heartbeat. While it is away, what is in the own store is found as ever, and fetches of other things say why they fail.
/// All members may be called from any thread.
/// </remarks>
public sealed class RedisDirectory : IObjectDirectory
{
    private const int RetryMs = 250, CorrectionsMax = 1024, TombstonesPerPage = 8192;

    private readonly RedisDirectoryOptions _options;
    private readonly ILogger _logger;
    private readonly RedisDirectoryKeys _keys;
    private readonly RedisDirectoryLink _link;
    private readonly RedisDirectoryMembers _members;
    private readonly RedisDirectoryWatches _watches;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly long[] _beats = new long[RedisDirectoryKeys.BeatKeyCount]; // Last value that is known to be there; of the beating task.
    private IDirectoryListener? _listener;
    private RedisDirectoryAnnouncer? _announcer;
    private Task _beating = Task.CompletedTask;
    private long _beat, _walkAtMs;
    private int _troubled = 1, _corrections, _disposed;

    /// <summary>Prepares a directory; a node starts it.</summary>
    /// <exception cref="ArgumentException">The options are impossible.</exception>
    public RedisDirectory(RedisDirectoryOptions options, ILogger<RedisDirectory>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Validate() is { } wrong)
            throw new ArgumentException(wrong, nameof(options));
        _options = options;
        _logger = (ILogger?)logger ?? NullLogger.Instance;
        _keys = new RedisDirectoryKeys(options.Prefix);
        _link = new RedisDirectoryLink(options, _logger, OnTrouble);
        _members = new RedisDirectoryMembers(options, _keys, _link);
        _watches = new RedisDirectoryWatches(options, _keys, _link, LookAsync, () => _members.Self.Id.ToString("N"));
    }

    /// <inheritdoc/>
    public bool KnowsLocations => true;

    /// <inheritdoc/>
    public IReadOnlyList<NodeDescription> Nodes => _members.Others;

    /// <inheritdoc/>
    public string? Problem => _link.Problem;

    /// <summary>Changes that have not been told yet.</summary>
    internal int Waiting => _announcer?.Waiting ?? 0;

    /// <inheritdoc/>
    public ValueTask StartAsync(NodeDescription self, IDirectoryListener listener, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(self);
        ArgumentNullException.ThrowIfNull(listener);
        if (_listener is not null)
            throw new InvalidOperationException("The directory was started before.");
        _members.Self = self;
        _listener = listener;
        _announcer = new RedisDirectoryAnnouncer(_options, _keys, _link, _members, listener, _logger);
        Array.Fill(_beats, -1);
        _beating = Task.Run(BeatAsync, CancellationToken.None);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<ObjectLocation>[]> LocateAsync(ReadOnlyMemory<ObjectId> ids, CancellationToken cancellationToken)
    {
        await _link.RequireAsync(cancellationToken).ConfigureAwait(false);
        var locations = new IReadOnlyList<ObjectLocation>[ids.Length];
        for (int i = 0; i < ids.Length; i += _options.BatchMax)
        {
            int count = Math.Min(_options.BatchMax, ids.Length - i);
            try
            {
                await LocateAsync(ids.Slice(i, count), locations.AsMemory(i, count), cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (RedisDirectoryLink.IsTrouble(e) && e is not IOException)
            {
                throw new IOException(_link.Fail(e));
            }
        }
        return locations;
    }

    /// <inheritdoc/>
    public void Watch(ReadOnlySpan<ObjectId> ids, TimeSpan howLong) => _watches.Watch(ids, howLong);

    /// <inheritdoc/>
    public void Announce(ReadOnlySpan<LocalObject> objects)
    {
        foreach (ref readonly LocalObject each in objects)
            _announcer?.Add(new RedisDirectoryChange(each.Id, each.Incarnation, each.PayloadBytes, each.IsComplete ? RedisDirectoryChangeKind.Complete : RedisDirectoryChangeKind.Partial));
    }

    /// <inheritdoc/>
    public void Withdraw(ReadOnlySpan<LocalObject> objects)
    {
        foreach (ref readonly LocalObject each in objects)
            _announcer?.Add(new RedisDirectoryChange(each.Id, each.Incarnation, each.PayloadBytes, RedisDirectoryChangeKind.Withdraw));
    }

    /// <inheritdoc/>
    public void Correct(ObjectId id, ObjectLocation wrong)
    {
        ArgumentNullException.ThrowIfNull(wrong);
        // What is not corrected now is corrected when it is met again.
        if (_link.Problem is not null)
            return;
        if (Interlocked.Increment(ref _corrections) > CorrectionsMax)
            Interlocked.Decrement(ref _corrections);
        else
            _ = CorrectAsync(id, wrong);
    }

    /// <inheritdoc/>
    public void Delete(ReadOnlySpan<Tombstone> tombstones)
    {
        foreach (ref readonly Tombstone each in tombstones)
            _announcer?.Add(new RedisDirectoryChange(each.Id, each.Incarnation, Environment.TickCount64 + (long)each.Left.TotalMilliseconds, RedisDirectoryChangeKind.Delete));
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<Tombstone>> TombstonesAsync(CancellationToken cancellationToken)
    {
        await _link.RequireAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await ReadTombstonesAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (RedisDirectoryLink.IsTrouble(e) && e is not IOException)
        {
            throw new IOException(_link.Fail(e));
        }
    }

    /// <summary>Tells what waits to be told, as far as that is soon done, and leaves.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        if (_announcer is { } announcer)
            await announcer.FlushAsync(_options.RequestTimeout).ConfigureAwait(false);
        await _stop.CancelAsync().ConfigureAwait(false);
        await _beating.ConfigureAwait(false);
        _announcer?.Dispose();
        if (_link.Problem is null)
        {
            try
            {
                await _members.LeaveAsync().ConfigureAwait(false);
            }
            catch (Exception e) when (RedisDirectoryLink.IsTrouble(e))
            {
                _logger.LogDebug("The lease ends by itself: {Reason}", e.Message);
            }
        }
        await _link.DisposeAsync().ConfigureAwait(false);
        _wake.Dispose();
        _stop.Dispose();
    }

    private void OnTrouble()
    {
        Volatile.Write(ref _troubled, 1);
        try
        {
            if (_wake.CurrentCount == 0)
                _wake.Release();
        }
        catch (ObjectDisposedException)
        {
            // The client tells of its own end.
        }
    }

    private async Task BeatAsync()
    {
        try
        {
            while (true) // Ends with the token.
            {
                TimeSpan pause = _options.HeartbeatInterval;
                try
                {
                    await BeatOnceAsync().ConfigureAwait(false);
                }
                catch (Exception e) when (RedisDirectoryLink.IsTrouble(e))
                {
                    _link.Fail(e);
                    pause = TimeSpan.FromMilliseconds(Math.Min(RetryMs, pause.TotalMilliseconds));
                }
#pragma warning disable CA1031 // A heart that stops would make the node dead for all others; what is wrong is told and tried again.
                catch (Exception e) when (e is not OperationCanceledException)
#pragma warning restore CA1031
                {
                    _logger.LogError(e, "A heartbeat failed.");
                    _link.Fail(e);
                }
                await _wake.WaitAsync(pause, _stop.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The directory is being closed.
        }
    }

    /// <summary>In this order, so that nobody finds a copy here that was deleted while this node was away: hear of deletes from now on, learn the earlier ones, and only then announce.</summary>
    private async Task BeatOnceAsync()
    {
        if (await _link.ConnectAsync().ConfigureAwait(false))
            Volatile.Write(ref _troubled, 1);
        // Before anything is asked: trouble that comes meanwhile is for the next beat.
        bool catchUp = Interlocked.Exchange(ref _troubled, 0) != 0;
        try
        {
            bool isKept = await _members.BeatAsync().ConfigureAwait(false) & await BeatPartsAsync().ConfigureAwait(false);
            await SetClockAsync().ConfigureAwait(false);
            catchUp |= !isKept;
            if (catchUp)
            {
                await SubscribeAsync().ConfigureAwait(false);
                List<Tombstone> deleted = await ReadTombstonesAsync(_stop.Token).ConfigureAwait(false);
                if (deleted.Count > 0)
                    _listener!.Deleted(deleted.ToArray());
            }
            _link.Succeed();
            if (!isKept || Environment.TickCount64 >= _walkAtMs)
            {
                // Not all nodes at the same time.
                _walkAtMs = Environment.TickCount64 + (long)(_options.LocationLease.TotalMilliseconds / 3 * (0.8 + (0.2 * Random.Shared.NextDouble())));
                _announcer!.WalkSoon();
            }
        }
        catch
        {
            if (catchUp)
                Volatile.Write(ref _troubled, 1);
            throw;
        }
        if (catchUp)
            _watches.Renew();
        _watches.Tick();
        Trim();
    }

    /// <summary>Writes the number of this beat and looks whether the last ones are still there: an emptied server, one that came back with an old state, or a replica that took over too early does not have them.</summary>
    private async Task<bool> BeatPartsAsync()
    {
        IDatabase database = _link.Database;
        long beat = ++_beat;
        var last = new Task<RedisValue>[_link.IsCluster ? RedisDirectoryKeys.BeatKeyCount : 1];
        for (int i = 0; i < last.Length; i++)
            last[i] = database.StringSetAndGetAsync(_keys.Beat(i, _members.Self.Id), beat, _options.LocationLease);
        await _link.WithinAsync(Task.WhenAll(last), _stop.Token).ConfigureAwait(false);
        bool isKept = true;
        for (int i = 0; i < last.Length; i++)
        {
            RedisValue value = await last[i].ConfigureAwait(false);
            isKept &= _beats[i] < 0 || (value.TryParse(out long number) && number >= _beats[i]);
            _beats[i] = beat;
        }
        return isKept;
    }

    private async Task SetClockAsync()
    {
        RedisResult time = await _link.WithinAsync(_link.Database.ExecuteAsync("TIME"), _stop.Token).ConfigureAwait(false);
        _announcer!.ClockOffsetMs = ((long)time[0] * 1000) + ((long)time[1] / 1000) - Environment.TickCount64;
    }

    private async Task SubscribeAsync()
    {
        ISubscriber subscriber = _link.Subscriber;
        RedisChannel own = _keys.Channel(_members.Self.Id.ToString("N"));
        // Anew each time: the server's answer is what says that it listens again.
        await _link.WithinAsync(Task.WhenAll(subscriber.UnsubscribeAsync(own), subscriber.UnsubscribeAsync(_keys.Deletes)), _stop.Token).ConfigureAwait(false);
        await _link.WithinAsync(Task.WhenAll(subscriber.SubscribeAsync(own, (_, message) => OnMessage(message)), subscriber.SubscribeAsync(_keys.Deletes, (_, message) => OnDeleted(message))), _stop.Token).ConfigureAwait(false);
    }

    private void OnMessage(RedisValue message)
    {
        foreach (string line in ((string?)message ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries))
            if (!RedisDirectoryKeys.TryParseLine(line, out ObjectId id, out ObjectLocation? location))
                _logger.LogWarning("A message on this node's channel cannot be read.");
            else if (location is null)
                _listener!.AnnounceAgain(id);
            else
                _listener!.Appeared(id, location);
    }

    private void OnDeleted(RedisValue message)
    {
        if (!RedisDirectoryKeys.TryParseDeleted((byte[]?)message ?? [], out Guid from, out Tombstone[]? tombstones))
            _logger.LogWarning("A message about deletes cannot be read.");
        else if (from != _members.Self.Id)
            _listener!.Deleted(tombstones);
    }

    /// <summary>After a watch has begun: what is there already.</summary>
    private async Task LookAsync(ReadOnlyMemory<ObjectId> ids)
    {
        var locations = new IReadOnlyList<ObjectLocation>[ids.Length];
        await LocateAsync(ids, locations, _stop.Token).ConfigureAwait(false);
        for (int i = 0; i < locations.Length; i++)
            foreach (ObjectLocation location in locations[i])
                _listener!.Appeared(ids.Span[i], location);
    }

    private async Task LocateAsync(ReadOnlyMemory<ObjectId> ids, Memory<IReadOnlyList<ObjectLocation>> locations, CancellationToken cancellationToken)
    {
        IDatabase database = _link.Database;
        var answers = new Task<HashEntry[]>[ids.Length];
        for (int i = 0; i < answers.Length; i++)
            answers[i] = database.HashGetAllAsync(_keys.Object(ids.Span[i]));
        await _link.SettleAsync(answers, cancellationToken).ConfigureAwait(false);
        FrozenDictionary<string, NodeDescription?>? now = null;
        for (int i = 0; i < answers.Length; i++)
        {
            var found = new List<ObjectLocation>();
            List<RedisValue>? dead = null;
            foreach (HashEntry entry in answers[i].IsCompletedSuccessfully ? await answers[i].ConfigureAwait(false) : [])
            {
                if (!RedisDirectoryKeys.TryParseField(entry.Name, out string? session, out ulong incarnation) || !RedisDirectoryKeys.TryParseHolding((string?)entry.Value, out bool isComplete, out long payloadBytes))
                    continue; // Of another version.
                NodeDescription? node = _members.Find(session);
                if (node is null)
                {
                    now ??= await _members.RefreshAsync(cancellationToken).ConfigureAwait(false);
                    if (!now.TryGetValue(session, out node))
                        (dead ??= []).Add(entry.Name);
                }
                if (node is not null && node.Endpoint != _members.Self.Endpoint)
                    found.Add(new ObjectLocation(node.Endpoint, incarnation, isComplete, payloadBytes));
            }
            if (dead is not null)
                _ = database.HashDeleteAsync(_keys.Object(ids.Span[i]), [.. dead], CommandFlags.FireAndForget);
            locations.Span[i] = found;
        }
    }

    private async Task CorrectAsync(ObjectId id, ObjectLocation wrong)
    {
        try
        {
            IDatabase database = _link.Database;
            HashSet<string> sessions = _members.SessionsAt(wrong.Node);
            RedisValue[] fields = await _link.WithinAsync(database.HashKeysAsync(_keys.Object(id)), _stop.Token).ConfigureAwait(false);
            RedisValue[] stale = [.. fields.Where(field => RedisDirectoryKeys.TryParseField(field, out string? session, out ulong incarnation) && sessions.Contains(session) && (wrong.Incarnation == 0 || wrong.Incarnation == incarnation))];
            if (stale.Length == 0 || await _link.WithinAsync(database.HashDeleteAsync(_keys.Object(id), stale), _stop.Token).ConfigureAwait(false) == 0)
                return;
            // It may have come there in the meantime: then that node announces it again.
            foreach (NodeDescription node in sessions.Select(_members.Find).OfType<NodeDescription>().DistinctBy(static node => node.Id))
                _ = _link.Subscriber.PublishAsync(_keys.Channel(node.Id.ToString("N")), RedisDirectoryKeys.Corrected(id), CommandFlags.FireAndForget);
        }
        catch (Exception e) when (RedisDirectoryLink.IsTrouble(e) || e is OperationCanceledException)
        {
            _logger.LogDebug("A location is corrected when it is met again: {Reason}", e.Message);
        }
        finally
        {
            Interlocked.Decrement(ref _corrections);
        }
    }

    private async Task<List<Tombstone>> ReadTombstonesAsync(CancellationToken cancellationToken)
    {
        var all = new List<Tombstone>();
        IDatabase database = _link.Database;
        long now = Environment.TickCount64 + _announcer!.ClockOffsetMs;
        for (int part = 0; part < RedisDirectoryKeys.TombstoneKeyCount; part++)
            for (int skip = 0; ; skip += TombstonesPerPage) // Ends with a page that is not full.
            {
                SortedSetEntry[] page = await _link.WithinAsync(database.SortedSetRangeByScoreWithScoresAsync(_keys.Tombstones(part), now, double.PositiveInfinity, skip: skip, take: TombstonesPerPage), cancellationToken).ConfigureAwait(false);
                foreach (SortedSetEntry entry in page)
                    if (RedisDirectoryKeys.TryParseTombstone((byte[]?)entry.Element ?? [], out ObjectId id, out ulong incarnation))
                        all.Add(new Tombstone(id, incarnation, TimeSpan.FromMilliseconds(Math.Min(entry.Score - now, TimeSpan.FromDays(30).TotalMilliseconds))));
                if (page.Length < TombstonesPerPage)
                    break;
            }
        return all;
    }

    /// <summary>Removes tombstones whose time is over, from one part with each beat.</summary>
    private void Trim()
    {
        try
        {
            RedisKey key = _keys.Tombstones((int)(_beat % RedisDirectoryKeys.TombstoneKeyCount));
            IDatabase database = _link.Database;
            _ = database.SortedSetRemoveRangeByScoreAsync(key, double.NegativeInfinity, Environment.TickCount64 + _announcer!.ClockOffsetMs, flags: CommandFlags.FireAndForget);
            _ = database.SortedSetRemoveRangeByRankAsync(key, 0, -RedisDirectoryAnnouncer.TombstonesPerKeyMax - 1, CommandFlags.FireAndForget);
        }
        catch (Exception e) when (RedisDirectoryLink.IsTrouble(e))
        {
            _link.Fail(e);
        }
    }
}
