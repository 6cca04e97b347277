using System.Diagnostics;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Parts;

/// <summary>What is waited for.</summary>
internal enum WakeKind
{
    /// <summary>FastPlasma: a get that waits for one id until its object is sealed.</summary>
    Seal,

    /// <summary>FastPlasma: a wait for any of many ids, of which one is sealed.</summary>
    Any,

    /// <summary>Any peer: gets in a loop until the object is there, which is put.</summary>
    Poll,
}

/// <summary>Both sides of one kind of wait; each process uses one of them.</summary>
internal abstract class WakeSubject : IDisposable
{
    internal static WakeSubject Create(WakePlan plan) => plan.Kind switch
    {
        WakeKind.Seal => new SealSubject(plan),
        WakeKind.Any => new AnySubject(plan),
        _ => new PollSubject(plan),
    };

    /// <summary>The waker, not timed, before the waiter waits.</summary>
    internal abstract void Prepare(int round);

    /// <summary>The waker's act.</summary>
    internal abstract void Wake(int round);

    /// <summary>The waiter waits.</summary>
    internal abstract void Await(int round, TimeSpan timeout);

    /// <summary>The waiter gives back what it got, not timed.</summary>
    internal virtual void Release()
    {
    }

    /// <summary>The waker takes away the object of a round that is over, not timed.</summary>
    internal abstract void Clear(int round);

    public abstract void Dispose();

    /// <summary>Of FastPlasma, whose calls for waiting the peers' common interface does not have.</summary>
    private abstract class StoreSubject(WakePlan plan) : WakeSubject
    {
        private readonly PlasmaStore _store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = plan.Open.Address });
        private ObjectWriter _writer;

        protected PlasmaStore Store => _store;

        /// <summary>The id that is sealed in a round.</summary>
        protected abstract ObjectId IdOf(int round);

        internal override void Prepare(int round) => _writer = _store.Create(IdOf(round), sizeof(long));

        internal override void Wake(int round) => _writer.Seal();

        internal override void Clear(int round)
        {
            if (_store.Delete(IdOf(round)) is var status and not PlasmaStatus.Ok)
                throw new InvalidOperationException($"The delete of the object of the round before answered {status}.");
        }

        public override void Dispose() => _store.Dispose();

        protected static ObjectId Id(ulong number)
        {
            Span<byte> key = stackalloc byte[Keys.SizeBytes];
            Keys.Write(key, number);
            return new ObjectId(key);
        }
    }

    private sealed class SealSubject(WakePlan plan) : StoreSubject(plan)
    {
        private readonly TimeSpan _spin = plan.Sleeps ? TimeSpan.Zero : TimeSpan.FromSeconds(1);
        private PlasmaObject _got;

        internal override void Await(int round, TimeSpan timeout) => _got = Store.Get(IdOf(round), timeout, _spin);

        internal override void Release() => _got.Dispose();

        protected override ObjectId IdOf(int round) => Id((ulong)round);
    }

    private sealed class AnySubject(WakePlan plan) : StoreSubject(plan)
    {
        private readonly ObjectId[] _ids = [.. Enumerable.Range(0, plan.IdCount).Select(static i => Id((ulong)i))];
        private readonly bool[] _ready = new bool[plan.IdCount];

        internal override void Await(int round, TimeSpan timeout)
        {
            int found = Store.Wait(_ids, 1, timeout, _ready);
            if (found != 1 || !_ready[IndexOf(round)])
                throw new InvalidOperationException($"A wait for any of {_ids.Length} ids found {found}, and not the one that was sealed.");
        }

        protected override ObjectId IdOf(int round) => _ids[IndexOf(round)];

        private int IndexOf(int round) => (int)(Keys.Mix((ulong)round) % (ulong)_ids.Length);
    }

    private sealed class PollSubject : WakeSubject
    {
        private readonly IPeerSession _session;
        private readonly IPeerClient _client;
        private readonly byte[] _key = new byte[Keys.SizeBytes], _payload = new byte[sizeof(long)];

        internal PollSubject(WakePlan plan)
        {
            _session = PeerList.Find(plan.Open.Peer).Open(plan.Open.Address, plan.Open.Setup);
            _client = _session.Connect();
        }

        internal override void Prepare(int round) => Keys.Write(_key, (ulong)round);

        internal override void Wake(int round) => _client.Put(_key, _payload);

        internal override void Await(int round, TimeSpan timeout)
        {
            Keys.Write(_key, (ulong)round);
            long start = Stopwatch.GetTimestamp();
            while (_client.Get(_key, touch: true, out _) < 0)
                if (Stopwatch.GetElapsedTime(start) > timeout)
                    throw new TimeoutException($"The object was not there within {timeout.TotalSeconds:0} s.");
        }

        internal override void Clear(int round)
        {
            Keys.Write(_key, (ulong)round);
            if (!_client.Delete(_key))
                throw new InvalidOperationException("The object of the round before was not there.");
        }

        public override void Dispose()
        {
            _client.Dispose();
            _session.Dispose();
        }
    }
}
