using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Worker;

/// <summary>Puts of new objects into a store that is full of older ones.</summary>
internal sealed class PutEvictingOperation(IPeerClient client, WorkPlan plan, int thread) : Operation
{
    private const int OldestCount = 64;
    private readonly byte[] _payload = Bytes(plan.PayloadBytes);
    private readonly byte[] _key = new byte[Keys.SizeBytes];
    private readonly bool _isCeiling = client is CeilingPeer.Client;

    // Above the keys that fill the store, and of this measurement alone.
    private ulong _next = plan.FirstKey + ((ulong)(plan.Seed + 1) << 40) + ((ulong)thread << 36);

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Keys.Write(_key, _next++);
            client.Put(_key, _payload);
        }
    }

    /// <summary>The newest has to be there and most of the oldest gone (who only guesses which are oldest keeps some): otherwise nothing was evicted, or too much.</summary>
    internal override void End()
    {
        if (_isCeiling)
            return;
        Keys.Write(_key, _next - 1);
        if (!client.Contains(_key))
            throw Wrong("Contains of the newest object gave", 0, 1);
        int left = 0;
        int oldest = Math.Min(OldestCount, plan.KeyCount / 4);
        for (int i = 0; i < oldest; i++)
        {
            Keys.Write(_key, plan.FirstKey + (ulong)i);
            if (client.Contains(_key))
                left++;
        }

        if (left > oldest / 2)
            throw new InvalidOperationException($"Of the {oldest} oldest objects {left} are still there: the store did not make room by dropping the oldest.");
    }
}
