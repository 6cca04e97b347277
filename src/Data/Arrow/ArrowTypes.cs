using System.Runtime.InteropServices;
using Apache.Arrow;
using Apache.Arrow.Types;

namespace FastPlasma.Data;

/// <summary>What each Arrow type needs of nodes, buffers and bytes.</summary>
internal static class ArrowTypes
{
    internal static IArrowType StorageOf(IArrowType type) => type is ExtensionType extension ? extension.StorageType : type;

    /// <summary>Nodes, buffers and counts of data buffers that a batch has for some types.</summary>
    internal struct Needs
    {
        internal long Nodes { get; private set; }

        internal long Buffers { get; private set; }

        internal int Variadics { get; private set; }

        internal void Add(IArrowType type, short version)
        {
            type = StorageOf(type);
            if (type.TypeId == ArrowTypeId.Union && version < ArrowMetadata.Version5)
                throw new NotSupportedException("The Arrow stream has a union in metadata version 4, which is not read.");
            if (BuffersOf(type, out bool isVariadic) is not (int buffers and >= 0))
                throw new NotSupportedException($"Arrow columns of type {type.Name} are not supported here.");
            Nodes++;
            Buffers += buffers;
            Variadics += isVariadic ? 1 : 0;
            if (type is NestedType nested)
                foreach (Field field in nested.Fields)
                    Add(field.DataType, version);
        }
    }

    /// <summary>Buffers of one node of a type, without those of its parts; -1 when the type is not supported.</summary>
    /// <param name="type">The type.</param>
    /// <param name="isVariadic">Whether there are any number of data buffers besides, as many as the batch says.</param>
    private static int BuffersOf(IArrowType type, out bool isVariadic)
    {
        isVariadic = type.TypeId is ArrowTypeId.StringView or ArrowTypeId.BinaryView;
        return type.TypeId switch
        {
            ArrowTypeId.Null => 0,
            ArrowTypeId.Union => ((UnionType)type).Mode == UnionMode.Dense ? 2 : 1,
            ArrowTypeId.Struct or ArrowTypeId.FixedSizeList => 1,
            ArrowTypeId.String or ArrowTypeId.Binary or ArrowTypeId.LargeString or ArrowTypeId.LargeBinary or ArrowTypeId.ListView => 3,
            ArrowTypeId.StringView or ArrowTypeId.BinaryView or ArrowTypeId.List or ArrowTypeId.LargeList or ArrowTypeId.Map or ArrowTypeId.Dictionary => 2,
            _ => type is FixedWidthType ? 2 : -1,
        };
    }

    /// <summary>For each buffer of a batch the number of the node that it belongs to.</summary>
    /// <param name="types">Types of the columns, all of them supported.</param>
    /// <param name="variadicCounts">Data buffers of each column that has any number of them.</param>
    internal static List<int> NodesOfBuffers(IEnumerable<IArrowType> types, IReadOnlyList<long> variadicCounts)
    {
        var nodes = new List<int>();
        int node = 0, variadic = 0;
        foreach (IArrowType type in types)
            Walk(StorageOf(type));
        return nodes;

        void Walk(IArrowType type)
        {
            int own = node++;
            long buffers = BuffersOf(type, out bool isVariadic) + (isVariadic ? variadicCounts[variadic++] : 0);
            for (long i = 0; i < buffers; i++)
                nodes.Add(own);
            if (type is NestedType nested)
                foreach (Field field in nested.Fields)
                    Walk(StorageOf(field.DataType));
        }
    }

    /// <summary>Whether all columns have types that are supported, with all their parts.</summary>
    /// <exception cref="NotSupportedException">One has not; the message has its name and the type.</exception>
    internal static void RequireSupported(Schema schema)
    {
        foreach (Field field in schema.FieldsList)
            Require(field.DataType, field.Name);

        static void Require(IArrowType type, string column)
        {
            type = StorageOf(type);
            if (BuffersOf(type, out _) < 0)
                throw new NotSupportedException($"The Arrow column '{column}' is of type {type.Name}, which is not supported here.");
            if (type is DictionaryType dictionary)
                Require(dictionary.ValueType, column);
            if (type is NestedType nested)
                foreach (Field field in nested.Fields)
                    Require(field.DataType, $"{column}.{field.Name}");
        }
    }

