using Apache.Arrow.Types;

namespace FastPlasma.Data;

/// <summary>Checks Arrow's metadata before Apache.Arrow reads it, whose own reading trusts the offsets in it.</summary>
/// <remarks>The tables are those of format/Message.fbs and format/Schema.fbs of Apache Arrow; the numbers are the fields' places in them.</remarks>
internal static class ArrowMetadata
{
    internal const int MessageVersion = 0, MessageHeaderType = 1, MessageHeader = 2, MessageBodyBytes = 3;
    internal const int BatchLength = 0, BatchNodes = 1, BatchBuffers = 2, BatchCompression = 3, BatchVariadicCounts = 4;
    internal const int DictionaryId = 0, DictionaryData = 1, DictionaryIsDelta = 2;
    internal const int SchemaFields = 1, FieldDictionary = 4, FieldChildren = 5;
    internal const byte HeaderSchema = 1, HeaderDictionary = 2, HeaderBatch = 3;
    internal const int PairBytes = 16; // FieldNode and Buffer are two 64-bit numbers each.
    internal const short Version4 = 3, Version5 = 4;

    /// <summary>Nesting that a schema may have, and bytes that each of its fields has at least: without these bounds a few bytes that point at one another would be a million fields.</summary>
    private const int DepthMax = 64, FieldBytesMin = 12;

    private const int StringField = -1;

    /// <summary>What each type of Schema.fbs has in its table: sizes of scalars in order, <see cref="StringField"/> for a string. By number of the type.</summary>
    private static readonly int[][] s_types =
    [
        [], [], [4, 1], [2], [], [], [], [4, 4, 4], [2], [2, 4], [2, StringField], [2], [], [], [2], [4], [4], [1], [2], [], [], [], [], [], [], [], [],
    ];

    private const byte UnionType = 14, DecimalType = 7;

    /// <summary>Digits of a 256-bit decimal; Apache.Arrow raises ten to any scale that it is given, for minutes if need be.</summary>
    private const int DecimalDigitsMax = 76;

    internal static void VerifySchemaMessage(ReadOnlySpan<byte> bytes)
    {
        FlatTable message = FlatTable.Root(bytes), schema = message.Table(MessageHeader);
        VerifyMessage(message);
        int fieldsLeft = bytes.Length / FieldBytesMin;
        if (schema.Short(0) != 0)
            throw new NotSupportedException("The Arrow stream is big-endian, which is not read in place.");
        int first = schema.Vector(SchemaFields, sizeof(int), out int count);
        for (int i = 0; i < count; i++)
            VerifyField(schema.TableAt(first + i * sizeof(int)), ref fieldsLeft, 0);
        VerifyPairs(schema, 2);
        schema.Vector(3, sizeof(long), out _);
    }

    /// <summary>The type of each dictionary's values, by the id that the metadata gives it.</summary>
    internal static Dictionary<long, IArrowType> DictionariesOf(ReadOnlySpan<byte> schemaMessage, Apache.Arrow.Schema schema)
    {
        var types = new Dictionary<long, IArrowType>();
        FlatTable table = FlatTable.Root(schemaMessage).Table(MessageHeader);
        int first = table.Vector(SchemaFields, sizeof(int), out int count);
        for (int i = 0; i < count && i < schema.FieldsList.Count; i++)
            Collect(table.TableAt(first + i * sizeof(int)), schema.FieldsList[i].DataType);
        return types;

        void Collect(FlatTable field, IArrowType type)
        {
            type = ArrowTypes.StorageOf(type);
            if (type is DictionaryType dictionary)
            {
                if (field.Has(FieldDictionary))
                    types[field.Table(FieldDictionary).Long(0)] = dictionary.ValueType;
                type = ArrowTypes.StorageOf(dictionary.ValueType);
            }
            if (type is not NestedType nested)
                return;
            int child = field.Vector(FieldChildren, sizeof(int), out int children);
            for (int i = 0; i < children && i < nested.Fields.Count; i++)
                Collect(field.TableAt(child + i * sizeof(int)), nested.Fields[i].DataType);
        }
    }

    internal static void VerifyMessage(FlatTable message)
    {
        if (message.Short(MessageVersion) is not (Version4 or Version5) and short version)
            throw new NotSupportedException($"The Arrow stream has metadata version {version + 1}; 4 and 5 are read.");
        VerifyPairs(message, 4);
        message.Byte(MessageHeaderType);
        message.Long(MessageBodyBytes);
    }

