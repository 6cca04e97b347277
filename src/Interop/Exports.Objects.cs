using System.Runtime.InteropServices;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_object_id")]
    internal static int ObjectIdOf(FpObject* obj, ObjectId* id)
    {
        PlasmaStore? store = null;
        try
        {
            if (!TryObject(obj, out store, out PlasmaObject pin, out int failure))
                return failure;
            if (id == null)
                return Null("id");
            *id = pin.Id;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, store);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_object_metadata")]
    internal static int ObjectMetadata(FpObject* obj, byte** metadata, nuint* size) => Part(obj, metadata, size, &MetadataOf);

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_object_name")]
    internal static int ObjectName(FpObject* obj, byte** name, nuint* size) => Part(obj, name, size, &NameOf);

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_object_content_type")]
    internal static int ObjectContentType(FpObject* obj, byte** contentType, nuint* size) => Part(obj, contentType, size, &ContentTypeOf);

    private static ReadOnlySpan<byte> MetadataOf(in PlasmaObject pin) => pin.Metadata;

    private static ReadOnlySpan<byte> NameOf(in PlasmaObject pin) => pin.NameUtf8;

    private static ReadOnlySpan<byte> ContentTypeOf(in PlasmaObject pin) => pin.ContentTypeUtf8;

    private static int Part(FpObject* obj, byte** data, nuint* size, delegate*<in PlasmaObject, ReadOnlySpan<byte>> part)
    {
        PlasmaStore? store = null;
        try
        {
            if (!TryObject(obj, out store, out PlasmaObject pin, out int failure))
                return failure;
            ReadOnlySpan<byte> bytes = part(in pin);
            // SAFETY: the span lies in the mapping, which does not move, and is the caller's as long as the pin.
            if (data != null)
                *data = Literal(bytes);
            if (size != null)
                *size = (nuint)bytes.Length;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, store);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_object_details_get")]
    internal static int ObjectDetailsGet(FpObject* obj, FpObjectDetails* details)
    {
        PlasmaStore? store = null;
        try
        {
            if (!TryObject(obj, out store, out PlasmaObject pin, out int failure))
                return failure;
            if (details == null)
                return Null("details");
            Arguments.RequireSize(details->StructSize, sizeof(FpObjectDetails), "fp_object_details");
            ulong? checksum = pin.Checksum;
            Arguments.Give(details, new FpObjectDetails
            {
                Incarnation = pin.Incarnation,
                Checksum = checksum ?? 0,
                SealedAtNs = Arguments.UnixNs(new DateTimeOffset(pin.SealedAt)),
                HasChecksum = checksum is null ? 0 : 1,
            });
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, store);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_object_verify")]
    internal static int ObjectVerify(FpObject* obj, int* matches)
    {
        PlasmaStore? store = null;
        try
        {
            if (!TryObject(obj, out store, out PlasmaObject pin, out int failure))
                return failure;
            if (matches == null)
                return Null("matches");
            *matches = pin.VerifyChecksum() ? 1 : 0;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, store);
        }
    }

    /// <summary>The store and the open pin of a caller's struct, or the status to return.</summary>
    private static bool TryObject(FpObject* obj, out PlasmaStore store, out PlasmaObject pin, out int failure)
    {
        store = null!;
        pin = default;
        if (obj == null)
        {
            failure = Null("object");
            return false;
        }
        if (!Attachment.TryUse((nint)obj->Internal[0], out store, out failure))
            return false;
        if (store.TryRestore((uint)obj->Internal[1], (uint)(obj->Internal[1] >> SlotShift), (long)obj->Internal[2], out pin))
            return true;
        failure = Errors.Fail(Status.Closed, "The object was released before.");
        return false;
    }
}
