using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>Tells the directory what this node has and what was deleted: in order, many at a time, again until it is told. A thread of its own walks through all objects when they have to be announced again.</summary>
/// <remarks>Each object has keys of its own, so each command names keys of one slot; what belongs together by time is told in one pipelined round.</remarks>
internal sealed class RedisDirectoryAnnouncer : IDisposable
{
    /// <summary>Deletes that are remembered per part; beyond it those that end first are forgotten.</summary>
    internal const int TombstonesPerKeyMax = 65_536;

    private const int DeletesPerMessage = 1024;

    // Longer than any tombstone: the key goes when nobody deletes or trims for so long.
    private static readonly TimeSpan s_tombstoneKeyLife = TimeSpan.FromDays(31);

    private readonly RedisDirectoryOptions _options;
    private readonly RedisDirectoryKeys _keys;
    private readonly RedisDirectoryLink _link;
    private readonly RedisDirectoryMembers _members;
    private readonly IDirectoryListener _listener;
    private readonly ILogger _logger;
    private readonly RedisDirectoryQueue _queue;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _walkWanted = new(0, 1);
    private readonly Thread _walker;
    private readonly Task _sender;
    private int _sending;
    private long _clockOffsetMs;

    internal RedisDirectoryAnnouncer(RedisDirectoryOptions options, RedisDirectoryKeys keys, RedisDirectoryLink link, RedisDirectoryMembers members, IDirectoryListener listener, ILogger logger)
    {
        (_options, _keys, _link, _members, _listener, _logger) = (options, keys, link, members, listener, logger);
        _queue = new RedisDirectoryQueue(options.QueueMax, 2 * options.BatchMax);
        _walker = new Thread(Walk) { IsBackground = true, Name = "fastplasma directory" };
        _walker.Start();
        _sender = Task.Run(SendAllAsync);
    }

    /// <summary>Changes that have not been told yet.</summary>
    internal int Waiting => _queue.Count + Volatile.Read(ref _sending);

    /// <summary>How far the server's clock is ahead of <see cref="Environment.TickCount64"/>: tombstones end by it, so that nodes' clocks need not agree.</summary>
    internal long ClockOffsetMs
    {
        get => Volatile.Read(ref _clockOffsetMs);
        set => Volatile.Write(ref _clockOffsetMs, value);
    }

    internal void Add(in RedisDirectoryChange change) => _queue.Add(change);

    /// <summary>All objects are to be announced again.</summary>
    internal void WalkSoon()
    {
        lock (_walkWanted)
            if (_walkWanted.CurrentCount == 0)
                _walkWanted.Release();
    }

    /// <summary>Waits until everything has been told, for a short time.</summary>
    internal async Task FlushAsync(TimeSpan timeout)
    {
        long end = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        while (Waiting > 0 && _link.Problem is null && Environment.TickCount64 < end) // Ends with the time.
            await Task.Delay(5).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _queue.Close();
        _walker.Join();
        _sender.Wait();
        _queue.Dispose();
        _walkWanted.Dispose();
        _stop.Dispose();
    }

