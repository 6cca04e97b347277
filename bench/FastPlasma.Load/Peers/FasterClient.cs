using FASTER.core;

namespace FastPlasma.Load.Peers;

/// <summary>What a get gives back.</summary>
/// <param name="Bytes">The object's length.</param>
/// <param name="Sum">The sum of its bytes, or 0.</param>
internal record struct FasterRead(long Bytes, ulong Sum);

/// <summary>Reads records in place and never changes one: a put of a key in use appends, so that nobody reads bytes that are being written.</summary>
internal sealed class FasterFunctions : FunctionsBase<SpanByte, SpanByte, bool, FasterRead, Empty>
{
    public override bool SingleReader(ref SpanByte key, ref bool input, ref SpanByte value, ref FasterRead dst, ref ReadInfo readInfo) => Read(input, ref value, out dst);

    public override bool ConcurrentReader(ref SpanByte key, ref bool input, ref SpanByte value, ref FasterRead dst, ref ReadInfo readInfo) => Read(input, ref value, out dst);

    public override bool SingleWriter(ref SpanByte key, ref bool input, ref SpanByte src, ref SpanByte dst, ref FasterRead output, ref UpsertInfo upsertInfo, WriteReason reason)
    {
        src.CopyTo(ref dst);
        return true;
    }

    public override bool ConcurrentWriter(ref SpanByte key, ref bool input, ref SpanByte src, ref SpanByte dst, ref FasterRead output, ref UpsertInfo upsertInfo) => false;

    public override bool ConcurrentDeleter(ref SpanByte key, ref SpanByte value, ref DeleteInfo deleteInfo) => true;

    private static bool Read(bool touch, ref SpanByte value, out FasterRead result)
    {
        result = new FasterRead(value.Length, touch ? Payload.Sum(value.AsReadOnlySpan()) : 0);
        return true;
    }
}

/// <summary>One session of FASTER.</summary>
internal sealed unsafe class FasterClient : IBatchClient
{
    private readonly ClientSession<SpanByte, SpanByte, bool, FasterRead, Empty, FasterFunctions> _session;
    private readonly FasterLogSpace _space;

    internal FasterClient(FasterKV<SpanByte, SpanByte> store, FasterLogSpace space)
    {
        _session = store.For(new FasterFunctions()).NewSession<FasterFunctions>();
        _space = space;
    }

    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        _space.Ensure(value.Length);
        // SAFETY: FASTER copies key and value into its log before the call returns.
        fixed (byte* keyBytes = key)
        fixed (byte* valueBytes = value)
        {
            SpanByte k = SpanByte.FromPointer(keyBytes, key.Length), v = SpanByte.FromPointer(valueBytes, value.Length);
            Check(_session.Upsert(ref k, ref v), "put");
        }
    }

    public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
    {
        var read = default(FasterRead);
        Status status;
        // SAFETY: the call reads the key and does not keep it: no read is pending, see Check.
        fixed (byte* keyBytes = key)
        {
            SpanByte k = SpanByte.FromPointer(keyBytes, key.Length);
            long begin;
            do
            {
                begin = _space.BeginAddress;
                status = _session.Read(ref k, ref touch, ref read);
                Check(status, "get");
            }
            while (!status.Found && _space.BeginAddress != begin); // The record was moved by a compaction; ends because one takes far longer than a read.
        }
        sum = read.Sum;
        return status.Found ? read.Bytes : -1;
    }

    public int GetMany(ReadOnlySpan<byte> keys, bool touch, out long payloadBytes, out ulong sum)
    {
        int count = 0;
        payloadBytes = 0;
        sum = 0;
        var context = _session.UnsafeContext;
        context.BeginUnsafe();
        try
        {
            // SAFETY: as in Get.
            fixed (byte* keyBytes = keys)
                for (int offset = 0; offset < keys.Length; offset += IBatchClient.KeyBytes)
                {
                    var read = default(FasterRead);
                    SpanByte k = SpanByte.FromPointer(keyBytes + offset, IBatchClient.KeyBytes);
                    Status status;
                    long begin;
                    do
                    {
                        begin = _space.BeginAddress;
                        status = context.Read(ref k, ref touch, ref read);
                        Check(status, "get");
                    }
                    while (!status.Found && _space.BeginAddress != begin); // As in Get.
                    if (!status.Found)
                        continue;
                    count++;
                    payloadBytes += read.Bytes;
                    sum += read.Sum;
                }
        }
        finally
        {
            context.EndUnsafe();
        }
        return count;
    }

    public bool Contains(ReadOnlySpan<byte> key) => Get(key, touch: false, out _) >= 0;

    public bool Delete(ReadOnlySpan<byte> key)
    {
        // A delete of a record that is not in the mutable part of the log appends a tombstone without looking whether there is an object; the answer costs a look-up.
        if (!Contains(key))
            return false;
        _space.Ensure(0);
        // SAFETY: as in Put.
        fixed (byte* keyBytes = key)
        {
            SpanByte k = SpanByte.FromPointer(keyBytes, key.Length);
            Check(_session.Delete(ref k), "delete");
        }
        return true;
    }

    public void Dispose() => _session.Dispose();

    private static void Check(Status status, string action)
    {
        if (status.IsPending)
            throw new InvalidOperationException($"FASTER could not {action} an object in memory: a part of its log that is in use has been dropped.");
        if (status.IsFaulted)
            throw new InvalidOperationException($"FASTER could not {action} an object: {status}.");
    }
}
