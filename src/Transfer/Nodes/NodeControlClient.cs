using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using FastPlasma.Native;

namespace FastPlasma.Transfer.Nodes;

/// <summary>Asks the running node service of a store on this machine. One request at a time.</summary>
internal sealed class NodeControlClient : IDisposable
{
    /// <summary>Longest answer: one failure with its reason for each object of a request.</summary>
    private const int ReplyBytesMax = 64 << 20;

    private readonly NetworkStream _stream;
    private readonly ControlLines _lines;

    private NodeControlClient(Socket socket)
    {
        _stream = new NetworkStream(socket, ownsSocket: true);
        _lines = new ControlLines(_stream, ReplyBytesMax);
    }

    /// <summary>Connects; null when no service runs.</summary>
    /// <exception cref="UnauthorizedAccessException">It is another user's.</exception>
    /// <exception cref="IOException">The system refused.</exception>
    internal static NodeControlClient? TryConnect(PlasmaStore store) =>
        store.NodeSocket is { } place && LocalSocket.TryConnect(place.Directory, place.Name) is { } socket ? new NodeControlClient(socket) : null;

    internal async Task<NodeReport> StatusAsync(CancellationToken cancellationToken) =>
        (await AskAsync(new NodeControlRequest { Version = NodeControl.Version, Operation = NodeControlOperation.Status }, null, cancellationToken).ConfigureAwait(false)).Status ?? throw Strange();

    internal Task<PullReport> PullAsync(
        ReadOnlyMemory<ObjectId> ids, IReadOnlyList<NodeEndpoint> from, TimeSpan timeout, TransferPriority priority, IProgress<double>? progress, CancellationToken cancellationToken) =>
        MoveAsync(ids, new NodeControlRequest { Version = NodeControl.Version, Operation = NodeControlOperation.Pull, Nodes = from, Priority = priority }, timeout, progress, cancellationToken);

    internal Task<PullReport> PushAsync(ReadOnlyMemory<ObjectId> ids, NodeEndpoint to, TimeSpan timeout, IProgress<double>? progress, CancellationToken cancellationToken) =>
        MoveAsync(ids, new NodeControlRequest { Version = NodeControl.Version, Operation = NodeControlOperation.Push, Nodes = [to] }, timeout, progress, cancellationToken);

    internal async Task<IReadOnlyList<ObjectLocation>> LocateAsync(ObjectId id, IReadOnlyList<NodeEndpoint> peers, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var request = new NodeControlRequest { Version = NodeControl.Version, Operation = NodeControlOperation.Locate, Ids = [id], Nodes = peers, TimeoutMs = (long)timeout.TotalMilliseconds };
        return (await AskAsync(request, null, cancellationToken).ConfigureAwait(false)).Locations ?? throw Strange();
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>In pieces, which share the time.</summary>
    private async Task<PullReport> MoveAsync(ReadOnlyMemory<ObjectId> ids, NodeControlRequest request, TimeSpan timeout, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        long began = Stopwatch.GetTimestamp();
        int done = 0;
        var failures = new List<PullFailure>();
        for (int at = 0; at < ids.Length; at += NodeControl.IdsMax)
        {
            ObjectId[] part = ids.Slice(at, Math.Min(NodeControl.IdsMax, ids.Length - at)).ToArray();
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(began);
            int before = at;
            IProgress<double>? partProgress = progress is null ? null : new Share(share => progress.Report((before + (share * part.Length)) / ids.Length));
            NodeControlReply reply = await AskAsync(
                request with { Ids = part, TimeoutMs = Math.Max(0, (long)left.TotalMilliseconds) }, partProgress, cancellationToken).ConfigureAwait(false);
            PullReport report = reply.Moved ?? throw Strange();
            done += report.Here;
            failures.AddRange(report.Failures);
        }
        return new PullReport(done, failures);
    }

    private async Task<NodeControlReply> AskAsync(NodeControlRequest request, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        try
        {
            byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(request, NodeControlJson.Default.NodeControlRequest), (byte)'\n'];
            await _stream.WriteAsync(line, cancellationToken).ConfigureAwait(false);
            while (await _lines.ReadAsync(cancellationToken).ConfigureAwait(false) is { } answer) // Ends with the answer or the service.
            {
                NodeControlReply reply = JsonSerializer.Deserialize(answer.Span, NodeControlJson.Default.NodeControlReply) ?? throw Strange();
                if (reply.Error is { } error)
                    throw new IOException($"the node service: {error}");
                if (reply.Progress is not { } share)
                    return reply;
                progress?.Report(share);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidDataException)
        {
            throw new IOException($"the node service answers in a way that is not understood: {e.Message}", e);
        }
        catch (IOException e) when (e.InnerException is SocketException)
        {
            // As if it had closed the connection.
        }
        throw new IOException("the node service ended before it had answered");
    }

    private static IOException Strange() => new("the node service answers something else than was asked");

    private sealed class Share(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }
}