    /// <summary>Checks that the buffers of an array hold what its length says, and what its offsets say.</summary>
    /// <param name="data">The array.</param>
    /// <param name="isDeep">Whether every offset, index and view is looked at, which reads them all; else only the first and last.</param>
    /// <exception cref="InvalidDataException">They do not.</exception>
    internal static void Verify(ArrayData data, bool isDeep)
    {
        IArrowType type = StorageOf(data.DataType);
        if (data.Length < 0 || data.Offset < 0 || (long)data.Length + data.Offset > int.MaxValue)
            throw Invalid(type, $"it has {data.Length} elements from {data.Offset} on");
        int end = data.Offset + data.Length;
        if (type.TypeId is not (ArrowTypeId.Null or ArrowTypeId.Union))
            VerifyValidity(data, type, end);
        switch (type.TypeId)
        {
            case ArrowTypeId.Null:
                break;
            case ArrowTypeId.String or ArrowTypeId.Binary:
                VerifyOffsets(data, type, Numbers<int>(data, type, 1, (long)end + 1), data.Buffers[2].Length, isDeep);
                break;
            case ArrowTypeId.LargeString or ArrowTypeId.LargeBinary:
                VerifyOffsets(data, type, Numbers<long>(data, type, 1, (long)end + 1), data.Buffers[2].Length, isDeep);
                break;
            case ArrowTypeId.List or ArrowTypeId.Map:
                VerifyOffsets(data, type, Numbers<int>(data, type, 1, (long)end + 1), Child(data, type, 0).Length, isDeep);
                break;
            case ArrowTypeId.LargeList:
                VerifyOffsets(data, type, Numbers<long>(data, type, 1, (long)end + 1), Child(data, type, 0).Length, isDeep);
                break;
            case ArrowTypeId.ListView:
                VerifyListView(data, type, end, isDeep);
                break;
            case ArrowTypeId.FixedSizeList:
                int listSize = ((FixedSizeListType)type).ListSize;
                if (listSize < 0 || (long)end * listSize > Child(data, type, 0).Length)
                    throw Invalid(type, $"{end} lists of {listSize} elements do not fit into {Child(data, type, 0).Length}");
                break;
            case ArrowTypeId.Struct:
                foreach (ArrayData child in data.Children)
                    if (child.Length < end)
                        throw Invalid(type, $"a field has {child.Length} elements, {end} are needed");
                break;
            case ArrowTypeId.Union:
                VerifyUnion(data, (UnionType)type, end, isDeep);
                break;
            case ArrowTypeId.StringView or ArrowTypeId.BinaryView:
                VerifyViews(data, type, end, isDeep);
                break;
            case ArrowTypeId.Dictionary:
                VerifyIndices(data, (DictionaryType)type, end, isDeep);
                break;
            default:
                if (type is not FixedWidthType fixedWidth)
                    throw new NotSupportedException($"Arrow columns of type {type.Name} are not supported here.");
                RequireBits(data, type, 1, (long)end * fixedWidth.BitWidth);
                break;
        }
        foreach (ArrayData child in data.Children ?? [])
            Verify(child, isDeep);
        if (data.Dictionary is not null)
            Verify(data.Dictionary, isDeep);
    }

    private static void VerifyValidity(ArrayData data, IArrowType type, int end)
    {
        if (data.Buffers[0].Length > 0)
            RequireBits(data, type, 0, end);
        else if (data.NullCount > 0)
            throw Invalid(type, $"it has {data.NullCount} nulls and does not say which");
    }

    private static void VerifyOffsets<T>(ArrayData data, IArrowType type, ReadOnlySpan<T> offsets, long valueCount, bool isDeep)
        where T : unmanaged, IComparable<T>, IConvertible
    {
        if (offsets.IsEmpty)
            return; // Arrays without elements may have no offsets at all.
        long last = -1;
        int step = isDeep ? 1 : Math.Max(1, data.Length);
        for (int i = data.Offset; i < offsets.Length; i += step)
        {
            long offset = offsets[i].ToInt64(null);
            if (offset < 0 || offset < last || offset > valueCount)
                throw Invalid(type, $"offset {i} is {offset}, after {last}, and there are {valueCount} values");
            last = offset;
        }
    }

    private static void VerifyListView(ArrayData data, IArrowType type, int end, bool isDeep)
    {
        ReadOnlySpan<int> offsets = Numbers<int>(data, type, 1, end), sizes = Numbers<int>(data, type, 2, end);
        long valueCount = Child(data, type, 0).Length;
        for (int i = data.Offset; isDeep && i < end; i++)
            if (offsets[i] < 0 || sizes[i] < 0 || (long)offsets[i] + sizes[i] > valueCount)
                throw Invalid(type, $"list {i} has {sizes[i]} elements from {offsets[i]} on, and there are {valueCount}");
    }

