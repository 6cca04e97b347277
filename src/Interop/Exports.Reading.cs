using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastPlasma.Format;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    private const int SlotShift = 32;

    /// <summary>Longest piece of a payload that one span copies.</summary>
    private const int PieceBytesMax = 1 << 30;

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_try_get")]
    internal static int TryGet(nint store, ObjectId* id, FpObject* obj)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (id == null || obj == null)
                return Null("id or object");
            if (!found.TryGet(in *id, out PlasmaObject pin))
                return Errors.Fail(Status.NotFound);
            Fill(obj, store, found, in pin);
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_get")]
    internal static int Get(nint store, ObjectId* id, long timeoutMs, FpWaitOptions* wait, FpObject* obj)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (id == null || obj == null)
                return Null("id or object");
            int status = Get(found, id, timeoutMs, wait, out PlasmaObject pin);
            if (status == 0)
                Fill(obj, store, found, in pin);
            return status;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    private static int Get(PlasmaStore store, ObjectId* id, long timeoutMs, FpWaitOptions* wait, out PlasmaObject pin)
    {
        TimeSpan timeout = Arguments.Time(timeoutMs, "timeout_ms");
        CancellationToken token = Arguments.Wait(wait, out TimeSpan spin);
        PlasmaStatus status = store.TryGet(in *id, timeout, out pin, spin, token);
        if (status == PlasmaStatus.NotResident && timeout != TimeSpan.Zero)
            return Errors.Fail(Status.NotResident, $"Object {*id} is on disk and could not be brought back: {store.DescribeAbsence(in *id)}.");
        return status == PlasmaStatus.Timeout ? Errors.Fail(Status.Timeout, $"Object {*id} was not sealed in time: {store.DescribeAbsence(in *id)}.") : Errors.Report(status);
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_get_many")]
    internal static int GetMany(nint store, ObjectId* ids, nuint count, nuint needed, long timeoutMs, FpWaitOptions* wait, FpObject* objects, nuint* foundCount)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        PlasmaObject[]? pins = null;
        try
        {
            Span<ObjectId> idSpan = Arguments.Array(ids, count, "ids");
            Span<FpObject> objectSpan = Arguments.Array(objects, count, "objects");
            if (needed > count)
                return Errors.Fail(Status.InvalidArgument, $"needed is {needed}; it can be 0 to {count}, the count of ids.");
            TimeSpan timeout = Arguments.Time(timeoutMs, "timeout_ms");
            CancellationToken token = Arguments.Wait(wait, out _);
            pins = ArrayPool<PlasmaObject>.Shared.Rent(idSpan.Length);
            int pinned = found.Get(idSpan, (int)needed, pins.AsSpan(0, idSpan.Length), timeout, token);
            for (int i = 0; i < objectSpan.Length; i++)
            {
                if (pins[i].IsValid)
                    Fill(objects + i, store, found, in pins[i]);
                else
                    objectSpan[i] = default;
            }
            if (foundCount != null)
                *foundCount = (nuint)pinned;
            return pinned >= (int)needed ? 0 : Errors.Fail(Status.Timeout, $"{pinned} of {count} objects are there, {needed} were needed.");
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
        finally
        {
            if (pins is not null)
                ArrayPool<PlasmaObject>.Shared.Return(pins, clearArray: true);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_get_into")]
    internal static int GetInto(nint store, ObjectId* id, long timeoutMs, FpWaitOptions* wait, byte* buffer, long bufferSize, long* size)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (id == null || (buffer == null && bufferSize != 0))
                return Null("id or buffer");
            if (bufferSize < 0)
                return Errors.Fail(Status.InvalidArgument, $"buffer_size is {bufferSize}; it cannot be negative.");
            int status = Get(found, id, timeoutMs, wait, out PlasmaObject pin);
            if (status != 0)
                return status;
            using (pin)
            {
                long length = pin.Length;
                if (size != null)
                    *size = length;
                if (length > bufferSize)
                    return Errors.Fail(Status.InvalidArgument, $"The object has {length} bytes, the buffer {bufferSize}.");
                for (long offset = 0; offset < length; offset += PieceBytesMax)
                    pin.CopyTo(offset, new Span<byte>(buffer + offset, (int)Math.Min(PieceBytesMax, length - offset)));
                return 0;
            }
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_release")]
    internal static int Release(FpObject* obj)
    {
        try
        {
            return obj == null ? Null("object") : ReleaseOne(obj);
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_release_many")]
    internal static int ReleaseMany(FpObject* objects, nuint count)
    {
        try
        {
            if (objects == null && count != 0)
                return Null("objects");
            int result = 0;
            for (nuint i = 0; i < count; i++)
            {
                int status = ReleaseOne(objects + i);
                result = result == 0 ? status : result;
            }
            return result;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ReleaseOne(FpObject* obj)
    {
        nint handle = (nint)obj->Internal[0];
        if (!Attachment.TryUse(handle, out PlasmaStore store, out int failure))
            return NotReleased(handle, failure);
        return store.Release((uint)obj->Internal[1], (uint)(obj->Internal[1] >> SlotShift), (long)obj->Internal[2]) ? 0 : NoObject();
    }

    /// <summary>An empty place of a batch, and an object of an attachment that has ended since, are nothing to release.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int NotReleased(nint handle, int failure) => failure == (int)Status.Closed || (handle == 0 && failure != (int)Status.Forked) ? 0 : failure;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int NoObject() => Errors.Fail(Status.InvalidArgument, "The object is none that a get has filled.");

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_contains")]
    internal static int Contains(nint store, ObjectId* id)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            return id == null ? Null("id") : found.Contains(in *id) ? 0 : Errors.Fail(Status.NotFound);
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_wait")]
    internal static int Wait(nint store, ObjectId* ids, nuint count, nuint needed, long timeoutMs, FpWaitOptions* wait, byte* ready, nuint* readyCount)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            Span<ObjectId> idSpan = Arguments.Array(ids, count, "ids");
            Span<byte> readySpan = Arguments.Array(ready, count, "ready");
            if (needed > count)
                return Errors.Fail(Status.InvalidArgument, $"needed is {needed}; it can be 0 to {count}, the count of ids.");
            TimeSpan timeout = Arguments.Time(timeoutMs, "timeout_ms");
            CancellationToken token = Arguments.Wait(wait, out _);
            int there = found.Wait(idSpan, (int)needed, timeout, MemoryMarshal.Cast<byte, bool>(readySpan), token);
            if (readyCount != null)
                *readyCount = (nuint)there;
            return there >= (int)needed ? 0 : Errors.Fail(Status.Timeout, $"{there} of {count} objects are there, {needed} were needed.");
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    /// <summary>Writes a pin into a caller's struct: address, length, and the numbers that find it again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Fill(FpObject* target, nint store, PlasmaStore found, in PlasmaObject pin)
    {
        pin.GetNumbers(out ObjectEntry* entry, out byte* payload, out long length, out int slot, out long sequence);
        target->Data = payload;
        target->Size = length;
        target->Internal[0] = (ulong)store;
        target->Internal[1] = found.NumberOf(entry) | (ulong)(uint)slot << SlotShift;
        target->Internal[2] = (ulong)sequence;
        target->Internal[3] = 0;
    }
}
