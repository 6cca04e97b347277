using System.Text;
using Apache.Arrow;
using Apache.Arrow.Types;
using FastPlasma.Data;

namespace FastPlasma.Tests.Data;

/// <summary>Arrow metadata made by hand: each thing that is not read, or cannot be, is refused with its reason.</summary>
public sealed class ArrowMetadataTests : StoreTest
{
    private const byte Schema = 1, Dictionary = 2, Batch = 3, Int = 2, Utf8 = 5, Decimal = 7, Union = 14, List = 12, RunEndEncoded = 22, Utf8View = 24;
    private readonly PlasmaStore _store;

    public ArrowMetadataTests() => _store = Anonymous();

    /// <summary>The control: what the builder here makes is read when nothing is wrong with it.</summary>
    [Fact]
    public void A_stream_made_by_hand_is_read()
    {
        _store.Put(Id("good"), Stream(SchemaOf(Field(Int, [32, (byte)1])), BatchOf(2, [(2, 0)], [(0, 0), (0, 8)])));
        using ArrowObject arrow = _store.GetArrow(Id("good"), TimeSpan.Zero);
        Assert.Equal(2, ((Int32Array)arrow.Batch.Column(0)).Length);
    }

    [Fact]
    public void What_is_not_supported_is_refused_with_its_name()
    {
        byte[] column = SchemaOf(Field(Int, [32, (byte)1]));
        Refused<NotSupportedException>("big-endian", SchemaOf((short)1, Field(Int, [32, (byte)1])));
        Refused<NotSupportedException>("metadata version 3", Message(Schema, [null, new object?[][] { Field(Int, [32, (byte)1]) }], 0, version: 2));
        Refused<NotSupportedException>("type number 200", SchemaOf(Field(200, [])));
        Refused<NotSupportedException>("type number 0", SchemaOf(Field(0, [])));
        Refused<NotSupportedException>("column 'a' is of type", SchemaOf(Field(RunEndEncoded, [], Field(Int, [32, (byte)1]), Field(Int, [32, (byte)1]))), BatchOf(1, [(1, 0)], []));
        foreach ((byte codec, string name) in ((byte, string)[])[(0, "LZ4"), (1, "ZSTD"), (9, "codec 9")])
            Refused<NotSupportedException>($"compressed ({name})", column, Message(Batch, [2L, Pairs((2, 0)), Pairs((0, 0), (0, 8)), new object?[] { codec, (byte)0 }], 8));
        Refused<NotSupportedException>("adds to its dictionary 7", SchemaOf(DictionaryField(7)), Message(Dictionary, [7L, new object?[] { 0L, Pairs((0, 0)), Pairs((0, 0), (0, 0), (0, 0)) }, (byte)1], 8));
        Refused<NotSupportedException>("union in metadata version 4", SchemaOf(Field(Union, [(short)0, (1, new byte[4])], Field(Int, [32, (byte)1]))), Message(Batch, [1L, Pairs((1, 0), (1, 0)), Pairs((0, 8), (0, 0), (0, 8))], 8, version: 3));
    }

