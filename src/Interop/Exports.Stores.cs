using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_open")]
    internal static int Open(byte* name, FpStoreOptions* options, nint* store) => OpenBy(name, isNamed: true, options, store, &Opened);

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_create_store")]
    internal static int CreateStore(byte* name, FpStoreOptions* options, nint* store) => OpenBy(name, isNamed: true, options, store, &Created);

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_open_or_create")]
    internal static int OpenOrCreate(byte* name, FpStoreOptions* options, nint* store) => OpenBy(name, isNamed: true, options, store, &OpenedOrCreated);

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_create_anonymous")]
    internal static int CreateAnonymous(FpStoreOptions* options, nint* store) => OpenBy(null, isNamed: false, options, store, &CreatedAnonymous);

    private static PlasmaStore Opened(string name, PlasmaOptions options) => PlasmaStore.Open(name, options);

    private static PlasmaStore? Created(string name, PlasmaOptions options) => PlasmaStore.TryCreate(name, options);

    private static PlasmaStore OpenedOrCreated(string name, PlasmaOptions options) => PlasmaStore.OpenOrCreate(name, options);

    private static PlasmaStore CreatedAnonymous(string name, PlasmaOptions options) => PlasmaStore.CreateAnonymous(options);

    /// <summary>Opens a store and gives it a handle; a null store means that the name is taken.</summary>
    private static int OpenBy(byte* name, bool isNamed, FpStoreOptions* options, nint* store, delegate*<string, PlasmaOptions, PlasmaStore?> open)
    {
        try
        {
            if (Process.IsForkedChild)
                return Errors.Fail(Status.Forked);
            if (store == null)
                return Null("store");
            string text = isNamed ? Arguments.Text(name, "name") : "";
            PlasmaOptions parsed = Arguments.Options(options, out CallbackLogger? logger);
            PlasmaStore? opened = open(text, parsed);
            if (opened is null)
                return Errors.Fail(Status.Exists, $"A store named '{text}' exists already.");
            nint handle = Attachment.All.Add(new Attachment(opened, logger));
            if (handle == 0)
            {
                opened.Dispose();
                return Errors.Fail(Status.NoMemory, "This process has opened too many stores at once, 4,095.");
            }
            *store = handle;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_close")]
    internal static int Close(nint store)
    {
        try
        {
            if (store == 0)
                return 0;
            if (!Attachment.TryUse(store, out _, out int failure) || !Attachment.All.TryFind(store, out Attachment attachment))
                return failure != 0 ? failure : Errors.Fail(Status.Closed);
            return attachment.Close() == Status.Ok ? 0 : Errors.Fail(Status.Closed, "The store was closed before.");
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_store_details_get")]
    internal static int StoreDetailsGet(nint store, FpStoreDetails* details)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (details == null)
                return Null("details");
            Arguments.RequireSize(details->StructSize, sizeof(FpStoreDetails), "fp_store_details");
            found.ThrowIfClosing();
            FpStoreDetails copy = new() { CapacityBytes = found.CapacityBytes, ObjectCountMax = found.ObjectCountMax, Access = (int)found.Access };
            found.Uuid.TryWriteBytes(new Span<byte>(copy.Uuid, 16), bigEndian: true, out _);
            Encoding.UTF8.GetBytes(found.Name, new Span<byte>(copy.Name, FpStoreDetails.NameSizeBytes - 1));
            Arguments.Give(details, copy);
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_destroy")]
    internal static int Destroy(byte* name, byte* directory)
    {
        try
        {
            if (Process.IsForkedChild)
                return Errors.Fail(Status.Forked);
            string text = Arguments.Text(name, "name");
            return PlasmaStore.Destroy(text, Arguments.TextOrNull(directory, "directory")) ? 0 : Errors.Fail(Status.NoStore, $"There is no store named '{text}'.");
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_list_stores")]
    internal static int ListStores(byte* directory, delegate* unmanaged<void*, byte*, int> each, void* context)
    {
        try
        {
            if (Process.IsForkedChild)
                return Errors.Fail(Status.Forked);
            if (each == null)
                return Null("each");
            foreach (string name in PlasmaStore.ListStores(Arguments.TextOrNull(directory, "directory")))
                fixed (byte* text = Terminated(name))
                    if (each(context, text) != 0)
                        break;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_admit_reader")]
    internal static int AdmitReader(nint store, byte* user)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            found.AdmitReader(Arguments.Text(user, "user"));
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_maintain")]
    internal static int Maintain(nint store, int* recovered)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            int count = found.Maintain();
            if (recovered != null)
                *recovered = count;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_evict")]
    internal static int Evict(nint store, long bytes, long* evictedBytes)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            long evicted = found.Evict(bytes);
            if (evictedBytes != null)
                *evictedBytes = evicted;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_trim")]
    internal static int Trim(nint store, long* trimmedBytes)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            long trimmed = found.Trim();
            if (trimmedBytes != null)
                *trimmedBytes = trimmed;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    /// <summary>UTF-8 with NUL.</summary>
    private static byte[] Terminated(string text)
    {
        byte[] result = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, result);
        return result;
    }
}
