// STUB for compiling clients; the real implementation replaces this file.
using System.Buffers;
namespace FastPlasma;
public sealed partial class PlasmaStore : IDisposable
{
    public static PlasmaStore OpenOrCreate(string name, PlasmaOptions? options = null) => throw new NotImplementedException();
    public static PlasmaStore Open(string name, PlasmaOptions? options = null) => throw new NotImplementedException();
    public static PlasmaStore Create(string name, PlasmaOptions? options = null) => throw new NotImplementedException();
    public static PlasmaStore CreateAnonymous(PlasmaOptions? options = null) => throw new NotImplementedException();
    public static bool Destroy(string name, string? directory = null) => throw new NotImplementedException();
    public static IReadOnlyList<string> ListStores(string? directory = null) => throw new NotImplementedException();
    public string Name => throw new NotImplementedException();
    public Guid Uuid => throw new NotImplementedException();
    public long CapacityBytes => throw new NotImplementedException();
    public int ObjectCountMax => throw new NotImplementedException();
    public StoreAccess Access => throw new NotImplementedException();
    // put/create (throwing forms throw PlasmaException/StoreFullException with Status)
    public void Put(in ObjectId id, ReadOnlySpan<byte> payload, in ObjectOptions options = default) => throw new NotImplementedException();
    public PlasmaStatus TryPut(in ObjectId id, ReadOnlySpan<byte> payload, in ObjectOptions options = default) => throw new NotImplementedException();
    public ObjectWriter Create(in ObjectId id, long payloadBytes, in ObjectOptions options = default) => throw new NotImplementedException();
    public PlasmaStatus TryCreate(in ObjectId id, long payloadBytes, out ObjectWriter writer, in ObjectOptions options = default) => throw new NotImplementedException();
    /// <summary>puts many; returns number of Ok.</summary>
    public int CreateAndSeal(ReadOnlySpan<ObjectId> ids, ReadOnlySpan<ReadOnlyMemory<byte>> payloads, Span<PlasmaStatus> statuses, in ObjectOptions options = default) => throw new NotImplementedException();
    public PlasmaStatus Abort(in ObjectId id) => throw new NotImplementedException();
    // get
    public bool TryGet(in ObjectId id, out PlasmaObject obj) => throw new NotImplementedException();
    public PlasmaStatus TryGet(in ObjectId id, TimeSpan timeout, out PlasmaObject obj, TimeSpan spin = default, CancellationToken cancellationToken = default) => throw new NotImplementedException();
    /// <summary>throws TimeoutException with the reason; OperationCanceledException.</summary>
    public PlasmaObject Get(in ObjectId id, TimeSpan timeout, TimeSpan spin = default, CancellationToken cancellationToken = default) => throw new NotImplementedException();
    public ValueTask<PlasmaObject> GetAsync(ObjectId id, TimeSpan timeout, CancellationToken cancellationToken = default) => throw new NotImplementedException();
    /// <summary>batch; returns number found; missing ones have IsValid == false.</summary>
    public int Get(ReadOnlySpan<ObjectId> ids, Span<PlasmaObject> objects, TimeSpan timeout = default, CancellationToken cancellationToken = default) => throw new NotImplementedException();
    /// <summary>waits until count of ids are sealed; returns how many are ready.</summary>
    public int Wait(ReadOnlySpan<ObjectId> ids, int count, TimeSpan timeout, Span<bool> ready, CancellationToken cancellationToken = default) => throw new NotImplementedException();
    public bool Contains(in ObjectId id) => throw new NotImplementedException();
    /// <summary>Ok, NotFound, NotSealed.</summary>
    public PlasmaStatus Delete(in ObjectId id) => throw new NotImplementedException();
    /// <summary>returns freed bytes.</summary>
    public long Evict(long bytes) => throw new NotImplementedException();
    public IReadOnlyList<ObjectInfo> List() => throw new NotImplementedException();
    public StoreStats Stats() => throw new NotImplementedException();
    public PlasmaSubscription Subscribe() => throw new NotImplementedException();
    public VerifyReport Verify(bool checksums = true, IProgress<double>? progress = null) => throw new NotImplementedException();
    /// <summary>Admits a user (name or decimal uid) as reader.</summary>
    public void AdmitReader(string user) => throw new NotImplementedException();
    /// <summary>Recovers dead participants, finishes condemned objects; returns participants recovered.</summary>
    public int Maintain() => throw new NotImplementedException();
    public void Dispose() => throw new NotImplementedException();
}
/// <summary>A pin. Copies of the struct are one handle.</summary>
public readonly unsafe struct PlasmaObject : IDisposable
{
    public bool IsValid => throw new NotImplementedException();
    public ObjectId Id => throw new NotImplementedException();
    public long Length => throw new NotImplementedException();
    public ReadOnlySpan<byte> Span => throw new NotImplementedException();   // throws if Length > int.MaxValue
    public ReadOnlySpan<byte> GetSpan(long offset, int length) => throw new NotImplementedException();
    public byte* Pointer => throw new NotImplementedException();
    public ReadOnlySpan<byte> Metadata => throw new NotImplementedException();
    public string Name => throw new NotImplementedException();
    public string ContentType => throw new NotImplementedException();
    public ulong? Checksum => throw new NotImplementedException();
    public bool VerifyChecksum() => throw new NotImplementedException();
    public ReadOnlySequence<byte> AsSequence() => throw new NotImplementedException();
    public ReadOnlyMemory<byte> AsMemory() => throw new NotImplementedException();
    public Stream OpenStream() => throw new NotImplementedException();
    public void CopyTo(Span<byte> destination) => throw new NotImplementedException();
    public void CopyTo(long offset, Span<byte> destination) => throw new NotImplementedException();
    public void Dispose() => throw new NotImplementedException();
}
public readonly unsafe struct ObjectWriter : IDisposable
{
    public bool IsOpen => throw new NotImplementedException();
    public long Length => throw new NotImplementedException();
    public Span<byte> Span => throw new NotImplementedException();
    public Span<byte> GetSpan(long offset, int length) => throw new NotImplementedException();
    public byte* Pointer => throw new NotImplementedException();
    public void CopyFrom(ReadOnlySpan<byte> source, long offset = 0) => throw new NotImplementedException(); // counted copy
    public Stream OpenStream() => throw new NotImplementedException();  // write stream, counted copy
    public void Seal() => throw new NotImplementedException();
    public PlasmaStatus TrySeal() => throw new NotImplementedException();
    public void Dispose() => throw new NotImplementedException();  // abort if not sealed
}
public sealed class PlasmaSubscription : IDisposable
{
    public long Lost => throw new NotImplementedException();
    public bool TryRead(out PlasmaEvent e) => throw new NotImplementedException();
    public bool Read(TimeSpan timeout, out PlasmaEvent e, CancellationToken cancellationToken = default) => throw new NotImplementedException();
    public void Dispose() => throw new NotImplementedException();
}
