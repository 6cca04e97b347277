using System.Globalization;
using FastPlasma.Cli.Bench;
using FastPlasma.Cli.Children;

namespace FastPlasma.Load.Policies;

/// <summary>A real store of evictable objects, read by several processes in turns; two of them are attached read-only, and what they miss is put for them. Nothing evicts ahead in the background, so that the figures are the same each time.</summary>
internal sealed class StoreUnderTrace : ICacheModel, IDisposable
{
    /// <summary>Requests that one process makes before it is the next one's turn.</summary>
    private const int TurnRequests = 16;

    /// <summary>Beside the driver itself, which writes: another writer, two readers.</summary>
    private static readonly string[] s_access = ["rw", "ro", "ro"];

    private readonly string _name = $"fastplasma-eviction-{Environment.ProcessId}";
    private readonly PlasmaStore _store;
    private readonly ChildProcess[] _readers;
    private int _turn;

    internal StoreUnderTrace(long capacityBytes)
    {
        _store = PlasmaStore.Create(_name, new PlasmaOptions { CapacityBytes = capacityBytes, ObjectCountMax = 65_536, DefaultRetention = Retention.Evictable, EvictAheadBytes = 0 });
        try
        {
            _readers = [.. s_access.Select(access => ChildProcess.Start($"reader {access}", EvictionCommand.ReaderName, _name, access))];
        }
        catch
        {
            _store.Dispose();
            PlasmaStore.Destroy(_name);
            throw;
        }
    }

    public string Name => "FastPlasma";

    internal int Count => _store.Stats().SealedCount;

    /// <summary>Refused puts; there should be none.</summary>
    internal int Refused { get; private set; }

    public bool Get(int number, int bytes)
    {
        int reader = _turn++ / TurnRequests % (_readers.Length + 1) - 1;
        ObjectId id = BenchIds.Of((ulong)number);
        bool hit;
        if (reader < 0)
        {
            hit = _store.TryGet(id, out PlasmaObject obj);
            obj.Dispose();
        }
        else
        {
            _readers[reader].Send(number.ToString(CultureInfo.InvariantCulture));
            hit = _readers[reader].Receive() == "1";
        }
        if (hit)
            return true;

        // Not written: what is measured is which objects are there.
        if (_store.TryCreate(id, bytes, out ObjectWriter writer) == PlasmaStatus.Ok)
            writer.Seal();
        else
            Refused++;
        return false;
    }

    public void Dispose()
    {
        foreach (ChildProcess reader in _readers)
            reader.Dispose();
        _store.Dispose();
        PlasmaStore.Destroy(_name);
    }

    /// <summary>One reading process: a number comes, whether its object is there goes back.</summary>
    internal static void Read(string store, string access)
    {
        using var parent = new ParentPipe(orphaned: () => PlasmaStore.Destroy(store));
        using PlasmaStore attached = PlasmaStore.Open(store, new PlasmaOptions { Access = access == "ro" ? StoreAccess.ReadOnly : StoreAccess.ReadWrite });
        while (true) // Ends with the parent's pipe.
        {
            bool hit = attached.TryGet(BenchIds.Of(ulong.Parse(parent.Receive(), CultureInfo.InvariantCulture)), out PlasmaObject obj);
            obj.Dispose();
            parent.Send(hit ? "1" : "0");
        }
    }
}
