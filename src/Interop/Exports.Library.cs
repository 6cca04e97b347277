using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[module: SkipLocalsInit] // Characters for two texts on the stack of each put with options.

namespace FastPlasma.Interop;

/// <summary>The functions of the header behind native/entry.c. Each one takes its arguments apart, calls the store, and makes a status of what comes back; the header says what they do.</summary>
internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_last_error")]
    internal static byte* LastError() => Errors.LastText;

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_last_full_report")]
    internal static int LastFullReport(FpFullReport* report)
    {
        try
        {
            if (report == null)
                return Null("report");
            Arguments.RequireSize(report->StructSize, FpFullReport.FirstSizeBytes, "fp_full_report");
            if (Errors.LastReport is not { } last)
                return NeverFull();
            Arguments.Give(report, new FpFullReport
            {
                RequestedBytes = last.RequestedBytes,
                CapacityBytes = last.CapacityBytes,
                UsedBytes = last.UsedBytes,
                PinnedBytes = last.PinnedBytes,
                KeepBytes = last.KeepBytes,
                CondemnedBytes = last.CondemnedBytes,
                CreatingBytes = last.CreatingBytes,
                LargestFreeRunBytes = last.LargestFreeRunBytes,
                ReservationError = Errors.LastReservationError,
            });
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_last_full_holders")]
    internal static int LastFullHolders(delegate* unmanaged<void*, FpMemoryHolder*, int> each, void* context)
    {
        try
        {
            if (each == null)
                return Null("each");
            if (Errors.LastReport is not { } last)
                return NeverFull();
            if (Tell(last.Holders, creates: 0, each, context))
                Tell(last.Creators, creates: 1, each, context);
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    /// <summary>False when the caller wants no more.</summary>
    private static bool Tell(IReadOnlyList<MemoryHolder> holders, int creates, delegate* unmanaged<void*, FpMemoryHolder*, int> each, void* context)
    {
        foreach (MemoryHolder holder in holders)
        {
            fixed (byte* name = Terminated(holder.ProcessName))
            {
                FpMemoryHolder copy = new()
                {
                    StructSize = (nuint)sizeof(FpMemoryHolder),
                    Creates = creates,
                    ProcessId = holder.ProcessId,
                    ObjectCount = holder.Objects,
                    PinCount = holder.Pins,
                    Bytes = holder.Bytes,
                    SinceNs = Arguments.UnixNs(holder.Since),
                    Stopped = holder.Stopped ? 1 : 0,
                    OtherPidNamespace = holder.OtherPidNamespace ? 1 : 0,
                    ProcessName = name,
                };
                if (each(context, &copy) != 0)
                    return false;
            }
        }
        return true;
    }

    private static int NeverFull() => Errors.Fail(Status.NotFound, "No create of this thread has failed for want of memory.");

    // SAFETY: literals lie in the image and end with NUL.
    private static byte* Literal(ReadOnlySpan<byte> text) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(text));

    private static int Null(string name) => Errors.Fail(Status.InvalidArgument, $"{name} is NULL.");
}
