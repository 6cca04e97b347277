using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Worker;

/// <summary>Gets of several objects: one by one, or with one call.</summary>
internal sealed class GroupOperation : Operation
{
    private readonly IPeerClient _client;
    private readonly IBatchClient? _batch;
    private readonly KeySet _keys;
    private readonly int _size;
    private readonly long _payloadBytes;
    private int _next;

    internal GroupOperation(IPeerClient client, WorkPlan plan)
    {
        (_client, _size, _payloadBytes) = (client, plan.GroupSize, plan.PayloadBytes);
        if (plan.Kind == WorkKind.GetMany)
            _batch = client as IBatchClient ?? throw new NotSupportedException("It has no call for several objects.");

        // All keys, shuffled beforehand: what is asked for lies anywhere in the store, and the keys themselves are read one after another.
        int[] order = [.. Enumerable.Range(0, plan.KeyCount)];
        new Random(plan.Seed).Shuffle(order);
        _keys = new KeySet(plan.FirstKey, order);
    }

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (_next + _size > _keys.Count)
                _next = 0;
            long bytes = 0;
            if (_batch is { } batch)
            {
                if (batch.GetMany(_keys.Range(_next, _size), touch: false, out bytes, out _) is var found && found != _size)
                    throw Wrong("A call for several objects gave", found, _size);
            }
            else
            {
                for (int k = 0; k < _size; k++)
                    bytes += _client.Get(_keys[_next + k], touch: false, out _);
            }

            if (bytes != _size * _payloadBytes)
                throw Wrong("Gets gave the length", bytes, _size * _payloadBytes);
            _next += _size;
        }
    }
}
