using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Worker;

/// <summary>What is timed: a loop over one call of a client.</summary>
internal abstract class Operation
{
    /// <summary>Whether <see cref="Restore"/> has to run, untimed, after every timed batch.</summary>
    internal virtual bool Restores => false;

    /// <summary>Operations that are left before the keys are used up.</summary>
    internal virtual long Left => long.MaxValue;

    /// <summary>Does so many operations, one after another.</summary>
    internal abstract void Run(int count);

    /// <summary>Brings back the state before <see cref="Run"/>.</summary>
    internal virtual void Restore()
    {
    }

    /// <summary>Clears up, or checks, after the measurement; not timed.</summary>
    internal virtual void End()
    {
    }

    /// <summary>The operation of a plan.</summary>
    internal static Operation Create(WorkPlan plan, IPeerClient client, int thread)
    {
        int seed = (plan.Seed * 31) + thread;
        return plan.Kind switch
        {
            WorkKind.Get => new GetOperation(client, plan, seed),
            WorkKind.GetMissing => new MissOperation(client, plan, seed),
            WorkKind.ContainsMissing => new ContainsOperation(client, plan, seed),
            WorkKind.PutRecycled or WorkKind.PutFresh => new PutOperation(client, plan, thread),
            WorkKind.Cycle => new CycleOperation(client, plan, thread),
            WorkKind.Churn => new ChurnOperation(client, plan, thread),
            WorkKind.GetGroup or WorkKind.GetMany => new GroupOperation(client, plan),
            WorkKind.PutEvicting => new PutEvictingOperation(client, plan, thread),
            _ => throw new ArgumentOutOfRangeException(nameof(plan), plan.Kind, "This work is not timed."),
        };
    }

    /// <summary>Bytes to put: the same in every process, and nothing that a page could be shared or compressed by.</summary>
    internal static byte[] Bytes(int length)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Keys of one thread; threads of a process put different ones.</summary>
    protected static KeySet OwnKeys(WorkPlan plan, int thread) => new(plan.FirstKey + ((ulong)thread * (ulong)plan.KeyCount), plan.KeyCount);

    protected static InvalidOperationException Wrong(string what, long found, long expected) =>
        new($"{what} {found} where {expected} was due: the store lost or changed an object under load.");
}

/// <summary>Gets of objects that are there.</summary>
internal sealed class GetOperation(IPeerClient client, WorkPlan plan, int seed) : Operation
{
    private readonly KeySet _keys = new(plan.FirstKey, plan.KeyCount);
    private readonly int[] _order = KeyOrder.Create(plan.Pattern, plan.KeyCount, seed);
    private readonly int _payloadBytes = plan.PayloadBytes;
    private readonly bool _touch = plan.Touch;
    private int _next;

    /// <summary>Sum of what was read, so that reading cannot be optimised away.</summary>
    internal ulong Sum { get; private set; }

    internal override void Run(int count)
    {
        ulong all = 0;
        for (int i = 0; i < count; i++)
        {
            long length = client.Get(_keys[_order[_next++ & (KeyOrder.Length - 1)]], _touch, out ulong sum);
            if (length != _payloadBytes)
                throw Wrong("A get gave the length", length, _payloadBytes);
            all += sum;
        }

        Sum += all;
    }
}

/// <summary>Gets of objects that are not there.</summary>
internal sealed class MissOperation(IPeerClient client, WorkPlan plan, int seed) : Operation
{
    private readonly KeySet _keys = new(Keys.Missing, plan.KeyCount);
    private readonly int[] _order = KeyOrder.Create(plan.Pattern, plan.KeyCount, seed);
    private int _next;

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++)
            if (client.Get(_keys[_order[_next++ & (KeyOrder.Length - 1)]], touch: false, out _) is var length and not -1)
                throw Wrong("A get of a missing key gave the length", length, -1);
    }
}

/// <summary>Contains of objects that are not there.</summary>
internal sealed class ContainsOperation(IPeerClient client, WorkPlan plan, int seed) : Operation
{
    private readonly KeySet _keys = new(Keys.Missing, plan.KeyCount);
    private readonly int[] _order = KeyOrder.Create(plan.Pattern, plan.KeyCount, seed);
    private int _next;

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++)
            if (client.Contains(_keys[_order[_next++ & (KeyOrder.Length - 1)]]))
                throw Wrong("Contains of a missing key gave", 1, 0);
    }
}

/// <summary>Puts; what was put is deleted between the batches, or stays.</summary>
internal sealed class PutOperation(IPeerClient client, WorkPlan plan, int thread) : Operation
{
    private readonly KeySet _keys = OwnKeys(plan, thread);
    private readonly byte[] _payload = Bytes(plan.PayloadBytes);
    private int _next;

    internal override bool Restores => plan.Kind == WorkKind.PutRecycled;

    internal override long Left => _keys.Count - _next;

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++)
            client.Put(_keys[_next++], _payload);
    }

    internal override void Restore()
    {
        while (Restores && _next > 0)
            if (!client.Delete(_keys[--_next]))
                throw Wrong("A delete of an own object gave", 0, 1);
    }
}

/// <summary>The whole life of a small object: create, write, seal, delete.</summary>
internal sealed class CycleOperation(IPeerClient client, WorkPlan plan, int thread) : Operation
{
    private readonly KeySet _keys = OwnKeys(plan, thread);
    private readonly byte[] _payload = Bytes(plan.PayloadBytes);
    private int _next;

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> key = _keys[_next++ % _keys.Count];
            client.Put(key, _payload);
            if (!client.Delete(key))
                throw Wrong("A delete of an own object gave", 0, 1);
        }
    }
}

/// <summary>Background load: of four operations one put, one delete and two gets of the objects that all processes read.</summary>
internal sealed class ChurnOperation(IPeerClient client, WorkPlan plan, int thread) : Operation
{
    private readonly KeySet _own = OwnKeys(plan, thread);
    private readonly KeySet _common = new(plan.CommonFirstKey, plan.CommonKeyCount);
    private readonly int[] _order = KeyOrder.Create(KeyPattern.Uniform, plan.CommonKeyCount, (plan.Seed * 31) + thread);
    private readonly byte[] _payload = Bytes(plan.PayloadBytes);
    private int _step, _next;

    internal override void Run(int count)
    {
        for (int i = 0; i < count; i++, _step++)
        {
            // First all own keys are put, then each round deletes one and puts it again: the store has always as many objects.
            ReadOnlySpan<byte> key = _own[(_step >> 2) % _own.Count];
            bool isFirstRound = _step >> 2 < _own.Count;
            switch (_step & 3)
            {
                case 0 when !isFirstRound:
                    if (!client.Delete(key))
                        throw Wrong("A delete of an own object gave", 0, 1);
                    break;
                case 1:
                    client.Put(key, _payload);
                    break;
                default:
                    if (client.Get(_common[_order[_next++ & (KeyOrder.Length - 1)]], touch: true, out _) is var length && length != plan.PayloadBytes)
                        throw Wrong("A get gave the length", length, plan.PayloadBytes);
                    break;
            }
        }
    }

    /// <summary>Deletes the own objects that are left.</summary>
    internal override void End()
    {
        for (int i = 0; i < _own.Count; i++)
            client.Delete(_own[i]);
    }
}
