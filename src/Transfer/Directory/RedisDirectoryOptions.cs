using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>Where the directory is and how it is used; the same on all nodes of a cluster.</summary>
public sealed record RedisDirectoryOptions
{
    /// <summary>Configuration string of StackExchange.Redis: <c>host:port,host:port,password=…,ssl=true</c>. For a Redis cluster some of its masters. Timeouts in it are not used.</summary>
    public required string Configuration { get; init; }

    /// <summary>What all keys and channels begin with: the cluster's name, so that several can share a server. 1 to 64 letters, digits and <c>- _ . :</c>. Default "fastplasma".</summary>
    public string Prefix { get; init; } = "fastplasma";

    /// <summary>How often a node says that it lives and looks who else does. Default 2 s.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A node that has not said for so long that it lives counts as dead. At least two heartbeats; default 10 s.</summary>
    public TimeSpan LeaseTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>What is known of an object is forgotten after so long unless one of its holders announces it again, which each does three times in that time. At least <see cref="LeaseTime"/>; default 1 hour.</summary>
    public TimeSpan LocationLease { get; init; } = TimeSpan.FromHours(1);

    /// <summary>A question that is not answered within so long has failed. 50 ms to 1 minute; default 1 s.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Objects in one pipelined round. 1 to 4096; default 512.</summary>
    public int BatchMax { get; init; } = 512;

    /// <summary>Changes that wait to be told, of 64 bytes each; beyond these they are forgotten, and all objects are announced again later. At least four times <see cref="BatchMax"/>, at most a million; default 65,536.</summary>
    public int QueueMax { get; init; } = 65_536;

    /// <summary>Everything but the configuration string, which may hold a password.</summary>
    public override string ToString() => $"{nameof(RedisDirectoryOptions)} {{ Prefix = {Prefix}, HeartbeatInterval = {HeartbeatInterval}, LeaseTime = {LeaseTime}, LocationLease = {LocationLease}, RequestTimeout = {RequestTimeout}, BatchMax = {BatchMax}, QueueMax = {QueueMax} }}";

    /// <summary>Says what is impossible about these options, or null; never with parts of the configuration string.</summary>
    internal string? Validate() =>
        Parse() is null ? "Configuration is no configuration string of StackExchange.Redis with at least one address (it is not repeated here because it may hold a password)"
        : Prefix.Length is < 1 or > 64 || Prefix.Any(static c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.' or ':')) ? "Prefix has to be 1 to 64 letters, digits or - _ . :"
        : HeartbeatInterval < TimeSpan.FromMilliseconds(20) || HeartbeatInterval > TimeSpan.FromMinutes(10) ? $"HeartbeatInterval is {HeartbeatInterval}; it can be 20 ms to 10 minutes"
        : LeaseTime < 2 * HeartbeatInterval || LeaseTime > TimeSpan.FromHours(1) ? $"LeaseTime is {LeaseTime}; it can be two heartbeats ({2 * HeartbeatInterval}) to 1 hour"
        : LocationLease < LeaseTime || LocationLease > TimeSpan.FromDays(7) ? $"LocationLease is {LocationLease}; it can be LeaseTime ({LeaseTime}) to 7 days"
        : RequestTimeout < TimeSpan.FromMilliseconds(50) || RequestTimeout > TimeSpan.FromMinutes(1) ? $"RequestTimeout is {RequestTimeout}; it can be 50 ms to 1 minute"
        : BatchMax is < 1 or > 4096 ? $"BatchMax is {BatchMax}; it can be 1 to 4096"
        : QueueMax < 4 * BatchMax || QueueMax > 1_000_000 ? $"QueueMax is {QueueMax}; it can be four times BatchMax ({4 * BatchMax}) to 1,000,000"
        : null;

    /// <summary>What the client is told; null if the string cannot be read.</summary>
    internal ConfigurationOptions? Parse()
    {
        ConfigurationOptions parsed;
        try
        {
            parsed = ConfigurationOptions.Parse(Configuration ?? "");
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException)
        {
            return null; // Its message may repeat parts of the string.
        }
        if (parsed.EndPoints.Count == 0)
            return null;
        int requestMs = (int)RequestTimeout.TotalMilliseconds;
        parsed.AbortOnConnectFail = false;
        parsed.BacklogPolicy = BacklogPolicy.FailFast;
        parsed.AsyncTimeout = parsed.SyncTimeout = requestMs;
        parsed.ConnectTimeout = Math.Max(requestMs, 2000);
        parsed.ConnectRetry = 1;
        parsed.HeartbeatInterval = TimeSpan.FromMilliseconds(250);
        parsed.ReconnectRetryPolicy = new LinearRetry(250);
        parsed.IncludeDetailInExceptions = parsed.IncludePerformanceCountersInExceptions = false;
        parsed.ClientName ??= "fastplasma";
        return parsed;
    }
}
