using System.Runtime.InteropServices;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    /// <summary>Told apart from an object's: the words of one are no handle of the other.</summary>
    private const ulong WriterMark = 1UL << 63;

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_put")]
    internal static int Put(nint store, ObjectId* id, byte* data, long size, FpObjectOptions* options)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (id == null || (data == null && size != 0))
                return Null("id or data");
            if (options == null)
            {
                PlasmaStatus plain = found.TryPut(in *id, data, size, default);
                return plain == PlasmaStatus.Ok ? 0 : Refused(found, plain, id, size, default);
            }
            ObjectOptions parsed = Arguments.Options(options, stackalloc char[Arguments.TextCharsMax]);
            PlasmaStatus status = found.TryPut(in *id, data, size, parsed);
            return status == PlasmaStatus.Ok ? 0 : Refused(found, status, id, size, parsed);
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_put_many")]
    internal static int PutMany(nint store, ObjectId* ids, FpBuffer* payloads, nuint count, FpObjectOptions* options, int* statuses, nuint* okCount)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            Span<ObjectId> idSpan = Arguments.Array(ids, count, "ids");
            Span<FpBuffer> payloadSpan = Arguments.Array(payloads, count, "payloads");
            Span<int> statusSpan = Arguments.Array(statuses, count, "statuses");
            foreach (ref FpBuffer payload in payloadSpan)
                if (payload.Size < 0 || (payload.Data == null && payload.Size != 0))
                    return Errors.Fail(Status.InvalidArgument, "A payload is NULL or has a negative size.");
            ObjectOptions parsed = Arguments.Options(options, stackalloc char[Arguments.TextCharsMax]);
            nuint ok = 0;
            for (int i = 0; i < idSpan.Length; i++)
            {
                PlasmaStatus status = found.TryPut(in idSpan[i], payloadSpan[i].Data, payloadSpan[i].Size, parsed);
                statusSpan[i] = (int)status;
                ok += status == PlasmaStatus.Ok ? 1u : 0;
            }
            if (okCount != null)
                *okCount = ok;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_create")]
    internal static int Create(nint store, ObjectId* id, long size, FpObjectOptions* options, FpWriter* writer)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (id == null || writer == null)
                return Null("id or writer");
            ObjectOptions parsed = options == null ? default : Arguments.Options(options, stackalloc char[Arguments.TextCharsMax]);
            PlasmaStatus status = found.TryCreate(in *id, size, out ObjectWriter created, parsed);
            if (status != PlasmaStatus.Ok)
                return Refused(found, status, id, size, parsed);
            writer->Data = created.Base;
            writer->Size = size;
            writer->Internal[0] = (ulong)store | WriterMark;
            writer->Internal[1] = found.NumberOf(created.Entry);
            writer->Internal[2] = (uint)created.Slot;
            writer->Internal[3] = (ulong)created.Sequence;
            writer->Internal[4] = (ulong)created.TailBytes;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_seal")]
    internal static int Seal(FpWriter* writer)
    {
        PlasmaStore? store = null;
        try
        {
            if (!TryWriter(writer, out store, out ObjectWriter open, out int failure))
                return failure;

            // A caller may have moved data while it wrote, or cut size short: what it means is not what would be sealed.
            if (writer->Data != open.Base || writer->Size != open.Length)
                return Errors.Fail(Status.InvalidArgument, $"data or size of the writer were changed: fp_create gave {open.Length} bytes at 0x{(nuint)open.Base:x}. It is still open.");
            return Errors.Report(open.TrySeal());
        }
        catch (Exception e)
        {
            return Errors.From(e, store);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_abort")]
    internal static int Abort(FpWriter* writer)
    {
        PlasmaStore? store = null;
        try
        {
            return TryWriter(writer, out store, out ObjectWriter open, out int failure) ? Errors.Report(store.AbortWriter(open.Slot, open.Sequence)) : failure;
        }
        catch (Exception e)
        {
            return Errors.From(e, store);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_abort_id")]
    internal static int AbortId(nint store, ObjectId* id)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            return id == null ? Null("id") : Errors.Report(found.Abort(in *id));
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_delete")]
    internal static int Delete(nint store, ObjectId* id)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            return id == null ? Null("id") : Errors.Report(found.Delete(in *id));
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    /// <summary>The store and the writer of a caller's struct, or the status to return.</summary>
    private static bool TryWriter(FpWriter* writer, out PlasmaStore store, out ObjectWriter open, out int failure)
    {
        store = null!;
        open = default;
        if (writer == null)
        {
            failure = Null("writer");
            return false;
        }
        if ((writer->Internal[0] & WriterMark) == 0)
        {
            failure = Errors.Fail(Status.InvalidArgument, "The writer is none that fp_create has filled.");
            return false;
        }
        if (!Attachment.TryUse((nint)(writer->Internal[0] ^ WriterMark), out store, out failure))
            return false;
        if (store.TryRestore((uint)writer->Internal[1], (uint)writer->Internal[2], (long)writer->Internal[3], out open))
            return true;
        failure = Errors.Fail(Status.Closed, "The object was sealed or aborted before.");
        return false;
    }

    /// <summary>Says why a create was refused, with the store's own words and numbers.</summary>
    private static int Refused(PlasmaStore store, PlasmaStatus status, ObjectId* id, long size, in ObjectOptions options)
    {
        if (status == PlasmaStatus.Exists)
            return Errors.Fail(Status.Exists); // The expected one: without an exception.
        if (status == PlasmaStatus.TooLarge)
            Errors.Remember(store.BuildFullReport(size));
        try
        {
            store.ThrowUnlessOk(status, in *id, size, options);
            return 0;
        }
        catch (PlasmaException e)
        {
            return Errors.From(e, store);
        }
    }
}
