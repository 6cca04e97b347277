namespace FastPlasma.Load.Peers;

/// <summary>FastPlasma through its public API, as any program uses it.</summary>
internal sealed class FastPlasmaPeer : IPeer
{
    /// <summary>Name of the store in the instance's folder.</summary>
    internal const string StoreName = "load";

    public string Name => PeerList.Product;

    public string Description =>
        "This product: objects in shared memory without a server, through its public API with default options (4 KiB pages, no checksum). A get is a read-only view in place, pinned until Dispose. " +
        "Survives the death of any process; nothing survives a reboot.";

    public bool IsShared => true;

    public string? Missing => null;

    public bool CanEvict => true;

    public bool HasBatches => true;

    public IPeerInstance Start(PeerSetup setup)
    {
        // A quarter more than the payload: blocks are up to an eighth larger than what they hold, and small sizes take whole chunks of 2 MiB.
        PlasmaStore.Create(StoreName, new PlasmaOptions
        {
            Directory = setup.Directory,
            CapacityBytes = setup.Evicts ? setup.CapacityBytes : setup.CapacityBytes + (setup.CapacityBytes / 4) + (64L << 20),
            DefaultRetention = setup.Evicts ? Retention.Evictable : Retention.Keep,
            ObjectCountMax = Math.Max(4096, setup.ObjectCountMax + (setup.ObjectCountMax / 4)),
        }).Dispose();
        return new Instance(setup.Directory);
    }

    public IPeerSession Open(string address, PeerSetup setup) =>
        new Session(PlasmaStore.Open(StoreName, new PlasmaOptions { Directory = address }));

    private sealed class Instance(string directory) : IPeerInstance
    {
        public string Address => directory;

        public void Dispose() => PlasmaStore.Destroy(StoreName, directory);
    }

    private sealed class Session(PlasmaStore store) : IPeerSession
    {
        public IPeerClient Connect() => new Client(store);

        public void Dispose() => store.Dispose();
    }

    private sealed class Client(PlasmaStore store) : IBatchClient
    {
        private ObjectId[] _ids = [];
        private PlasmaObject[] _objects = [];

        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            PlasmaStatus status = store.TryPut(new ObjectId(key), value);
            if (status != PlasmaStatus.Ok)
                throw new InvalidOperationException($"Put of {value.Length} bytes under {Convert.ToHexString(key)} answered {status}.");
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            sum = 0;
            if (!store.TryGet(new ObjectId(key), out PlasmaObject found))
                return -1;
            using (found)
            {
                if (touch)
                    sum = Payload.Sum(found.Span);
                return found.Length;
            }
        }

        public int GetMany(ReadOnlySpan<byte> keys, bool touch, out long payloadBytes, out ulong sum)
        {
            (payloadBytes, sum) = (0, 0);
            int count = keys.Length / IBatchClient.KeyBytes;
            if (_ids.Length < count)
                (_ids, _objects) = (new ObjectId[count], new PlasmaObject[count]);
            for (int i = 0; i < count; i++)
                _ids[i] = new ObjectId(keys.Slice(i * IBatchClient.KeyBytes, IBatchClient.KeyBytes));
            int found = store.Get(_ids.AsSpan(0, count), _objects.AsSpan(0, count));
            foreach (ref PlasmaObject one in _objects.AsSpan(0, count))
            {
                if (!one.IsValid)
                    continue;
                payloadBytes += one.Length;
                if (touch)
                    sum += Payload.Sum(one.Span);
                one.Dispose();
            }

            return found;
        }

        public bool Contains(ReadOnlySpan<byte> key) => store.Contains(new ObjectId(key));

        public bool Delete(ReadOnlySpan<byte> key)
        {
            PlasmaStatus status = store.Delete(new ObjectId(key));
            return status switch
            {
                PlasmaStatus.Ok => true,
                PlasmaStatus.NotFound => false,
                _ => throw new InvalidOperationException($"Delete answered {status}."),
            };
        }

        public void Dispose()
        {
        }
    }
}