    [Fact]
    public void Numbers_that_do_not_fit_together_are_refused()
    {
        byte[] column = SchemaOf(Field(Int, [32, (byte)1]));
        Refused<InvalidDataException>("dictionary 8, which no column uses", SchemaOf(DictionaryField(7)), Message(Dictionary, [8L, new object?[] { 0L, Pairs((0, 0)), Pairs((0, 0), (0, 0), (0, 0)) }], 8));
        Refused<InvalidDataException>("0 nodes and 0 buffers; the schema needs 1 and 2", column, BatchOf(2, [], []));
        Refused<InvalidDataException>("1 nodes and 1 buffers; the schema needs 1 and 2", column, BatchOf(2, [(2, 0)], [(0, 8)]));
        Refused<InvalidDataException>("says -1 rows", column, BatchOf(-1, [(2, 0)], [(0, 0), (0, 8)]));
        Refused<InvalidDataException>("says -2 elements", column, BatchOf(2, [(-2, 0)], [(0, 0), (0, 8)]));
        Refused<InvalidDataException>("says 3 nulls", column, BatchOf(2, [(2, 3)], [(0, 0), (0, 8)]));
        Refused<InvalidDataException>("does not say which", column, BatchOf(2, [(2, 1)], [(0, 0), (0, 8)]));
        Refused<InvalidDataException>("buffer 1 has 9 bytes at 0, its message 8", column, BatchOf(2, [(2, 0)], [(0, 0), (0, 9)]));
        Refused<InvalidDataException>("buffer 0 has 1 bytes at -1", column, BatchOf(2, [(2, 0)], [(-1, 1), (0, 8)]));
        Refused<InvalidDataException>("buffer 0 has 9223372036854775807 bytes at 1", column, BatchOf(2, [(2, 0)], [(1, long.MaxValue), (0, 8)]));
        Refused<InvalidDataException>("4 bytes, 8 are needed", column, BatchOf(2, [(2, 0)], [(0, 0), (0, 4)]));
        Refused<InvalidDataException>("2 rows has a column of 1", column, BatchOf(2, [(1, 0)], [(0, 0), (0, 8)]));
        Refused<InvalidDataException>("counts of data buffers", SchemaOf(Field(Utf8View, [])), BatchOf(0, [(0, 0)], [(0, 0), (0, 0)]));
        Refused<InvalidDataException>("says -1 data buffers", SchemaOf(Field(Utf8View, [])), Message(Batch, [0L, Pairs((0, 0)), Pairs((0, 0), (0, 0)), null, (1, BitConverter.GetBytes(-1L))], 8));
        Refused<InvalidDataException>("field 2 is missing", Message(Schema, null, 0));
        Refused<InvalidDataException>("field 3 is missing", SchemaOf(["a", (byte)1, Int]));
        Refused<InvalidDataException>("field 1 is missing", SchemaOf(DictionaryField(7)), Message(Dictionary, [7L], 8));
        object?[] nested = Field(Int, [32, (byte)1]);
        for (int depth = 0; depth < 70; depth++)
            nested = Field(List, [], nested);
        Refused<InvalidDataException>("nested deeper", SchemaOf(nested));
        Refused<InvalidDataException>("77 digits", SchemaOf(Field(Decimal, [77, 3, 128])));
        Refused<InvalidDataException>("1000000 behind the point", SchemaOf(Field(Decimal, [20, 1_000_000, 128])));

        // A field that has itself as both of its parts, which would be 2^64 fields.
        byte[] endless = SchemaOf(Field(List, [], Field(Int, [32, (byte)1]), Field(Int, [32, (byte)1])));
        FlatTable list = FlatTable.Root(endless.AsSpan(8)).Table(ArrowMetadata.MessageHeader);
        int field = list.Vector(ArrowMetadata.SchemaFields, sizeof(int), out _), place = field + BitConverter.ToInt32(endless, 8 + field);
        int children = list.TableAt(field).Vector(ArrowMetadata.FieldChildren, sizeof(int), out int count);
        Assert.Equal(2, count);
        for (int i = 0; i < count; i++)
            BitConverter.GetBytes(place - (children + 4 * i)).CopyTo(endless, 8 + children + 4 * i);
        Refused<InvalidDataException>("are not inside", endless); // Backwards, which is a large number here.

        // A field whose two parts are one, whose two parts are one, and so on: twenty tables, a million fields.
        object?[] tree = Field(Int, [32, (byte)1]);
        for (int depth = 0; depth < 20; depth++)
            tree = Field(List, [], tree, Field(Int, [32, (byte)1]));
        byte[] doubling = SchemaOf(tree);
        list = FlatTable.Root(doubling.AsSpan(8)).Table(ArrowMetadata.MessageHeader);
        FlatTable level = list.TableAt(list.Vector(ArrowMetadata.SchemaFields, sizeof(int), out _));
        for (int depth = 0; depth < 20; depth++)
        {
            children = level.Vector(ArrowMetadata.FieldChildren, sizeof(int), out _);
            BitConverter.GetBytes(BitConverter.ToInt32(doubling, 8 + children) - sizeof(int)).CopyTo(doubling, 8 + children + sizeof(int));
            level = level.TableAt(children);
        }
        Refused<InvalidDataException>("more fields than it has room for", doubling);
    }

    [Fact]
    public void Tables_that_point_outside_are_refused()
    {
        Assert.Contains("are not inside", Damaged([]), StringComparison.Ordinal);
        Assert.Contains("are not inside", Damaged([255, 255, 255, 127]), StringComparison.Ordinal);
        Assert.Contains("are not inside", Damaged([4, 0, 0, 0, 0, 0, 0, 128]), StringComparison.Ordinal); // The vtable lies 2 GiB away.
        Assert.Contains("3 bytes long", Damaged([8, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]), StringComparison.Ordinal);
        Assert.Contains("are not inside", Damaged([8, 0, 0, 0, 200, 0, 0, 0, 4, 0, 0, 0]), StringComparison.Ordinal);
        Assert.Contains("lies 65535 bytes into its table", Damaged([12, 0, 0, 0, 6, 0, 4, 0, 255, 255, 0, 0, 8, 0, 0, 0]), StringComparison.Ordinal);

        static string Damaged(byte[] bytes) => Assert.Throws<InvalidDataException>(() => FlatTable.Root(bytes).Long(0)).Message;
    }

