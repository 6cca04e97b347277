using System.Net.Sockets;
using System.Text.Json;
using FastPlasma.Native;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Nodes;

/// <summary>The service's end of the control channel: a socket beside the store's files, over which processes of this machine and user ask for status, pulls, pushes and locations.</summary>
/// <remarks>
/// Line-delimited JSON: one request, then lines of progress and one answer, and so on. Requests of one client are served one after the other, different clients at once.
/// A client that goes away takes its request with it; what has come stays. Only the service has the socket's name, because there is one service per store: a name that is there was left by a dead one.
/// </remarks>
internal sealed class NodeControl : IDisposable
{
    /// <summary>Of the protocol; other versions are refused with both numbers.</summary>
    internal const int Version = 1;

    /// <summary>Longest request, most objects in it, most clients at a time.</summary>
    internal const int RequestBytesMax = 1 << 20, IdsMax = 8192, ClientsMax = 64;

    private const int ProgressMs = 100, StopMs = 2000;

    private readonly PlasmaNode _node;
    private readonly ILogger _logger;
    private readonly string _directory, _name;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<Socket, Task> _clients = [];
    private readonly Task _accepting;

    private NodeControl(PlasmaNode node, ILogger logger, string directory, string name, Socket listener)
    {
        (_node, _logger, _directory, _name, _listener) = (node, logger, directory, name, listener);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Begins to listen; null for an anonymous store, and where the system refuses: the node does its work without.</summary>
    internal static NodeControl? TryStart(PlasmaNode node, ILogger logger)
    {
        if (node.Store.NodeSocket is not { } place)
            return null;
        try
        {
            return new NodeControl(node, logger, place.Directory, place.Name, LocalSocket.Listen(place.Directory, place.TemporaryName, place.Name));
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            logger.LogWarning(e, "Commands of this machine cannot reach the node service of store '{Store}'.", node.Store.Name);
            return null;
        }
    }

    /// <summary>Removes the socket and ends all requests.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        try
        {
            SharedFile.TryUnlink(_directory, _name); // The store's service is still this one, so the name is, too.
        }
        catch (OsException e)
        {
            _logger.LogWarning(e, "The control socket of store '{Store}' stays behind.", _node.Store.Name);
        }
        _listener.Dispose();
        Task[] work;
        lock (_lock)
        {
            foreach (Socket client in _clients.Keys)
                client.Dispose();
            work = [_accepting, .. _clients.Values];
        }
        // Each sees the token or its socket; nothing here waits for a client.
        if (Task.WaitAll(work, StopMs))
            _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested) // Ends with the service.
        {
            Socket client;
            try
            {
                client = await _listener.AcceptAsync(_stop.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                if (_stop.IsCancellationRequested)
                    return;
                _logger.LogWarning(e, "Accepting a command failed.");
                await Task.Delay(ProgressMs).ConfigureAwait(false); // Out of descriptors, for example: not again at once.
                continue;
            }
            lock (_lock)
            {
                if (_stop.IsCancellationRequested || _clients.Count >= ClientsMax)
                    client.Dispose();
                else
                    _clients.Add(client, Task.Run(() => ServeAsync(client)));
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        await using var stream = new NetworkStream(client, ownsSocket: true);
        try
        {
            var lines = new ControlLines(stream, RequestBytesMax);
            Task<ReadOnlyMemory<byte>?> next = lines.ReadAsync(_stop.Token);
            while (await NextAsync(next, stream).ConfigureAwait(false) is { } line) // Ends with the client or the service.
            {
                if (Parse(line, out string? wrong) is not { } request)
                {
                    await WriteAsync(stream, new NodeControlReply { Error = wrong }).ConfigureAwait(false);
                    return;
                }
                using var gone = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
                Task work = AnswerAsync(stream, request, gone.Token);
                next = lines.ReadAsync(_stop.Token);
                if (await Task.WhenAny(work, next).ConfigureAwait(false) == next && (!next.IsCompletedSuccessfully || await next.ConfigureAwait(false) is null))
                    await gone.CancelAsync().ConfigureAwait(false); // The client has gone.
                await work.ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            _logger.LogDebug("A command went away: {Reason}", e.Message);
        }
        finally
        {
            lock (_lock)
                _clients.Remove(client);
        }
    }

    private static async Task<ReadOnlyMemory<byte>?> NextAsync(Task<ReadOnlyMemory<byte>?> next, Stream stream)
    {
        try
        {
            return await next.ConfigureAwait(false);
        }
        catch (InvalidDataException e)
        {
            await WriteAsync(stream, new NodeControlReply { Error = e.Message }).ConfigureAwait(false);
            return null;
        }
    }

    private static NodeControlRequest? Parse(ReadOnlyMemory<byte> line, out string? wrong)
    {
        try
        {
            NodeControlRequest? request = JsonSerializer.Deserialize(line.Span, NodeControlJson.Default.NodeControlRequest);
            wrong = request is null ? "an empty request"
                : request.Version != Version ? $"this node service speaks version {Version} of the control protocol, not {request.Version}"
                : request.Ids?.Count > IdsMax ? $"{request.Ids.Count} objects in one request; {IdsMax} are possible"
                : request.TimeoutMs is < 0 or > int.MaxValue ? $"timeoutMs is {request.TimeoutMs}; it can be 0 to {int.MaxValue}"
                : !Enum.IsDefined(request.Operation) || !Enum.IsDefined(request.Priority) ? "an unknown operation or priority"
                : request.Operation == NodeControlOperation.Push && request.Nodes is not { Count: 1 } ? "a push goes to one node"
                : request.Operation == NodeControlOperation.Locate && request.Ids is not { Count: 1 } ? "one object is located at a time"
                : null;
            return wrong is null ? request : null;
        }
        catch (JsonException e)
        {
            wrong = $"no request: {e.Message}";
            return null;
        }
    }

    private async Task AnswerAsync(Stream stream, NodeControlRequest request, CancellationToken gone)
    {
        NodeControlReply reply;
        try
        {
            reply = await WorkAsync(stream, request, gone).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            if (!_stop.IsCancellationRequested)
                return; // Nobody is there to be told.
            reply = new NodeControlReply { Error = "the node service is being stopped" };
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or IOException or TimeoutException or PlasmaException or ObjectDisposedException)
        {
            reply = new NodeControlReply { Error = e.Message };
        }
        await WriteAsync(stream, reply).ConfigureAwait(false);
    }

    private async Task<NodeControlReply> WorkAsync(Stream stream, NodeControlRequest request, CancellationToken gone)
    {
        TimeSpan timeout = TimeSpan.FromMilliseconds(request.TimeoutMs);
        ObjectId[] ids = [.. request.Ids ?? []];
        IReadOnlyList<NodeEndpoint> nodes = request.Nodes ?? [];
        switch (request.Operation)
        {
            case NodeControlOperation.Pull:
                Task<PullReport> pull = _node.PullFromAsync(ids, nodes, timeout, request.Priority, gone);
                await ReportAsync(stream, pull, () => _node.ShareHere(ids)).ConfigureAwait(false);
                return new NodeControlReply { Moved = await pull.ConfigureAwait(false) };
            case NodeControlOperation.Push:
                var there = new Latest();
                Task<PullReport> push = _node.PushAsync(ids, nodes[0], timeout, there, gone);
                await ReportAsync(stream, push, () => (double)there.Value / Math.Max(1, ids.Length)).ConfigureAwait(false);
                return new NodeControlReply { Moved = await push.ConfigureAwait(false) };
            case NodeControlOperation.Locate:
                return new NodeControlReply { Locations = await _node.LocateAtAsync(ids[0], nodes, timeout, gone).ConfigureAwait(false) };
            default:
                return new NodeControlReply { Status = _node.Report() };
        }
    }

    /// <summary>Tells how far it is until it is done; a client that has gone is noticed by who reads from it.</summary>
    private static async Task ReportAsync(Stream stream, Task work, Func<double> share)
    {
        while (await Task.WhenAny(work, Task.Delay(ProgressMs)).ConfigureAwait(false) != work) // Ends with the work.
        {
            try
            {
                await WriteAsync(stream, new NodeControlReply { Progress = share() }).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
            {
                await Task.WhenAny(work).ConfigureAwait(false);
            }
        }
    }

    private static async Task WriteAsync(Stream stream, NodeControlReply reply)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(reply, NodeControlJson.Default.NodeControlReply), (byte)'\n'];
        await stream.WriteAsync(line).ConfigureAwait(false);
    }

    private sealed class Latest : IProgress<int>
    {
        private int _value;

        internal int Value => Volatile.Read(ref _value);

        public void Report(int value) => Volatile.Write(ref _value, value);
    }
}
