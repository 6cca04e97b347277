using System.Globalization;
using System.Net;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>The connection to the server or cluster: whether it can be asked, and questions that end in time.</summary>
/// <remarks>The first question that fails makes <see cref="Problem"/>; until the heartbeat gets an answer again, all others fail at once.</remarks>
internal sealed class RedisDirectoryLink : IAsyncDisposable
{
    private const int RenewMs = 30_000;

    private readonly RedisDirectoryOptions _options;
    private readonly ILogger _logger;
    private readonly string _at;
    private readonly Lock _lock = new();
    private readonly Action _onTrouble;
    private ConnectionMultiplexer? _connection;
    private TaskCompletionSource _up = new(TaskCreationOptions.RunContinuationsAsynchronously), _tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _problem;
    private long _problemSinceMs = Environment.TickCount64;
    private int _foreignKeyTold;

    /// <summary>Connects later, with <see cref="ConnectAsync"/>.</summary>
    /// <param name="options">Validated.</param>
    /// <param name="logger">Told when the directory goes and when it is back.</param>
    /// <param name="onTrouble">Something was lost, or may have been; called from any thread.</param>
    internal RedisDirectoryLink(RedisDirectoryOptions options, ILogger logger, Action onTrouble)
    {
        (_options, _logger, _onTrouble) = (options, logger, onTrouble);
        _at = string.Join(", ", options.Parse()!.EndPoints.Select(static at => at switch
        {
            DnsEndPoint dns => $"{dns.Host}:{dns.Port.ToString(CultureInfo.InvariantCulture)}",
            _ => at.ToString(),
        }));
        _problem = $"the directory at {_at} has not answered yet";
    }

    /// <summary>Why it cannot be asked; null if it can.</summary>
    internal string? Problem => Volatile.Read(ref _problem);

    /// <summary>Completes after the first try to reach it, however it went.</summary>
    internal Task Tried => _tried.Task;

    /// <summary>Whether it is one of several masters that share the keys; known once it is connected.</summary>
    internal bool IsCluster { get; private set; }

    /// <summary>To ask.</summary>
    /// <exception cref="IOException">It is not connected.</exception>
    internal IDatabase Database => Connection.GetDatabase();

    /// <summary>To publish and subscribe.</summary>
    /// <exception cref="IOException">It is not connected.</exception>
    internal ISubscriber Subscriber => Connection.GetSubscriber();

    private ConnectionMultiplexer Connection => Volatile.Read(ref _connection) ?? throw new IOException(Problem ?? "the directory is being closed");

    /// <summary>Connects if it never was, or if the client's own attempts have been in vain for long: addresses may have changed.</summary>
    /// <returns>True if the connection is a new one, without subscriptions.</returns>
    internal async Task<bool> ConnectAsync()
    {
        if (_connection is { } old)
        {
            if (Problem is null || Environment.TickCount64 - Volatile.Read(ref _problemSinceMs) < RenewMs)
                return false;
            Volatile.Write(ref _problemSinceMs, Environment.TickCount64);
            Volatile.Write(ref _connection, null);
            await old.DisposeAsync().ConfigureAwait(false);
        }
        ConnectionMultiplexer made = await ConnectionMultiplexer.ConnectAsync(_options.Parse()!).ConfigureAwait(false);
        if (!made.IsConnected)
        {
            await made.DisposeAsync().ConfigureAwait(false);
            throw new IOException($"the directory at {_at} cannot be reached");
        }
        made.ConnectionFailed += (_, _) => _onTrouble();
        made.ConnectionRestored += (_, _) => _onTrouble();
        IsCluster = made.GetServers().Any(static server => server.ServerType == ServerType.Cluster);
        Volatile.Write(ref _connection, made);
        return true;
    }

    /// <summary>Fails with the problem if there is one. Right after the start it waits for the first try, as long as a question may take.</summary>
    /// <exception cref="IOException">It cannot be asked.</exception>
    internal async ValueTask RequireAsync(CancellationToken cancellationToken)
    {
        if (!_tried.Task.IsCompleted)
            await Task.WhenAny(_tried.Task, Task.Delay(_options.RequestTimeout, cancellationToken)).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        if (Problem is { } problem)
            throw new IOException(problem);
    }