    [Fact]
    public void The_layout_takes_a_stream_in_any_pieces_and_nothing_after_its_end()
    {
        byte[] stream = Stream(SchemaOf(Field(Int, [32, (byte)1])), BatchOf(2, [(2, 0)], [(0, 0), (0, 8)]));
        var schema = new Schema([new Field("a", Int32Type.Default, true)], null);
        var whole = new ArrowStreamLayout(schema);
        whole.Write(stream);
        var pieces = new ArrowStreamLayout(schema);
        foreach (byte b in stream)
            pieces.Write([b], 0, 1);
        Assert.Equal((whole.LaidOut, 8L), (pieces.Length, pieces.BufferBytes));
        Assert.Equal(8, pieces.Position % 64); // The mark at the end.
        Assert.Throws<InvalidDataException>(() => whole.WriteByte(1));
        Assert.Equal((false, false, true), (whole.CanRead, whole.CanSeek, whole.CanWrite));
        Assert.Throws<NotSupportedException>(() => whole.Position = 0);
        Assert.Throws<NotSupportedException>(() => whole.Seek(0, SeekOrigin.Begin));
        Assert.Throws<NotSupportedException>(() => whole.SetLength(0));
        Assert.Throws<NotSupportedException>(() => whole.ReadByte());
        whole.Flush();
        Assert.Contains("batch of 2 buffers, 3 are", Assert.Throws<InvalidDataException>(() => new ArrowStreamLayout(new Schema([new Field("a", StringType.Default, true)], null)).Write(stream)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Batches_that_change_while_they_are_written_give_the_object_up()
    {
        var schema = new Schema([new Field("a", Int32Type.Default, false)], null);
        var batch = new RecordBatch(schema, [new Int32Array.Builder().Append(1).Build()], 1);
        Assert.Contains("were changed", Assert.Throws<InvalidOperationException>(() => _store.PutArrow(Id("changing"), schema, new Shrinking(batch))).Message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (_store.Stats().SealedCount, _store.Stats().CreatingCount));
    }

    [Fact]
    public void A_column_type_that_could_not_be_read_is_not_written()
    {
        var type = new RunEndEncodedType(Int32Type.Default, Int32Type.Default);
        var views = new LargeListViewType(Int32Type.Default);
        foreach ((IArrowType column, string said) in ((IArrowType, string)[])
        [
            (type, $"'a' is of type {type.Name},"), (views, $"'a' is of type {views.Name},"), (new ListType(new Field("item", type, true)), $"'a.item' is of type {type.Name},"),
            (new StructType([new Field("x", Int32Type.Default, true), new Field("y", new ListType(new Field("z", views, true)), true)]), $"'a.y.z' is of type {views.Name},"),
            (new DictionaryType(Int32Type.Default, type, false), $"'a' is of type {type.Name},"),
        ])
            Assert.Contains(said, Assert.Throws<NotSupportedException>(() => _store.PutArrow(Id("column"), new Schema([new Field("good", Int32Type.Default, false), new Field("a", column, false)], null), [])).Message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (_store.Stats().Process.Creates, _store.Stats().SealedCount));
        Assert.Contains("not supported here", Assert.Throws<NotSupportedException>(() => ArrowTypes.Verify(new ArrayData(type, 0, 0, 0, [ArrowBuffer.Empty]), isDeep: true)).Message, StringComparison.Ordinal);
    }

    private void Refused<T>(string said, params byte[][] messages)
        where T : Exception
    {
        ObjectId id = Id("refused");
        _store.Put(id, Stream(messages));
        Assert.Contains(said, Assert.Throws<T>(() => _store.TryGetArrow(id)).Message, StringComparison.Ordinal);
        Assert.Empty(_store.List().Single(info => info.Id == id).Holders);
        _store.Delete(id);
    }

    private static byte[] Stream(params byte[][] messages) => [.. messages.SelectMany(static m => m), 255, 255, 255, 255, 0, 0, 0, 0];

    private static byte[] SchemaOf(params object?[][] fields) => SchemaOf(null, fields);

    private static byte[] SchemaOf(short? endianness, params object?[][] fields) => Message(Schema, [endianness, fields], 0);

    private static object?[] Field(byte type, object?[] details, params object?[][] children) => ["a", (byte)1, type, details, null, children];

    private static object?[] DictionaryField(long id) => ["a", (byte)1, Utf8, System.Array.Empty<object?>(), new object?[] { id, new object?[] { 32, (byte)1 } }];

    private static byte[] BatchOf(long rows, (long, long)[] nodes, (long, long)[] buffers) => Message(Batch, [rows, Pairs(nodes), Pairs(buffers)], 8);

    private static (int, byte[]) Pairs(params (long A, long B)[] pairs) => (pairs.Length, [.. pairs.SelectMany(static p => (byte[])[.. BitConverter.GetBytes(p.A), .. BitConverter.GetBytes(p.B)])]);

    private static byte[] Message(byte kind, object?[]? header, long bodyBytes, short version = 4)
    {
        byte[] metadata = FlatBuilder.Build([version, kind, header, bodyBytes]);
        return [255, 255, 255, 255, .. BitConverter.GetBytes(metadata.Length), .. metadata, .. new byte[bodyBytes]];
    }

    private sealed class Shrinking(RecordBatch batch) : IReadOnlyList<RecordBatch>
    {
        private int _walks;

        public int Count => 2;

        public RecordBatch this[int index] => batch;

        public IEnumerator<RecordBatch> GetEnumerator() => Enumerable.Repeat(batch, ++_walks > 2 ? 1 : 2).GetEnumerator(); // The third walk is the one that writes.

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }

    /// <summary>FlatBuffers tables from nested arrays: numbers, strings, tables (object?[]), vectors of tables (object?[][]), and vectors of anything else as (count, bytes). Null leaves a field out.</summary>
    private sealed class FlatBuilder
    {
        private const int SlotBytes = 8;
        private readonly List<byte> _bytes = [0, 0, 0, 0];

        internal static byte[] Build(object?[] root)
        {
            var builder = new FlatBuilder();
            builder.Point(0, builder.Table(root));
            while (builder._bytes.Count % 8 != 0)
                builder._bytes.Add(0);
            return [.. builder._bytes];
        }

        private int Table(object?[] fields)
        {
            int vtable = _bytes.Count;
            Add(BitConverter.GetBytes((short)(4 + 2 * fields.Length)));
            Add(BitConverter.GetBytes((short)(4 + SlotBytes * fields.Length)));
            for (int i = 0; i < fields.Length; i++)
                Add(BitConverter.GetBytes((short)(fields[i] is null ? 0 : 4 + SlotBytes * i)));
            int table = _bytes.Count;
            Add(BitConverter.GetBytes(table - vtable));
            Add(new byte[SlotBytes * fields.Length]);
            for (int i = 0; i < fields.Length; i++)
            {
                int slot = table + 4 + SlotBytes * i;
                switch (fields[i])
                {
                    case null:
                        break;
                    case byte value:
                        Set(slot, [value]);
                        break;
                    case short value:
                        Set(slot, BitConverter.GetBytes(value));
                        break;
                    case int value:
                        Set(slot, BitConverter.GetBytes(value));
                        break;
                    case long value:
                        Set(slot, BitConverter.GetBytes(value));
                        break;
                    case string value:
                        Point(slot, Vector(value.Length, [.. Encoding.UTF8.GetBytes(value), 0]));
                        break;
                    case object?[][] tables:
                        int vector = Vector(tables.Length, new byte[4 * tables.Length]);
                        Point(slot, vector);
                        for (int j = 0; j < tables.Length; j++)
                            Point(vector + 4 + 4 * j, Table(tables[j]));
                        break;
                    case object?[] child:
                        Point(slot, Table(child));
                        break;
                    case (int count, byte[] bytes):
                        Point(slot, Vector(count, bytes));
                        break;
                    default:
                        throw new ArgumentException(fields[i]!.GetType().Name);
                }
            }
            return table;
        }

        private int Vector(int count, byte[] bytes)
        {
            int place = _bytes.Count;
            Add(BitConverter.GetBytes(count));
            Add(bytes);
            return place;
        }

        private void Point(int slot, int target) => Set(slot, BitConverter.GetBytes(target - slot));

        private void Set(int place, byte[] bytes)
        {
            for (int i = 0; i < bytes.Length; i++)
                _bytes[place + i] = bytes[i];
        }

        private void Add(byte[] bytes) => _bytes.AddRange(bytes);
    }
}