    /// <summary>The record batch of a record batch or dictionary message, if its nodes and buffers are as many as <paramref name="types"/> need and lie in the body.</summary>
    internal static void VerifyBatch(FlatTable batch, IEnumerable<IArrowType> types, short version, long bodyBytes)
    {
        if (batch.Has(BatchCompression))
            throw new NotSupportedException($"The Arrow stream is compressed ({batch.Table(BatchCompression).Byte(0) switch { 0 => "LZ4", 1 => "ZSTD", var codec => $"codec {codec}" }}), so nothing of it can be read in place.");
        RequireCount("rows", batch.Long(BatchLength), int.MaxValue);
        int variadicFirst = batch.Vector(BatchVariadicCounts, sizeof(long), out int variadicCount);
        var needed = new ArrowTypes.Needs();
        foreach (IArrowType type in types)
            needed.Add(type, version);
        long buffersNeeded = needed.Buffers;
        if (variadicCount < needed.Variadics)
            throw Invalid($"it has {variadicCount} counts of data buffers, {needed.Variadics} columns need one");
        for (int i = 0; i < needed.Variadics; i++)
        {
            long count = batch.LongAt(variadicFirst + i * sizeof(long));
            RequireCount("data buffers", count, int.MaxValue);
            buffersNeeded += count;
        }

        int nodes = batch.Vector(BatchNodes, PairBytes, out int nodeCount), buffers = batch.Vector(BatchBuffers, PairBytes, out int bufferCount);
        if (nodeCount != needed.Nodes || bufferCount != buffersNeeded)
            throw Invalid($"it has {nodeCount} nodes and {bufferCount} buffers; the schema needs {needed.Nodes} and {buffersNeeded}");
        for (int i = 0; i < nodeCount; i++)
        {
            long length = batch.LongAt(nodes + i * PairBytes), nulls = batch.LongAt(nodes + i * PairBytes + sizeof(long));
            RequireCount("elements", length, int.MaxValue);
            RequireCount("nulls", nulls, length);
        }
        for (int i = 0; i < bufferCount; i++)
        {
            long offset = batch.LongAt(buffers + i * PairBytes), length = batch.LongAt(buffers + i * PairBytes + sizeof(long));
            if (offset < 0 || length < 0 || offset > bodyBytes || length > bodyBytes - offset)
                throw Invalid($"buffer {i} has {length} bytes at {offset}, its message {bodyBytes}");
        }
    }

    private static void VerifyField(FlatTable field, ref int fieldsLeft, int depth)
    {
        if (--fieldsLeft < 0 || depth > DepthMax)
            throw Invalid($"its schema has more fields than it has room for, or is nested deeper than {DepthMax}");
        field.Vector(0, 1, out _);
        field.Byte(1);
        byte type = field.Byte(2);
        if (type == 0 || type >= s_types.Length)
            throw new NotSupportedException($"The Arrow stream has a column of type number {type}, which this build does not read.");
        FlatTable details = field.Table(3);
        int[] parts = s_types[type];
        for (int i = 0; i < parts.Length; i++)
        {
            if (parts[i] == StringField)
                details.Vector(i, 1, out _);
            else
                details.PositionOf(i, parts[i]);
        }
        if (type == DecimalType && (details.Int(0) is < 1 or > DecimalDigitsMax || details.Int(1) is < -DecimalDigitsMax or > DecimalDigitsMax))
            throw Invalid($"a column has decimals of {details.Int(0)} digits with {details.Int(1)} behind the point");
        if (type == UnionType)
            details.Vector(1, sizeof(int), out _);
        if (field.Has(FieldDictionary))
        {
            FlatTable dictionary = field.Table(FieldDictionary);
            dictionary.Long(0);
            if (dictionary.Has(1))
            {
                FlatTable index = dictionary.Table(1);
                index.PositionOf(0, sizeof(int));
                index.Byte(1);
            }
            dictionary.Byte(2);
            dictionary.Short(3);
        }
        int first = field.Vector(FieldChildren, sizeof(int), out int count);
        for (int i = 0; i < count; i++)
            VerifyField(field.TableAt(first + i * sizeof(int)), ref fieldsLeft, depth + 1);
        VerifyPairs(field, 6);
    }

    /// <summary>Custom metadata: a vector of tables of two strings.</summary>
    private static void VerifyPairs(FlatTable table, int field)
    {
        int first = table.Vector(field, sizeof(int), out int count);
        for (int i = 0; i < count; i++)
        {
            FlatTable pair = table.TableAt(first + i * sizeof(int));
            pair.Vector(0, 1, out _);
            pair.Vector(1, 1, out _);
        }
    }

    private static void RequireCount(string what, long count, long countMax)
    {
        if (count < 0 || count > countMax)
            throw Invalid($"it says {count} {what}, 0 to {countMax} are possible");
    }

    private static InvalidDataException Invalid(string what) => new($"The Arrow metadata is damaged: {what}.");
}