    /// <summary>Waits for answers, as long as a question may take.</summary>
    /// <exception cref="IOException">They did not come, and <see cref="Problem"/> says so from now on.</exception>
    internal async Task WithinAsync(Task answers, CancellationToken cancellationToken)
    {
        try
        {
            await answers.WaitAsync(_options.RequestTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            Observe(answers);
            if (!IsTrouble(e))
                throw;
            throw new IOException(Fail(e), e is IOException ? e : null);
        }
    }

    /// <inheritdoc cref="WithinAsync(Task, CancellationToken)"/>
    internal async Task<T> WithinAsync<T>(Task<T> answer, CancellationToken cancellationToken)
    {
        await WithinAsync((Task)answer, cancellationToken).ConfigureAwait(false);
        return await answer.ConfigureAwait(false);
    }

    /// <summary>Waits for all answers. A key that somebody else uses for something else fails its own answer and no other.</summary>
    /// <exception cref="IOException">As above.</exception>
    internal async Task SettleAsync(IReadOnlyCollection<Task> answers, CancellationToken cancellationToken)
    {
        Task all = Task.WhenAll(answers);
        Observe(all);
        await WithinAsync(all.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default), cancellationToken).ConfigureAwait(false);
        if (all.IsCompletedSuccessfully)
            return;
        foreach (Task answer in answers)
        {
            Exception? failure = answer.Exception?.InnerException;
            if (failure is RedisServerException && failure.Message.StartsWith("WRONGTYPE", StringComparison.Ordinal))
            {
                if (Interlocked.Exchange(ref _foreignKeyTold, 1) == 0)
                    _logger.LogWarning("Somebody else uses keys of the directory: {Message}", failure.Message);
            }
            else if (failure is not null)
            {
                throw new IOException(Fail(failure));
            }
        }
    }

    /// <summary>Completes when it can be asked.</summary>
    internal Task WhenUpAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
            return _problem is null ? Task.CompletedTask : _up.Task.WaitAsync(cancellationToken);
    }

    /// <summary>It answers.</summary>
    internal void Succeed()
    {
        lock (_lock)
        {
            if (_problem is null)
                return;
            _problem = null;
            _up.TrySetResult();
        }
        _logger.LogInformation("The directory at {At} answers.", _at);
        _tried.TrySetResult();
    }

    /// <summary>It does not answer as it should.</summary>
    /// <returns>The problem.</returns>
    internal string Fail(Exception e)
    {
        string problem = Describe(e);
        bool isNew;
        lock (_lock)
        {
            if (isNew = _problem is null)
            {
                _up = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                Volatile.Write(ref _problemSinceMs, Environment.TickCount64);
            }
            _problem = problem;
        }
        bool isFirst = _tried.TrySetResult();
        if (isNew || isFirst)
            _logger.LogWarning("The directory cannot be asked: {Problem}", problem);
        if (isNew)
            _onTrouble();
        return problem;
    }

    /// <summary>Whether an exception means that the directory cannot be asked at the moment.</summary>
    internal static bool IsTrouble(Exception e) => e is RedisException or TimeoutException or IOException or ObjectDisposedException or RedisCommandException or System.Net.Sockets.SocketException;

    /// <summary>What nobody waits for any more may fail unseen.</summary>
    internal static void Observe(Task task) => _ = task.ContinueWith(static failed => _ = failed.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    // Messages of the client are long, and those of a failed handshake are not known: only kinds are told, and what a server says about commands of this directory.
    private string Describe(Exception e) => e switch
    {
        IOException => e.Message,
        TimeoutException => $"the directory at {_at} did not answer within {_options.RequestTimeout.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture)} s",
        RedisConnectionException connection => $"the directory at {_at} cannot be reached ({connection.FailureType})",
        RedisServerException => $"the directory at {_at} refused a command: {(e.Message.Length > 200 ? e.Message[..200] : e.Message)}",
        _ => $"the directory at {_at} cannot be asked ({e.GetType().Name})",
    };

    public async ValueTask DisposeAsync()
    {
        ConnectionMultiplexer? connection = Interlocked.Exchange(ref _connection, null);
        if (connection is not null)
            await connection.DisposeAsync().ConfigureAwait(false);
    }
}
