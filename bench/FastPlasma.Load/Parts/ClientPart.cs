using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Parts;

/// <summary>The calls of clients/c/bench/hot_calls.c and clients/python/bench/hot_calls.py from .NET, asked and answered alike. Argument: the store's folder.</summary>
internal sealed class ClientPart : IPart
{
    internal const string PartName = "client", HotName = "hot";

    /// <summary>Before anything is measured: the runtime's matter alone.</summary>
    internal const string Warm = "warm";

    private const int WarmOperations = 50;
    private static readonly int[] s_warmSizes = [1 << 10, 1 << 20];

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        using PlasmaStore store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = arguments[0] });
        TimedCalls.Serve(parent, new Calls(store).Do);
    }

    private sealed class Calls(PlasmaStore store)
    {
        private readonly ObjectId _hot = ObjectId.FromName(HotName);
        private ObjectId[] _ids = [];
        private byte[] _payload = [], _copy = [];
        private long _word;
        private byte _sink;

        internal WorkResult Do(CallRequest request)
        {
            (string what, int bytes, int operations, string[] rest) = request;
            switch (what)
            {
                case Warm:
                    return TimedCalls.Warm(WarmAll);
                case "empty" or "empty-pair":
                    return TimedCalls.Time(operations, () => Increment(operations));
                case "get-release":
                    return TimedCalls.Time(operations, () => GetRelease(operations));
                case "contains":
                    return TimedCalls.Time(operations, () => Contains(operations));
                case "put":
                    Reserve(bytes);
                    _ids = [.. Enumerable.Range(0, operations).Select(static _ => ObjectId.NewRandom())];
                    return TimedCalls.Time(operations, () => Put(bytes));
                case "get":
                    return TimedCalls.Time(operations, () => Get(bytes));
                case "delete":
                    return TimedCalls.Time(operations, Delete);
                case "copy":
                    ReserveCopy(bytes, operations);
                    return TimedCalls.Time(operations, () => Copy(bytes, operations));
                case "give":
                    return TimedCalls.Time(1, () => store.Put(ObjectId.FromName(rest[0]), Pattern(bytes)));
                case "take":
                    return TimedCalls.Time(1, () => Take(rest[0], Pattern(bytes)));
                default:
                    throw new ArgumentException($"There is no such work: {what}.");
            }
        }

        private void WarmAll()
        {
            Increment(WarmOperations);
            GetRelease(WarmOperations);
            Contains(WarmOperations);
            foreach (int bytes in s_warmSizes)
            {
                ReserveCopy(bytes, 1);
                _ids = [ObjectId.NewRandom(), ObjectId.NewRandom()];
                Put(bytes);
                Get(bytes);
                Delete();
                Copy(bytes, 1);
            }
        }

        private void Reserve(int bytes)
        {
            if (_payload.Length < bytes)
                _payload = Pattern(bytes);
        }

        /// <summary>As many places as a put of so many objects has.</summary>
        private void ReserveCopy(int bytes, int operations)
        {
            Reserve(bytes);
            if (_copy.Length >= bytes * operations)
                return;
            _copy = new byte[bytes * operations];
            _copy.AsSpan().Fill(1);
        }

        private void Increment(int operations)
        {
            for (int i = 0; i < operations; i++)
                Interlocked.Increment(ref _word);
        }

        private void GetRelease(int operations)
        {
            for (int i = 0; i < operations; i++)
            {
                if (!store.TryGet(_hot, out PlasmaObject obj))
                    throw Missing(_hot);
                obj.Dispose();
            }
        }

        private void Contains(int operations)
        {
            for (int i = 0; i < operations; i++)
                if (!store.Contains(_hot))
                    throw Missing(_hot);
        }

        private void Put(int bytes)
        {
            ReadOnlySpan<byte> payload = _payload.AsSpan(0, bytes);
            foreach (ObjectId id in _ids)
                store.Put(id, payload);
        }

        private void Get(int bytes)
        {
            foreach (ObjectId id in _ids)
            {
                using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
                _sink = obj.Span[bytes / 2];
            }
        }

        private void Delete()
        {
            foreach (ObjectId id in _ids)
                if (store.Delete(id) != PlasmaStatus.Ok)
                    throw Missing(id);
        }

        private void Copy(int bytes, int operations)
        {
            for (int i = 0; i < operations; i++)
            {
                _payload.AsSpan(0, bytes).CopyTo(_copy.AsSpan(i * bytes));
                _sink = _copy[(i * bytes) + (bytes / 2)];
            }
        }

        private void Take(string name, byte[] expected)
        {
            using PlasmaObject obj = store.Get(ObjectId.FromName(name), TimeSpan.Zero);
            if (!obj.Span.SequenceEqual(expected))
                throw new InvalidDataException($"{name} has other bytes than were put.");
        }

        private static InvalidOperationException Missing(ObjectId id) => new($"Object {id} was put and is missing.");

        /// <summary>The same as in C and Python.</summary>
        private static byte[] Pattern(int bytes)
        {
            byte[] made = GC.AllocateUninitializedArray<byte>(bytes);
            for (int i = 0; i < bytes; i++)
                made[i] = (byte)((i * 7) + (i >> 8));
            return made;
        }
    }
}
