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
        if (report == null || report->StructSize < (nuint)sizeof(FpFullReport))
            return Errors.Fail(Status.InvalidArgument, "report is NULL, or its struct_size is not set.");
        if (Errors.LastReport is not { } last)
            return Errors.Fail(Status.NotFound, "No create of this thread has failed for want of memory.");
        *report = new FpFullReport
        {
            StructSize = report->StructSize,
            RequestedBytes = last.RequestedBytes,
            CapacityBytes = last.CapacityBytes,
            UsedBytes = last.UsedBytes,
            PinnedBytes = last.PinnedBytes,
            KeepBytes = last.KeepBytes,
            CondemnedBytes = last.CondemnedBytes,
            CreatingBytes = last.CreatingBytes,
            LargestFreeRunBytes = last.LargestFreeRunBytes,
        };
        return 0;
    }

    // SAFETY: literals lie in the image and end with NUL.
    private static byte* Literal(ReadOnlySpan<byte> text) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(text));

    private static int Null(string name) => Errors.Fail(Status.InvalidArgument, $"{name} is NULL.");
}
