using System.Threading.Channels;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Fetching;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>Sees to it that objects sealed here have copies on so many other nodes: offers each to nodes chosen at random, and to others as long as it is refused or they are away.</summary>
internal sealed class ReplicaKeeper : IDisposable
{
    private const int AttemptMs = 30_000, PauseMs = 500;

    private readonly PlasmaNode _node;
    private readonly int _count;
    private readonly ILogger _logger;
    private readonly Channel<ObjectId> _sealed = Channel.CreateUnbounded<ObjectId>();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _work;

    internal ReplicaKeeper(PlasmaNode node, int count, ILogger logger)
    {
        (_node, _count, _logger) = (node, count, logger);
        _work = count == 0 ? Task.CompletedTask : Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(RunAsync)));
    }

    /// <summary>An object was sealed. Copies of others' objects are others' business.</summary>
    internal void OnSealed(in ObjectId id)
    {
        if (_count > 0)
            _sealed.Writer.TryWrite(id);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _sealed.Writer.TryComplete();
        _work.Wait();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            await foreach (ObjectId id in _sealed.Reader.ReadAllAsync(_stop.Token).ConfigureAwait(false))
            {
                try
                {
                    await ReplicateAsync(id).ConfigureAwait(false);
                }
#pragma warning disable CA1031 // This object has no copies then; the next ones shall.
                catch (Exception e) when (!_stop.IsCancellationRequested)
#pragma warning restore CA1031
                {
                    _logger.LogError(e, "Object {Id} could not be copied to other nodes.", id);
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidOperationException or ObjectDisposedException)
        {
            _logger.LogDebug("Replication ends: {Reason}", e.Message);
        }
    }

    private async Task ReplicateAsync(ObjectId id)
    {
        var done = new HashSet<Peer>();
        while (done.Count < _count) // Ends with the copies, with the object or with the node.
        {
            if (!_node.Store.TryDescribe(id, out ObjectImage image) || image.IsReplica)
                return;
            Peer[] candidates = [.. _node.UpPeers().Where(peer => !done.Contains(peer))];
            if (candidates.Length == 0)
            {
                _node.ConnectAll(); // One that could not be reached once may be there by now.
                await Task.Delay(PauseMs, _stop.Token).ConfigureAwait(false);
                continue;
            }
            Peer peer = candidates[Random.Shared.Next(candidates.Length)];
            PullReport report = await _node.PushAsync(new[] { id }, peer.Endpoint, TimeSpan.FromMilliseconds(AttemptMs), null, _stop.Token).ConfigureAwait(false);
            if (report.Failures.Count == 0)
                done.Add(peer);
            else
                _logger.LogInformation("Object {Id} has no copy on {Endpoint} yet: {Reason}", id, peer.Endpoint, report.Failures[0].Reason);
        }
    }
}
