namespace FastPlasma.Simulation;

/// <summary>A data connection: chunks go from its server to its requester, one after the other.</summary>
internal sealed class Flow(SimNode server, SimFetch fetch)
{
    internal readonly SimNode Server = server;
    internal readonly SimFetch Fetch = fetch;
    internal readonly Queue<(int Chunk, int Bytes)> Queue = [];
    internal int LeftBytes, InFlightBytes;
    internal bool IsReady, IsDown;
}

/// <summary>What a node sends: its connections take turns, a piece each, as fair queues and many TCP connections do. One whose window is full waits until its requester has received something.</summary>
internal sealed class Uplink(Simulator simulator, SimOptions options)
{
    private readonly Queue<Flow> _ready = [];
    private bool _busy;

    internal long SentBytes { get; private set; }

    internal int QueuedChunks { get; private set; }

    internal int QueuedChunksMax { get; private set; }

    internal void Send(Flow flow, int chunk, int bytes)
    {
        if (flow.Queue.Count == 0)
            flow.LeftBytes = bytes;
        flow.Queue.Enqueue((chunk, bytes));
        QueuedChunksMax = Math.Max(QueuedChunksMax, ++QueuedChunks);
        Continue(flow);
    }

    internal void Continue(Flow flow)
    {
        if (flow.IsReady || flow.IsDown || flow.Queue.Count == 0 || flow.InFlightBytes >= options.WindowBytes)
            return;
        flow.IsReady = true;
        _ready.Enqueue(flow);
        Next();
    }

    internal void Drop(Flow flow)
    {
        flow.IsDown = true;
        QueuedChunks -= flow.Queue.Count;
        flow.Queue.Clear();
    }

    private void Next()
    {
        while (!_busy && _ready.TryDequeue(out Flow? flow)) // Ends with those that are ready.
        {
            flow.IsReady = false;
            if (flow.IsDown || flow.Queue.Count == 0)
                continue;
            int bytes = Math.Min(options.QuantumBytes, flow.LeftBytes);
            _busy = true;
            flow.InFlightBytes += bytes;
            simulator.After((long)(bytes / options.BytesPerNs), () => Sent(flow, bytes));
        }
    }

    private void Sent(Flow flow, int bytes)
    {
        _busy = false;
        SentBytes += bytes;
        if (!flow.IsDown)
        {
            int chunk = flow.Queue.Peek().Chunk;
            flow.LeftBytes -= bytes;
            bool isLast = flow.LeftBytes == 0;
            if (isLast)
            {
                flow.Queue.Dequeue();
                QueuedChunks--;
                if (flow.Queue.TryPeek(out (int Chunk, int Bytes) next))
                    flow.LeftBytes = next.Bytes;
            }
            simulator.After(options.LatencyNs, () => flow.Fetch.Node.Down.Receive(flow, bytes, isLast ? chunk : -1));
            Continue(flow);
        }
        Next();
    }
}

/// <summary>What a node receives: in the order in which it comes.</summary>
internal sealed class Downlink(Simulator simulator, SimOptions options)
{
    private long _freeAt;

    internal long ReceivedBytes { get; private set; }

    /// <param name="flow">Over which it comes.</param>
    /// <param name="bytes">How much.</param>
    /// <param name="chunk">The chunk that ends with it, or -1.</param>
    internal void Receive(Flow flow, int bytes, int chunk)
    {
        _freeAt = Math.Max(_freeAt, simulator.Now) + (long)(bytes / options.BytesPerNs);
        simulator.After(_freeAt - simulator.Now, () =>
        {
            flow.InFlightBytes -= bytes;
            if (flow.IsDown)
                return;
            ReceivedBytes += bytes;
            flow.Server.Up.Continue(flow);
            if (chunk >= 0)
                flow.Fetch.OnChunk(flow, chunk);
        });
    }
}
