using System.Globalization;
using System.Runtime.InteropServices;
using Apache.Arrow;
using Apache.Arrow.Types;
using FastPlasma.Data;
using FastPlasma.Worker;

namespace FastPlasma.Tests.Data;

/// <summary>Every type of column on its own: whole, sliced, empty, in several batches and put again; what was read lies in the object and is equal, by a reading of the buffers that is not Apache.Arrow's.</summary>
public sealed unsafe class ArrowTypeTests : StoreTest
{
    private const int Rows = 67;
    private static readonly Dictionary<string, Func<ArrayData>> s_columns = Columns();
    private readonly PlasmaStore _store;

    public ArrowTypeTests() => _store = Anonymous();

    public static TheoryData<string> Names => [.. s_columns.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_column_comes_back_equal_and_in_place(string name)
    {
        ArrayData data = s_columns[name]();
        Assert.Equal(Rows, data.Length);
        RoundTrips(data);
        RoundTrips(data, data);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_slice_comes_back_as_that_part_and_in_place(string name)
    {
        ArrayData data = s_columns[name]();
        RoundTrips(data.Slice(13, 41)); // From within a byte of the bitmap.
        RoundTrips(data.Slice(16, 8), data.Slice(0, 5), data.Slice(Rows - 1, 1));
        RoundTrips(data.Slice(3, 60).Slice(7, 20));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Empty_batches_come_back_empty(string name)
    {
        ArrayData data = s_columns[name]();
        RoundTrips(data.Slice(0, 0));
        RoundTrips(data.Slice(20, 0), data, data.Slice(Rows, 0));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_column_inside_of_a_struct_and_a_list_comes_back_too(string name)
    {
        ArrayData data = s_columns[name]();
        var field = new Field("inner", data.DataType, true);
        var inStruct = new ArrayData(new StructType([field]), Rows, -1, 0, [Validity(Rows)], [data]);
        RoundTrips(inStruct);
        RoundTrips(inStruct.Slice(9, 30));
        var inList = new ArrayData(new ListType(field), 3, 0, 0, [ArrowBuffer.Empty, Numbers(0, 20, 20, Rows)], [data]);
        RoundTrips(inList);
        RoundTrips(inList.Slice(1, 2));
    }

    private void RoundTrips(params ArrayData[] batches)
    {
        var schema = new Schema([new Field("column", batches[0].DataType, true)], null);
        ObjectId id = Id("batch"), again = Id("again");
        _store.PutArrow(id, schema, [.. batches.Select(data => new RecordBatch(schema, [ArrowArrayFactory.BuildArray(data)], data.Length))]);
        using (ArrowObject arrow = _store.GetArrow(id, TimeSpan.Zero))
        {
            Check(arrow);
            _store.PutArrow(again, arrow.Schema, arrow.Batches);
            using ArrowObject second = _store.GetArrow(again, TimeSpan.Zero);
            Check(second);
        }
        Assert.Equal(0, _store.Stats().Process.GetCopiedBytes);
        _store.Delete(id);
        _store.Delete(again);

        void Check(ArrowObject arrow)
        {
            Assert.Equal(batches.Length, arrow.Batches.Count);
            for (int b = 0; b < batches.Length; b++)
            {
                ArrayData read = arrow.Batches[b].Column(0).Data;
                Assert.Equal(Show(batches[b]), Show(read));
                Assert.Equal(batches[b].DataType.TypeId, read.DataType.TypeId);
                Assert.All(ArrowReading.Addresses(read), address =>
                {
                    Assert.InRange(address, (nint)arrow.Object.Pointer, (nint)arrow.Object.Pointer + (nint)arrow.Object.Length - 1);
                    Assert.Equal(0, address % 64);
                });
            }
        }
    }

    private static Dictionary<string, Func<ArrayData>> Columns()
    {
        var columns = new Dictionary<string, Func<ArrayData>>();
        foreach (IArrowType type in (IArrowType[])
        [
            Int8Type.Default, UInt8Type.Default, Int16Type.Default, UInt16Type.Default, Int32Type.Default, UInt32Type.Default, Int64Type.Default, UInt64Type.Default,
            HalfFloatType.Default, FloatType.Default, DoubleType.Default, BooleanType.Default, Date32Type.Default, Date64Type.Default, new Time32Type(TimeUnit.Second), new Time32Type(TimeUnit.Millisecond),
            new Time64Type(TimeUnit.Microsecond), new Time64Type(TimeUnit.Nanosecond), new TimestampType(TimeUnit.Second, (string?)null), new TimestampType(TimeUnit.Nanosecond, "Europe/Berlin"),
            DurationType.Second, DurationType.Nanosecond, new IntervalType(IntervalUnit.YearMonth), new IntervalType(IntervalUnit.DayTime), new IntervalType(IntervalUnit.MonthDayNanosecond),
            new Decimal32Type(9, 2), new Decimal64Type(18, 3), new Decimal128Type(38, 10), new Decimal256Type(76, 20), new FixedSizeBinaryType(5), new FixedSizeBinaryType(16),
        ])
        {
            string name = $"{type.TypeId} {columns.Count.ToString(CultureInfo.InvariantCulture)}";
            columns[name] = () => FixedWidth(type);
            columns[$"{name} without nulls"] = () => new ArrayData(type, Rows, 0, 0, [ArrowBuffer.Empty, FixedWidth(type).Buffers[1]]);
        }
        foreach (IArrowType type in (IArrowType[])[StringType.Default, BinaryType.Default, LargeStringType.Default, LargeBinaryType.Default])
            columns[$"{type.TypeId}"] = () => new ArrayData(type, Rows, -1, 0, [Validity(Rows), Offsets(type.TypeId is ArrowTypeId.LargeString or ArrowTypeId.LargeBinary), Text(3 * Rows)]);
        columns["StringView"] = () => Views(new StringViewArray.Builder(), static (b, text) => b.Append(text), static b => b.AppendNull(), static b => b.Build().Data);
        columns["BinaryView"] = () => Views(new BinaryViewArray.Builder(), static (b, text) => b.Append(System.Text.Encoding.UTF8.GetBytes(text).AsSpan()), static b => b.AppendNull(), static b => b.Build().Data);
        columns["List"] = () => new ArrayData(new ListType(Int32Type.Default), Rows, -1, 0, [Validity(Rows), Offsets(false)], [FixedWidth(Int32Type.Default, 3 * Rows)]);
        columns["LargeList"] = () => new ArrayData(new LargeListType(Int32Type.Default), Rows, -1, 0, [Validity(Rows), Offsets(true)], [FixedWidth(Int32Type.Default, 3 * Rows)]);
        columns["List of a slice"] = () => new ArrayData(new ListType(Int32Type.Default), Rows, -1, 0, [Validity(Rows), Offsets(false)], [FixedWidth(Int32Type.Default, 3 * Rows + 11).Slice(11, 3 * Rows)]);
        columns["List of strings"] = () => new ArrayData(new ListType(StringType.Default), Rows, -1, 0, [Validity(Rows), Numbers([.. Enumerable.Range(0, Rows + 1).Select(static i => i / 2)])], [s_columns!["String"]()]);
        columns["ListView"] = () => new ArrayData(
            new ListViewType(Int32Type.Default), Rows, -1, 0, [Validity(Rows), Numbers([.. Enumerable.Range(0, Rows).Select(static i => 2 * (Rows - 1 - i))]), Numbers([.. Enumerable.Range(0, Rows).Select(static i => i % 4)])], [FixedWidth(Int32Type.Default, 3 * Rows)]);
        columns["FixedSizeList"] = () => new ArrayData(new FixedSizeListType(Int16Type.Default, 3), Rows, -1, 0, [Validity(Rows)], [FixedWidth(Int16Type.Default, 3 * Rows)]);
        columns["Map"] = () =>
        {
            var type = new MapType(StringType.Default, Int32Type.Default);
            var pairs = new ArrayData(type.KeyValueType, Rows, 0, 0, [ArrowBuffer.Empty], [WithoutNulls(s_columns!["String"]()), FixedWidth(Int32Type.Default)]);
            return new ArrayData(type, Rows, -1, 0, [Validity(Rows), Numbers([.. Enumerable.Range(0, Rows + 1).Select(static i => i * 9 / 10)])], [pairs]);
        };
        columns["Struct"] = () => new ArrayData(
            new StructType([new Field("x", Int64Type.Default, true), new Field("y", new StructType([new Field("z", StringType.Default, true)]), true), new Field("n", NullType.Default, true)]), Rows, -1, 0, [Validity(Rows)],
            [FixedWidth(Int64Type.Default), new ArrayData(new StructType([new Field("z", StringType.Default, true)]), Rows, -1, 0, [Validity(Rows, 5)], [s_columns!["String"]()]), new ArrayData(NullType.Default, Rows, Rows, 0, [])]);
        columns["SparseUnion"] = () => new ArrayData(Union(UnionMode.Sparse), Rows, 0, 0, [Kinds()], [FixedWidth(Int64Type.Default), s_columns!["String"]()]);
        columns["DenseUnion"] = () => new ArrayData(Union(UnionMode.Dense), Rows, 0, 0, [Kinds(), Numbers([.. Enumerable.Range(0, Rows).Select(static i => i / 2)])], [FixedWidth(Int64Type.Default), s_columns!["String"]()]);
        foreach (IArrowType index in (IArrowType[])[Int8Type.Default, UInt8Type.Default, Int16Type.Default, UInt16Type.Default, Int32Type.Default, UInt32Type.Default, Int64Type.Default])
            columns[$"Dictionary by {index.TypeId}"] = () => Dictionary(index, s_columns!["String"]());
        columns["Dictionary of a slice"] = () => Dictionary(Int32Type.Default, s_columns!["String"]().Slice(5, 20));
        columns["Dictionary of structs"] = () => Dictionary(Int32Type.Default, s_columns!["Struct"]());
        columns["Null"] = () => new ArrayData(NullType.Default, Rows, Rows, 0, []);
        return columns;
    }

    private static UnionType Union(UnionMode mode) => new([new Field("number", Int64Type.Default, true), new Field("text", StringType.Default, true)], [7, 3], mode);

    private static ArrowBuffer Kinds() => new(Enumerable.Range(0, Rows).Select(static i => (byte)(i % 3 == 0 ? 3 : 7)).ToArray());

    private static ArrayData WithoutNulls(ArrayData data) => new(data.DataType, data.Length, 0, data.Offset, [ArrowBuffer.Empty, .. data.Buffers[1..]], data.Children, data.Dictionary);

    private static ArrayData FixedWidth(IArrowType type, int rows = Rows)
    {
        var bytes = new byte[(rows * ((FixedWidthType)type).BitWidth + 7) / 8];
        new Random(5).NextBytes(bytes);
        return new ArrayData(type, rows, -1, 0, [Validity(rows), new ArrowBuffer(bytes)]);
    }

    private static ArrayData Dictionary(IArrowType index, ArrayData values)
    {
        int bytes = ((FixedWidthType)index).BitWidth / 8;
        var indices = new byte[Rows * bytes];
        for (int i = 0; i < Rows; i++)
            indices[i * bytes] = (byte)(i * 7 % values.Length); // Little-endian.
        return new ArrayData(new DictionaryType(index, values.DataType, false), Rows, -1, 0, [Validity(Rows), new ArrowBuffer(indices)], null, values);
    }

    private static ArrayData Views<T>(T builder, Action<T, string> append, Action<T> appendNull, Func<T, ArrayData> build)
    {
        for (int i = 0; i < Rows; i++)
        {
            if (i % 3 == 1)
                appendNull(builder);
            else
                append(builder, i % 2 == 0 ? $"short {i}" : $"a text that does not fit into a view, number {i}");
        }
        return build(builder);
    }

    /// <summary>Lengths 0 to 5, three in the mean at most.</summary>
    private static ArrowBuffer Offsets(bool wide)
    {
        int[] offsets = new int[Rows + 1];
        for (int i = 0; i < Rows; i++)
            offsets[i + 1] = offsets[i] + i % 6;
        return wide ? new ArrowBuffer(MemoryMarshal.AsBytes<long>([.. offsets.Select(static o => (long)o)]).ToArray()) : Numbers(offsets);
    }

    private static ArrowBuffer Text(int bytes) => new(Enumerable.Range(0, bytes).Select(static i => (byte)('a' + i % 26)).ToArray());

    private static ArrowBuffer Numbers(params int[] values) => new(MemoryMarshal.AsBytes<int>(values).ToArray());

    private static ArrowBuffer Validity(int rows, int every = 3)
    {
        var bits = new byte[(rows + 7) / 8];
        for (int i = 0; i < rows; i++)
            if (i % every != 1)
                bits[i / 8] |= (byte)(1 << (i % 8));
        return new ArrowBuffer(bits);
    }

    private static List<string> Show(ArrayData data) => [.. Enumerable.Range(0, data.Length).Select(i => Show(data, i))];

    /// <summary>One value, as the format says that it is to be read.</summary>
    private static string Show(ArrayData data, int index)
    {
        int at = data.Offset + index;
        IArrowType type = data.DataType;
        if (type.TypeId is ArrowTypeId.Null || (type.TypeId is not ArrowTypeId.Union && data.Buffers[0].Length > 0 && !Bit(0)))
            return "null";
        switch (type.TypeId)
        {
            case ArrowTypeId.Boolean:
                return Bit(1) ? "true" : "false";
            case ArrowTypeId.String or ArrowTypeId.Binary:
                return Convert.ToHexString(data.Buffers[2].Span[Int(1, at)..Int(1, at + 1)]);
            case ArrowTypeId.LargeString or ArrowTypeId.LargeBinary:
                return Convert.ToHexString(data.Buffers[2].Span[Long(1, at)..Long(1, at + 1)]);
            case ArrowTypeId.StringView or ArrowTypeId.BinaryView:
                int bytes = Int(1, 4 * at);
                return Convert.ToHexString(bytes <= 12 ? data.Buffers[1].Span.Slice(16 * at + 4, bytes) : data.Buffers[2 + Int(1, 4 * at + 2)].Span.Slice(Int(1, 4 * at + 3), bytes));
            case ArrowTypeId.List or ArrowTypeId.Map:
                return Values(Int(1, at), Int(1, at + 1));
            case ArrowTypeId.LargeList:
                return Values(Long(1, at), Long(1, at + 1));
            case ArrowTypeId.ListView:
                return Values(Int(1, at), Int(1, at) + Int(2, at));
            case ArrowTypeId.FixedSizeList:
                int size = ((FixedSizeListType)type).ListSize;
                return Values(at * size, (at + 1) * size);
            case ArrowTypeId.Struct:
                return $"({string.Join(", ", data.Children.Select(child => Show(child, at)))})";
            case ArrowTypeId.Union:
                var union = (UnionType)type;
                sbyte kind = (sbyte)data.Buffers[0].Span[at];
                return $"{kind}: {Show(data.Children[System.Array.IndexOf(union.TypeIds, kind)], union.Mode == UnionMode.Dense ? Int(1, at) : at)}";
            case ArrowTypeId.Dictionary:
                int indexBytes = ((FixedWidthType)((DictionaryType)type).IndexType).BitWidth / 8;
                return Show(data.Dictionary, data.Buffers[1].Span[at * indexBytes]);
            default:
                int width = ((FixedWidthType)type).BitWidth / 8;
                return Convert.ToHexString(data.Buffers[1].Span.Slice(at * width, width));
        }

        bool Bit(int buffer) => (data.Buffers[buffer].Span[at / 8] & (1 << (at % 8))) != 0;

        int Int(int buffer, int i) => MemoryMarshal.Cast<byte, int>(data.Buffers[buffer].Span)[i];

        int Long(int buffer, int i) => (int)MemoryMarshal.Cast<byte, long>(data.Buffers[buffer].Span)[i];

        string Values(int first, int end) => $"[{string.Join(", ", Enumerable.Range(first, end - first).Select(i => Show(data.Children[0], i)))}]";
    }
}
