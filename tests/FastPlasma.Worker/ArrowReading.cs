using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Apache.Arrow;
using FastPlasma.Data;

namespace FastPlasma.Worker;

/// <summary>What a reader of Arrow batches can say of them, in the tests' process as in another.</summary>
internal static unsafe class ArrowReading
{
    /// <summary>Rows, columns, a sum over all numbers, all characters, and how many buffers lie in the object, of how many; the rest would be copies.</summary>
    internal static string Describe(ArrowObject arrow)
    {
        long rows = 0, characters = 0, inside = 0, aligned = 0, buffers = 0;
        double sum = 0;
        foreach (RecordBatch batch in arrow.Batches)
        {
            rows += batch.Length;
            foreach (IArrowArray array in batch.Arrays)
            {
                if (array is Int64Array longs)
                    for (int i = 0; i < longs.Length; i++)
                        sum += longs.GetValue(i) ?? 0;
                else if (array is DoubleArray doubles)
                    for (int i = 0; i < doubles.Length; i++)
                        sum += doubles.GetValue(i) ?? 0;
                else if (array is StringArray strings)
                    for (int i = 0; i < strings.Length; i++)
                        characters += strings.GetString(i)?.Length ?? 0;
                foreach (nint address in Addresses(array.Data))
                {
                    buffers++;
                    inside += address >= (nint)arrow.Object.Pointer && address < (nint)arrow.Object.Pointer + arrow.Object.Length ? 1 : 0;
                    aligned += address % 64 == 0 ? 1 : 0;
                }
            }
        }
        return string.Create(CultureInfo.InvariantCulture, $"{rows} rows, {arrow.Schema.FieldsList.Count} columns, sum {sum}, {characters} characters, {inside} of {buffers} buffers in place, {aligned} aligned");
    }

    /// <summary>Where the buffers of an array and its parts begin; empty ones are nowhere.</summary>
    internal static IEnumerable<nint> Addresses(ArrayData data)
    {
        foreach (ArrowBuffer buffer in data.Buffers)
            if (buffer.Length > 0)
                yield return AddressOf(buffer);
        foreach (ArrayData part in (ArrayData[])[.. data.Children ?? [], .. data.Dictionary is null ? [] : (ArrayData[])[data.Dictionary]])
            foreach (nint address in Addresses(part))
                yield return address;
    }

    private static nint AddressOf(in ArrowBuffer buffer) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(buffer.Span)); // Native memory: it does not move.
}