    private void Walk()
    {
        try
        {
            while (true) // Ends with the token.
            {
                _walkWanted.Wait(_stop.Token);
                string? previous = _members.Previous;
                _queue.BeginWalk();
                try
                {
                    _listener.AnnounceAgain();
                }
#pragma warning disable CA1031 // The listener's failures are its own; what it has not announced now is announced at the next walk.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    _logger.LogError(e, "Not all objects could be announced.");
                }
                finally
                {
                    _queue.EndWalk();
                }
                if (previous is not null && previous == _members.Previous)
                    _members.ForgetPrevious();
            }
        }
        catch (OperationCanceledException)
        {
            // The directory is being closed.
        }
    }

    private async Task SendAllAsync()
    {
        var batch = new List<RedisDirectoryChange>();
        try
        {
            while (true) // Ends with the token.
            {
                await _queue.WaitAsync(_stop.Token).ConfigureAwait(false);
                _queue.Take(batch, _options.BatchMax);
                Volatile.Write(ref _sending, batch.Count);
                for (bool again = false; batch.Count > 0; again = true) // Ends when it was told, or with the token.
                {
                    await _link.WhenUpAsync(_stop.Token).ConfigureAwait(false);
                    try
                    {
                        await SendAsync(batch, again).ConfigureAwait(false);
                        batch.Clear();
                    }
                    catch (Exception e) when (RedisDirectoryLink.IsTrouble(e))
                    {
                        _logger.LogDebug("{Count} changes are told again: {Problem}", batch.Count, _link.Fail(e));
                    }
                }
                Volatile.Write(ref _sending, 0);
                if (!_queue.IsForgetting)
                    continue;
                await _link.WhenUpAsync(_stop.Token).ConfigureAwait(false);
                _queue.Resume();
                WalkSoon(); // After the queue takes changes again: what is sealed from now on is in it or seen by the walk.
            }
        }
        catch (OperationCanceledException)
        {
            // The directory is being closed.
        }
    }

    private async Task SendAsync(List<RedisDirectoryChange> batch, bool again)
    {
        IDatabase database = _link.Database;
        string session = _members.Session ?? throw new IOException("the directory has not answered yet");
        string? previous = _members.Previous;
        var answers = new List<Task>(2 * batch.Count);
        var watchers = new List<(RedisDirectoryChange Change, Task<RedisValue[]> Nodes)>();
        var deletes = new List<(RedisDirectoryChange Change, Task<bool> IsNew)>();
        foreach (RedisDirectoryChange change in batch)
        {
            RedisKey key = _keys.Object(change.Id);
            switch (change.Kind)
            {
                case RedisDirectoryChangeKind.Withdraw:
                    answers.Add(database.HashDeleteAsync(key, RedisDirectoryKeys.Field(session, change.Incarnation)));
                    break;
                case RedisDirectoryChangeKind.Delete:
                    RedisKey tombstones = _keys.Tombstones(RedisDirectoryKeys.TombstonePart(change.Id));
                    Task<bool> isNew = database.SortedSetAddAsync(tombstones, RedisDirectoryKeys.TombstoneMember(change.Id, change.Incarnation), change.Value + ClockOffsetMs, SortedSetWhen.NotExists);
                    _ = database.KeyExpireAsync(tombstones, s_tombstoneKeyLife, CommandFlags.FireAndForget);
                    deletes.Add((change, isNew));
                    answers.Add(isNew);
                    break;
                default:
                    // Holder first, then look who waits; a waiter writes itself down first and then looks for holders. One of the two sees the other.
                    answers.Add(database.HashSetAsync(key, RedisDirectoryKeys.Field(session, change.Incarnation), RedisDirectoryKeys.Holding(change.Kind == RedisDirectoryChangeKind.Complete, change.Value)));
                    _ = database.KeyExpireAsync(key, _options.LocationLease, CommandFlags.FireAndForget);
                    if (previous is not null)
                        _ = database.HashDeleteAsync(key, RedisDirectoryKeys.Field(previous, change.Incarnation), CommandFlags.FireAndForget);
                    Task<RedisValue[]> nodes = database.SetMembersAsync(_keys.Watchers(change.Id));
                    watchers.Add((change, nodes));
                    answers.Add(nodes);
                    break;
            }
        }
        await _link.SettleAsync(answers, CancellationToken.None).ConfigureAwait(false);
        TellWatchers(watchers);
        // A first attempt that failed may have written the tombstone without telling anybody.
        TellDeletes([.. deletes.Where(delete => delete.IsNew.IsCompletedSuccessfully && (again || delete.IsNew.Result)).Select(static delete => delete.Change)]);
    }

    private void TellWatchers(List<(RedisDirectoryChange Change, Task<RedisValue[]> Nodes)> watchers)
    {
        var lines = new Dictionary<string, System.Text.StringBuilder>();
        string self = _members.Self.Id.ToString("N");
        foreach ((RedisDirectoryChange change, Task<RedisValue[]> nodes) in watchers)
            if (nodes.IsCompletedSuccessfully)
                foreach (string? node in nodes.Result)
                {
                    if (node is null || node == self)
                        continue;
                    if (!lines.TryGetValue(node, out System.Text.StringBuilder? text))
                        lines.Add(node, text = new System.Text.StringBuilder());
                    text.Append(RedisDirectoryKeys.Appeared(change.Id, _members.Self.Endpoint, change.Incarnation, change.Kind == RedisDirectoryChangeKind.Complete, change.Value));
                }
        // Who misses it, because its connection breaks at this moment, looks again when it is back.
        foreach ((string node, System.Text.StringBuilder text) in lines)
            _ = _link.Subscriber.PublishAsync(_keys.Channel(node), text.ToString(), CommandFlags.FireAndForget);
    }

    private void TellDeletes(RedisDirectoryChange[] deletes)
    {
        long now = Environment.TickCount64;
        foreach (RedisDirectoryChange[] part in deletes.Chunk(DeletesPerMessage))
        {
            Tombstone[] tombstones = [.. part.Select(change => new Tombstone(change.Id, change.Incarnation, TimeSpan.FromMilliseconds(Math.Max(0, change.Value - now))))];
            _ = _link.Subscriber.PublishAsync(_keys.Deletes, RedisDirectoryKeys.DeletedMessage(_members.Self.Id, tombstones), CommandFlags.FireAndForget);
        }
    }
}
