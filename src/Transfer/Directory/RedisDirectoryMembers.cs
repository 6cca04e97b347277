using System.Collections.Frozen;
using System.Security.Cryptography;
using StackExchange.Redis;

namespace FastPlasma.Transfer.Directory;

/// <summary>Who lives: each node keeps a key under a lease, named by a session.</summary>
/// <remarks>A session whose lease was over never comes back; its node takes a new one and announces everything again. So a location of a session that is not there is dead for good, and anybody may remove it.</remarks>
internal sealed class RedisDirectoryMembers(RedisDirectoryOptions options, RedisDirectoryKeys keys, RedisDirectoryLink link)
{
    private NodeDescription? _self;
    private volatile FrozenDictionary<string, NodeDescription?> _alive = FrozenDictionary<string, NodeDescription?>.Empty;
    private volatile IReadOnlyList<NodeDescription> _others = [];
    private string? _session, _previous;

    internal NodeDescription Self
    {
        get => _self ?? throw new InvalidOperationException("The directory has not been started.");
        set => _self = value;
    }

    /// <summary>Nodes that were alive at the last heartbeat, without this one.</summary>
    internal IReadOnlyList<NodeDescription> Others => _others;

    /// <summary>Of this node; null before the first heartbeat.</summary>
    internal string? Session => Volatile.Read(ref _session);

    /// <summary>The session before this one, as long as locations may bear it that are announced anew.</summary>
    internal string? Previous => Volatile.Read(ref _previous);

    internal void ForgetPrevious() => Volatile.Write(ref _previous, null);

    /// <summary>Renews the own lease.</summary>
    /// <returns>False if it was over and there is a new session: everything has to be announced again.</returns>
    internal async Task<bool> BeatAsync()
    {
        IDatabase database = link.Database;
        string? session = _session;
        bool isAlive = session is not null && await link.WithinAsync(database.KeyExpireAsync(keys.Node(session), options.LeaseTime), CancellationToken.None).ConfigureAwait(false);
        if (!isAlive)
        {
            string made = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(RedisDirectoryKeys.SessionChars / 2));
            await link.WithinAsync(database.StringSetAsync(keys.Node(made), RedisDirectoryKeys.Description(Self), options.LeaseTime), CancellationToken.None).ConfigureAwait(false);
            Volatile.Write(ref _previous, session);
            Volatile.Write(ref _session, session = made);
        }
        await link.WithinAsync(database.SetAddAsync(keys.Nodes, session), CancellationToken.None).ConfigureAwait(false);
        await RefreshAsync(CancellationToken.None).ConfigureAwait(false);
        return isAlive;
    }

    /// <summary>The node of a session, if it lived at the last look.</summary>
    internal NodeDescription? Find(string session) => _alive.GetValueOrDefault(session);

    /// <summary>Sessions of the node at an address.</summary>
    internal HashSet<string> SessionsAt(NodeEndpoint endpoint) => [.. _alive.Where(node => node.Value?.Endpoint == endpoint).Select(static node => node.Key)];

    /// <summary>Looks who lives now. A session that is not in the result and was seen before this call is dead; one without description is of another version.</summary>
    internal async Task<FrozenDictionary<string, NodeDescription?>> RefreshAsync(CancellationToken cancellationToken)
    {
        IDatabase database = link.Database;
        RedisValue[] sessions = await link.WithinAsync(database.SetMembersAsync(keys.Nodes), cancellationToken).ConfigureAwait(false);
        RedisValue[] descriptions = sessions.Length == 0 ? [] : await link.WithinAsync(database.StringGetAsync([.. sessions.Select(session => keys.Node(session!))]), cancellationToken).ConfigureAwait(false);
        var alive = new Dictionary<string, NodeDescription?>();
        for (int i = 0; i < sessions.Length; i++)
            if (descriptions[i].IsNull)
                RedisDirectoryLink.Observe(database.SetRemoveAsync(keys.Nodes, sessions[i])); // Who lives puts itself back with each heartbeat.
            else
                alive[sessions[i]!] = RedisDirectoryKeys.ParseDescription(descriptions[i]);
        FrozenDictionary<string, NodeDescription?> now = alive.ToFrozenDictionary();
        _alive = now;
        _others = [.. now.Values.OfType<NodeDescription>().Where(node => node.Id != Self.Id && node.Endpoint != Self.Endpoint).DistinctBy(static node => node.Endpoint).OrderBy(static node => node.Endpoint.ToString(), StringComparer.Ordinal)];
        return now;
    }

    /// <summary>Leaves: nobody looks for objects here any more.</summary>
    internal async Task LeaveAsync()
    {
        if (_session is not { } session)
            return;
        IDatabase database = link.Database;
        await link.WithinAsync(Task.WhenAll(database.KeyDeleteAsync(keys.Node(session)), database.SetRemoveAsync(keys.Nodes, session)), CancellationToken.None).ConfigureAwait(false);
    }
}