    private static void VerifyUnion(ArrayData data, UnionType type, int end, bool isDeep)
    {
        ReadOnlySpan<sbyte> kinds = Numbers<sbyte>(data, type, 0, end);
        if (type.Mode == UnionMode.Sparse)
        {
            foreach (ArrayData child in data.Children)
                if (child.Length < end)
                    throw Invalid(type, $"a field has {child.Length} elements, {end} are needed");
            return;
        }
        ReadOnlySpan<int> offsets = Numbers<int>(data, type, 1, end);
        for (int i = data.Offset; isDeep && i < end; i++)
        {
            int kind = System.Array.IndexOf(type.TypeIds, kinds[i]);
            if (kind < 0 || kind >= data.Children.Length || offsets[i] < 0 || offsets[i] >= data.Children[kind].Length)
                throw Invalid(type, $"element {i} is of type {kinds[i]} at {offsets[i]}, which is not there");
        }
    }

    private static void VerifyViews(ArrayData data, IArrowType type, int end, bool isDeep)
    {
        const int viewInts = 4, inlineBytesMax = 12; // Length, then 12 bytes, or prefix, buffer and offset.
        ReadOnlySpan<int> views = Numbers<int>(data, type, 1, (long)end * viewInts);
        for (int i = data.Offset; isDeep && i < end; i++)
        {
            ReadOnlySpan<int> view = views.Slice(i * viewInts, viewInts);
            if (view[0] < 0)
                throw Invalid(type, $"element {i} has {view[0]} bytes");
            if (view[0] > inlineBytesMax && (view[2] < 0 || view[2] + 2 >= data.Buffers.Length || view[3] < 0 || (long)view[3] + view[0] > data.Buffers[view[2] + 2].Length))
                throw Invalid(type, $"element {i} has {view[0]} bytes at {view[3]} of data buffer {view[2]}, which are not there");
        }
    }

    private static void VerifyIndices(ArrayData data, DictionaryType type, int end, bool isDeep)
    {
        int bits = ((FixedWidthType)type.IndexType).BitWidth;
        RequireBits(data, type, 1, (long)end * bits);
        if (data.Dictionary is null)
            throw Invalid(type, "its dictionary is missing");
        ReadOnlySpan<byte> validity = data.Buffers[0].Span, indices = data.Buffers[1].Span;
        for (int i = data.Offset; isDeep && i < end; i++)
        {
            if (!validity.IsEmpty && (validity[i / 8] & (1 << (i % 8))) == 0)
                continue; // What stands in place of a null is not looked up.
            ulong index = bits switch
            {
                8 => indices[i],
                16 => MemoryMarshal.Cast<byte, ushort>(indices)[i],
                32 => MemoryMarshal.Cast<byte, uint>(indices)[i],
                _ => MemoryMarshal.Cast<byte, ulong>(indices)[i],
            };
            if (index >= (ulong)data.Dictionary.Length)
                throw Invalid(type, $"element {i} is number {index} of a dictionary of {data.Dictionary.Length}"); // A negative index is too large here.
        }
    }

    private static ReadOnlySpan<T> Numbers<T>(ArrayData data, IArrowType type, int buffer, long count)
        where T : unmanaged
    {
        ReadOnlySpan<T> numbers = MemoryMarshal.Cast<byte, T>(data.Buffers[buffer].Span);
        if (data.Length == 0 && numbers.Length < count)
            return [];
        return count <= numbers.Length ? numbers[..(int)count] : throw Invalid(type, $"buffer {buffer} has {numbers.Length} numbers, {count} are needed");
    }

    private static ArrayData Child(ArrayData data, IArrowType type, int index) => data.Children is { } children && children.Length > index ? children[index] : throw Invalid(type, "its elements are missing");

    private static void RequireBits(ArrayData data, IArrowType type, int buffer, long bits)
    {
        if (bits < 0 || data.Buffers.Length <= buffer || data.Buffers[buffer].Length < (bits + 7) / 8)
            throw Invalid(type, $"buffer {buffer} has {(data.Buffers.Length <= buffer ? 0 : data.Buffers[buffer].Length)} bytes, {(bits + 7) / 8} are needed");
    }

    private static InvalidDataException Invalid(IArrowType type, string what) => new($"An Arrow column of type {type.Name} is damaged: {what}.");
}
