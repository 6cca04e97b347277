using System.Buffers.Binary;
using System.Globalization;
using Apache.Arrow;
using Apache.Arrow.C;
using Apache.Arrow.Ipc;
using Apache.Arrow.Types;
using FastPlasma.Data;

namespace FastPlasma.Tests.Data;

/// <summary>Arrow batches: one copy in, none out, and nothing believed that another process wrote.</summary>
public sealed unsafe class ArrowTests : StoreTest
{
    private static readonly PlasmaOptions s_options = Small with { CapacityBytes = 32 << 20 };
    private readonly PlasmaStore _store;
    private readonly string _name;
    private readonly ObjectId _id = Id("batch");

    public ArrowTests() => _store = Named(out _name, s_options);

    [Fact]
    public void A_batch_is_put_with_one_copy_and_read_in_the_stores_own_memory()
    {
        using RecordBatch batch = Numbers(50_000);
        _store.PutArrow(_id, batch);
        OperationCounts put = _store.Stats().Process;
        using ArrowObject arrow = _store.TryGetArrow(_id)!;
        Int64Array longs = (Int64Array)arrow.Batch.Column(0);
        DoubleArray doubles = (DoubleArray)arrow.Batch.Column(1);
        Assert.True(longs.Values.SequenceEqual(((Int64Array)batch.Column(0)).Values));
        Assert.True(doubles.Values.SequenceEqual(((DoubleArray)batch.Column(1)).Values));

        // Once, and no more than the object is long.
        Assert.InRange(put.CreateCopiedBytes, 2 * 50_000 * sizeof(long), arrow.Object.Length);
        Assert.Equal((1, 0, 0), (put.Creates, put.PutCopiedBytes, _store.Stats().Process.GetCopiedBytes));

        (nint start, nint end, string rights) = Mapping((nint)arrow.Object.Pointer);
        Assert.StartsWith("r--s", rights, StringComparison.Ordinal);
        var addresses = arrow.Batch.Arrays.SelectMany(static array => ArrowReading.Addresses(array.Data)).ToList();
        Assert.Equal(2, addresses.Count);
        Assert.All(addresses, address =>
        {
            Assert.InRange(address, start, end - 1);
            Assert.Equal(0, address % 64);
        });
    }

    [Fact]
    public void Every_supported_type_comes_back_equal_aligned_and_in_place()
    {
        using RecordBatch batch = Everything();
        _store.PutArrow(_id, batch);
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        Same(batch, arrow.Batch);
        Assert.Equal(batch.Schema.FieldsList.Select(static f => f.Name), arrow.Schema.FieldsList.Select(static f => f.Name));
        Assert.All(arrow.Batch.Arrays.SelectMany(static array => ArrowReading.Addresses(array.Data)), address =>
        {
            Assert.Equal(0, address % 64);
            Assert.InRange(address, (nint)arrow.Object.Pointer, (nint)arrow.Object.Pointer + (nint)arrow.Object.Length - 1);
        });
        foreach (IArrowArray array in arrow.Batch.Arrays)
            ArrowTypes.Verify(array.Data, isDeep: true);
    }

    [Fact]
    public void Buffers_of_odd_lengths_are_aligned_too()
    {
        // 3 values in 12 bytes: Apache.Arrow's own writer would put the next buffer at a multiple of 8 only.
        var odd = new Int32Array(new ArrayData(Int32Type.Default, 3, 0, 0, [ArrowBuffer.Empty, new ArrowBuffer(new byte[12])]));
        var schema = new Schema([new Field("a", Int32Type.Default, true), new Field("b", Int32Type.Default, true), new Field("c", Int32Type.Default, true)], null);
        _store.PutArrow(_id, new RecordBatch(schema, [odd, odd, odd], 3));
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        Assert.All(arrow.Batch.Arrays.SelectMany(static array => ArrowReading.Addresses(array.Data)), static address => Assert.Equal(0, address % 64));
        Assert.Equal(0, ((Int32Array)arrow.Batch.Column(2)).Values[2]);
    }

    [Fact]
    public void Sliced_batches_come_back_as_their_part()
    {
        using RecordBatch batch = Everything(200);
        using RecordBatch part = batch.Slice(13, 77);
        _store.PutArrow(_id, part);
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        Same(part, arrow.Batch);
    }

    [Fact]
    public void A_batch_that_was_read_can_be_put_again()
    {
        using RecordBatch batch = Everything();
        _store.PutArrow(_id, batch);
        using ArrowObject first = _store.GetArrow(_id, TimeSpan.Zero);
        _store.PutArrow(Id("again"), first.Batch);
        using ArrowObject second = _store.GetArrow(Id("again"), TimeSpan.Zero);
        Same(batch, second.Batch);
        Assert.Equal(first.Object.Length, second.Object.Length);
    }

    [Fact]
    public void Several_batches_none_and_empty_ones_are_streams_too()
    {
        using RecordBatch a = Numbers(10), b = Numbers(0), c = Numbers(1000);
        _store.PutArrow(_id, a.Schema, [a, b, c]);
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        Assert.Equal([10, 0, 1000], arrow.Batches.Select(static batch => batch.Length));
        Same(c, arrow.Batches[2]);
        Assert.Throws<InvalidOperationException>(() => arrow.Batch);

        _store.PutArrow(Id("none"), a.Schema, []);
        using ArrowObject none = _store.GetArrow(Id("none"), TimeSpan.Zero);
        Assert.Empty(none.Batches);
        Assert.Equal(2, none.Schema.FieldsList.Count);
        _store.PutArrow(Id("no columns"), new Schema([], null), []);
        using ArrowObject columns = _store.GetArrow(Id("no columns"), TimeSpan.Zero);
        Assert.Empty(columns.Schema.FieldsList);
    }

    [Fact]
    public void Another_process_reads_the_same_bytes_in_place()
    {
        using RecordBatch batch = Everything();
        _store.PutArrow(_id, batch);
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        string here = ArrowReading.Describe(arrow);
        Assert.Equal(here, StartWorker(_name).Call("arrow batch"));
        Assert.Matches(@"(\d+) of \1 buffers in place, \1 aligned$", here);
    }

    [Fact]
    public void A_stream_that_another_writer_put_is_read_in_place_too()
    {
        using RecordBatch batch = Everything();
        byte[] plain = Plain(batch);
        _store.Put(_id, plain);
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        Same(batch, arrow.Batch);
        Assert.Contains("in place", ArrowReading.Describe(arrow), StringComparison.Ordinal);

        // Without the mark at the end, as a writer leaves it that was not closed.
        _store.Put(Id("open end"), plain.AsSpan(0, plain.Length - 8));
        using ArrowObject open = _store.GetArrow(Id("open end"), TimeSpan.Zero);
        Same(batch, open.Batch);
    }

    [Fact]
    public void The_stream_in_the_object_is_what_any_arrow_reader_reads()
    {
        using RecordBatch batch = Everything();
        _store.PutArrow(_id, batch);
        using PlasmaObject obj = _store.Get(_id, TimeSpan.Zero);
        using var reader = new ArrowStreamReader(obj.OpenStream()); // Copies, message by message, as from a socket.
        using RecordBatch read = reader.ReadNextRecordBatch();
        Same(batch, read);
        Assert.Null(reader.ReadNextRecordBatch());
        Assert.Equal(ArrowExtensions.ContentType, obj.ContentType);
    }

    [Fact]
    public void Arrays_throw_after_the_release()
    {
        using RecordBatch batch = Numbers(100);
        _store.PutArrow(_id, batch);
        ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        var longs = (Int64Array)arrow.Batch.Column(0);
        RecordBatch read = arrow.Batch;
        Assert.True(arrow.IsPinned);
        arrow.Dispose();
        arrow.Dispose();
        Assert.False(arrow.IsPinned);
        Assert.Throws<ObjectDisposedException>(() => longs.GetValue(0));
        CArrowArray* target = CArrowArray.Create();
        try
        {
            Assert.Throws<ObjectDisposedException>(() => arrow.Export(read, target));
        }
        finally
        {
            CArrowArray.Free(target);
        }
        NothingIsPinned();
    }

    [Fact]
    public void An_export_and_import_through_the_c_data_interface_keeps_the_addresses_and_the_pin()
    {
        using RecordBatch batch = Everything();
        _store.PutArrow(_id, batch);
        ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        var addresses = arrow.Batch.Arrays.SelectMany(static array => ArrowReading.Addresses(array.Data)).ToHashSet();
        CArrowSchema* schema = CArrowSchema.Create();
        CArrowArray* array = CArrowArray.Create();
        CArrowSchemaExporter.ExportSchema(arrow.Schema, schema);
        arrow.Export(arrow.Batch, array);
        Assert.Throws<ArgumentException>(() => arrow.Export(arrow.Batch, array)); // In use.
        arrow.Dispose();

        // From here on the exported arrays alone hold the object.
        _store.Delete(_id);
        Assert.True(arrow.IsPinned);
        Assert.Equal(1, _store.Stats().CondemnedCount);
        RecordBatch imported = CArrowArrayImporter.ImportRecordBatch(array, CArrowSchemaImporter.ImportSchema(schema));
        Same(batch, imported);
        Assert.All(imported.Arrays.SelectMany(static array => ArrowReading.Addresses(array.Data)), address => Assert.Contains(address, addresses));
        imported.Dispose();
        Assert.False(arrow.IsPinned);
        CArrowArray.Free(array);
        CArrowSchema.Free(schema);
        Eventually.True(() => _store.Maintain() >= 0 && _store.Stats().CondemnedCount == 0, "the memory is back");
    }

    [Fact]
    public void An_export_that_nobody_imports_ends_with_its_release()
    {
        using RecordBatch batch = Numbers(10);
        _store.PutArrow(_id, batch);
        ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        CArrowArray* array = CArrowArray.Create();
        arrow.Export(arrow.Batch, array);
        arrow.Dispose();
        Assert.True(arrow.IsPinned);
        CArrowArray.Free(array); // Calls the release callback.
        Assert.False(arrow.IsPinned);
        NothingIsPinned();
    }

    [Fact]
    public void Exports_beside_a_dispose_are_whole_or_refused()
    {
        using RecordBatch batch = Everything();
        _store.PutArrow(_id, batch);
        int exported = 0, refused = 0;
        for (int round = 0; round < 200; round++)
        {
            ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
            RecordBatch read = arrow.Batch;
            using var start = new Barrier(2);
            Eventually.Run disposing = Eventually.Start(() =>
            {
                start.SignalAndWait();
                arrow.Dispose();
            });
            CArrowArray* array = CArrowArray.Create();
            start.SignalAndWait();
            try
            {
                arrow.Export(read, array);
                exported++;
            }
            catch (ObjectDisposedException)
            {
                refused++;
            }
            disposing.Join();
            CArrowArray.Free(array);
            Assert.False(arrow.IsPinned);
        }
        Assert.Equal(200, exported + refused);
        NothingIsPinned();
    }

    [Fact]
    public void Misuse_of_an_export_is_refused()
    {
        using RecordBatch batch = Numbers(10);
        _store.PutArrow(_id, batch);
        using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
        CArrowArray* array = CArrowArray.Create();
        try
        {
            Assert.Contains("none of this stream", Assert.Throws<ArgumentException>(() => arrow.Export(batch, array)).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentNullException>(() => arrow.Export(arrow.Batch, null));
        }
        finally
        {
            CArrowArray.Free(array);
        }
    }

    [Fact]
    public void Puts_that_cannot_be_are_refused_before_anything_is_created()
    {
        using RecordBatch batch = Numbers(10);
        Assert.Contains("columns", Assert.Throws<ArgumentException>(() => _store.PutArrow(_id, new Schema([], null), [batch])).Message, StringComparison.Ordinal);
        var other = new Schema([new Field("a", StringType.Default, true), new Field("b", DoubleType.Default, true)], null);
        Assert.Contains("utf8", Assert.Throws<ArgumentException>(() => _store.PutArrow(_id, other, [batch])).Message, StringComparison.Ordinal);
        using RecordBatch large = Numbers(3_000_000);
        Assert.Throws<PlasmaException>(() => _store.PutArrow(_id, large));
        _store.PutArrow(_id, batch);
        Assert.Equal(PlasmaStatus.Exists, Assert.Throws<PlasmaException>(() => _store.PutArrow(_id, batch)).Status);
        Assert.Null(_store.TryGetArrow(Id("nobody")));
        Assert.Throws<TimeoutException>(() => _store.GetArrow(Id("nobody"), TimeSpan.Zero));
        Assert.Equal((1, 0), (_store.Stats().SealedCount, _store.Stats().CreatingCount));
    }

    [Fact]
    public void Bytes_that_are_no_arrow_stream_say_so()
    {
        byte[] good = Plain(Numbers(10));
        foreach ((string name, byte[] bytes, string said) in ((string, byte[], string)[])
        [
            ("empty", [], "no schema"), ("short", [255, 255, 255, 255], "no message begins"), ("zeros", new byte[100], "no message begins"), ("text", "not an arrow stream at all"u8.ToArray(), "no message begins"),
            ("end only", [255, 255, 255, 255, 0, 0, 0, 0], "no schema"), ("cut", good[..(good.Length / 2)], "damaged"), ("cut in prefix", good[..5], "no message begins"),
            ("no metadata", [255, 255, 255, 255, 255, 255, 255, 127, .. new byte[20]], "bytes of metadata"), ("negative", [255, 255, 255, 255, 0, 0, 0, 128, .. new byte[20]], "bytes of metadata"),
            ("no schema", [.. good.AsSpan(8 + BinaryPrimitives.ReadInt32LittleEndian(good.AsSpan(4)))], "not a schema"),
            ("two schemas", [.. good.AsSpan(0, 8 + BinaryPrimitives.ReadInt32LittleEndian(good.AsSpan(4))), .. good], "of kind 1"),
        ])
        {
            _store.Put(Id(name), bytes);
            Assert.Contains(said, Assert.Throws<InvalidDataException>(() => _store.TryGetArrow(Id(name))).Message, StringComparison.Ordinal);
        }
        NothingIsPinned();
    }

    /// <summary>Apache.Arrow itself reads wherever an offset points, so none may get through to it or to a consumer of the C data interface.</summary>
    [Fact]
    public void Offsets_that_point_outside_are_refused_when_opened_and_at_the_latest_when_exported()
    {
        int[] offsets = [0, 5, 1_000_000, 10];
        var values = new byte[offsets.Length * sizeof(int)];
        Buffer.BlockCopy(offsets, 0, values, 0, values.Length);
        var bad = new StringArray(3, new ArrowBuffer(values), new ArrowBuffer(new byte[10]), ArrowBuffer.Empty);
        _store.Put(_id, Plain(new RecordBatch(new Schema([new Field("s", StringType.Default, true)], null), [bad], 3)));
        Assert.Contains("offset 2 is 1000000", Assert.Throws<InvalidDataException>(() => _store.TryGetArrow(_id)).Message, StringComparison.Ordinal);
        using ArrowObject trusted = _store.GetArrow(_id, TimeSpan.Zero, trustOffsets: true);
        CArrowArray* array = CArrowArray.Create();
        Assert.Contains("offset 2 is 1000000", Assert.Throws<InvalidDataException>(() => trusted.Export(trusted.Batch, array)).Message, StringComparison.Ordinal);
        CArrowArray.Free(array);
    }

    [Theory]
    [MemberData(nameof(DamagedArrays))]
    public void Each_kind_of_damage_in_an_array_is_found(string said, ArrayData data)
    {
        string message = Assert.ThrowsAny<InvalidDataException>(() => ArrowTypes.Verify(data, isDeep: true)).Message;
        Assert.Contains(said, message, StringComparison.Ordinal);
    }

    public static TheoryData<string, ArrayData> DamagedArrays()
    {
        ArrayData bytes = Of(UInt8Type.Default, 4, Ints(0));
        var list = new ListType(UInt8Type.Default);
        return new TheoryData<string, ArrayData>
        {
            { "buffer 1 has 4 bytes, 8 are needed", Of(Int32Type.Default, 2, Ints(1)) },
            { "buffer 0 has 1 bytes, 2 are needed", new ArrayData(UInt8Type.Default, 9, 0, 0, [new ArrowBuffer(new byte[1]), new ArrowBuffer(new byte[9])]) },
            { "does not say which", new ArrayData(UInt8Type.Default, 1, 1, 0, [ArrowBuffer.Empty, new ArrowBuffer(new byte[1])]) },
            { "elements from", new ArrayData(UInt8Type.Default, int.MaxValue, 0, 5, [ArrowBuffer.Empty, ArrowBuffer.Empty]) },
            { "offset 1 is -1", Of(StringType.Default, 1, Ints(0, -1), Ints(0)) },
            { "offset 0 is -1", Of(StringType.Default, 1, Ints(-1, 0), Ints(0)) },
            { "offset 1 is 5", Of(BinaryType.Default, 1, Ints(0, 5), Ints(0)) },
            { "numbers, 3 are needed", Of(StringType.Default, 2, Ints(0, 1), Ints(0)) },
            { "offset 1 is 9", Of(LargeStringType.Default, 1, Longs(0, 9), Ints(0)) },
            { "offset 1 is 5", new ArrayData(list, 1, 0, 0, [ArrowBuffer.Empty, Ints(0, 5)], [bytes]) },
            { "offset 2 is 1, after 3", new ArrayData(list, 2, 0, 0, [ArrowBuffer.Empty, Ints(0, 3, 1)], [bytes]) },
            { "elements are missing", new ArrayData(list, 1, 0, 0, [ArrowBuffer.Empty, Ints(0, 1)], []) },
            { "offset 1 is 5", new ArrayData(new LargeListType(UInt8Type.Default), 1, 0, 0, [ArrowBuffer.Empty, Longs(0, 5)], [bytes]) },
            { "list 0 has 3 elements from 2", new ArrayData(new ListViewType(UInt8Type.Default), 1, 0, 0, [ArrowBuffer.Empty, Ints(2), Ints(3)], [bytes]) },
            { "do not fit", new ArrayData(new FixedSizeListType(UInt8Type.Default, 3), 2, 0, 0, [ArrowBuffer.Empty], [bytes]) },
            { "a field has 4 elements, 5 are needed", new ArrayData(new StructType([new Field("x", UInt8Type.Default, true)]), 5, 0, 0, [ArrowBuffer.Empty], [bytes]) },
            { "a field has 4 elements, 5 are needed", new ArrayData(new UnionType([new Field("x", UInt8Type.Default, true)], [0], UnionMode.Sparse), 5, 0, 0, [Ints(0, 0)], [bytes]) },
            { "is of type 1", new ArrayData(new UnionType([new Field("x", UInt8Type.Default, true)], [0], UnionMode.Dense), 1, 0, 0, [Ints(1), Ints(0)], [bytes]) },
            { "at 4, which is not there", new ArrayData(new UnionType([new Field("x", UInt8Type.Default, true)], [0], UnionMode.Dense), 1, 0, 0, [Ints(0), Ints(4)], [bytes]) },
            { "number 3 of a dictionary of 1", new ArrayData(new DictionaryType(Int32Type.Default, UInt8Type.Default, false), 1, 0, 0, [ArrowBuffer.Empty, Ints(3)], null, Of(UInt8Type.Default, 1, Ints(0))) },
            { "number 255 of a dictionary", new ArrayData(new DictionaryType(Int8Type.Default, UInt8Type.Default, false), 1, 0, 0, [ArrowBuffer.Empty, Ints(-1)], null, Of(UInt8Type.Default, 1, Ints(0))) },
            { "dictionary is missing", new ArrayData(new DictionaryType(Int32Type.Default, UInt8Type.Default, false), 1, 0, 0, [ArrowBuffer.Empty, Ints(0)]) },
            { "has -1 bytes", Of(StringViewType.Default, 1, Ints(-1, 0, 0, 0)) },
            { "of data buffer 1, which are not there", Of(StringViewType.Default, 1, Ints(20, 0, 1, 0), Ints(0, 0, 0, 0, 0)) },
            { "20 bytes at 1", Of(StringViewType.Default, 1, Ints(20, 0, 0, 1), Ints(0, 0, 0, 0, 0)) },
        };

        static ArrayData Of(IArrowType type, int length, params ArrowBuffer[] buffers) => new(type, length, 0, 0, [ArrowBuffer.Empty, .. buffers]);

        static ArrowBuffer Ints(params int[] values)
        {
            var bytes = new byte[values.Length * sizeof(int)];
            Buffer.BlockCopy(values, 0, bytes, 0, bytes.Length);
            return new ArrowBuffer(bytes);
        }

        static ArrowBuffer Longs(params long[] values)
        {
            var bytes = new byte[values.Length * sizeof(long)];
            Buffer.BlockCopy(values, 0, bytes, 0, bytes.Length);
            return new ArrowBuffer(bytes);
        }
    }

    /// <summary>Damage at random, by bits, words and cuts: the stream is refused, or all that it shows lies inside the object, and an export hands out nothing that points elsewhere.</summary>
    [Fact]
    public void Damaged_streams_are_refused_or_stay_inside_the_object()
    {
        int seed = LongRun.Seed, refused = 0, read = 0, exported = 0;
        var random = new Random(seed);
        byte[][] originals = [Plain(Everything(9)), Aligned(Everything(9)), Plain(Numbers(5))];
        int[] words = [0, 1, -1, 4, 8, 64, 255, 4096, int.MaxValue, int.MinValue, 0x7FFF, 0x8000, 0xFFFF];
        long deadline = Environment.TickCount64 + (long)LongRun.Of(4).TotalMilliseconds;
        for (int round = 0; round < 500 || Environment.TickCount64 < deadline; round++)
        {
            byte[] bytes = [.. originals[random.Next(originals.Length)]];
            for (int n = random.Next(1, 5); n > 0; n--)
            {
                int place = random.Next(2) == 0 ? random.Next(Math.Min(bytes.Length, 2500)) : random.Next(bytes.Length);
                switch (random.Next(4))
                {
                    case 0:
                        bytes[place] ^= (byte)(1 << random.Next(8));
                        break;
                    case 1:
                        bytes[place] = (byte)random.Next(256);
                        break;
                    case 2 when place / 4 * 4 + 4 <= bytes.Length:
                        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(place / 4 * 4), words[random.Next(words.Length)]);
                        break;
                    case 3 when random.Next(20) == 0:
                        bytes = bytes[..place];
                        n = 0;
                        break;
                }
            }
            _store.Delete(_id);
            _store.Put(_id, bytes);
            try
            {
                using ArrowObject arrow = _store.GetArrow(_id, TimeSpan.Zero);
                read++;
                foreach (RecordBatch batch in arrow.Batches)
                {
                    foreach (nint address in batch.Arrays.SelectMany(static array => ArrowReading.Addresses(array.Data)))
                        Assert.True(address >= (nint)arrow.Object.Pointer && address < (nint)arrow.Object.Pointer + arrow.Object.Length, $"seed {seed}, round {round}");
                    ReadAll(batch);
                    exported += TryExport(arrow, batch) ? 1 : 0;
                }
            }
            catch (Exception e) when (e is InvalidDataException or NotSupportedException)
            {
                refused++;
            }
            catch (Exception e) when (e is not Xunit.Sdk.IAssertionException)
            {
                throw new InvalidOperationException($"seed {seed}, round {round}: {Convert.ToBase64String(bytes)}", e);
            }
        }
        Assert.True(refused > 50 && read > 50 && exported > 10, $"seed {seed}: {refused} refused, {read} read, {exported} exported: one side was not tried.");
        NothingIsPinned();

        static bool TryExport(ArrowObject arrow, RecordBatch batch)
        {
            CArrowArray* array = CArrowArray.Create();
            CArrowSchema* schema = CArrowSchema.Create();
            try
            {
                arrow.Export(batch, array);
                CArrowSchemaExporter.ExportSchema(arrow.Schema, schema);
                using RecordBatch imported = CArrowArrayImporter.ImportRecordBatch(array, CArrowSchemaImporter.ImportSchema(schema));
                ReadAll(imported);
                return true;
            }
            catch (InvalidDataException)
            {
                return false;
            }
            finally
            {
                CArrowArray.Free(array);
                CArrowSchema.Free(schema);
            }
        }

        // Every byte of every value; what Apache.Arrow throws at odd values, a date out of range for one, is its own affair.
        static void ReadAll(RecordBatch batch)
        {
            foreach (IArrowArray array in batch.Arrays)
                ReadArray(array);
        }

        static void ReadArray(IArrowArray array)
        {
            for (int i = 0; i < Math.Min(array.Length, 100); i++)
            {
                try
                {
                    if (array is ListArray lists && !lists.IsNull(i))
                        ReadArray(lists.GetSlicedValues(i));
                    else if (array is StructArray fields)
                        fields.Fields.ToList().ForEach(ReadArray);
                    else if (array is DictionaryArray { Indices: Int32Array indices } words && indices.GetValue(i) is int index)
                        _ = Value(words.Dictionary, index);
                    else
                        _ = Value(array, i);
                }
                catch (Exception e) when (e is ArgumentException or InvalidOperationException or OverflowException or NotSupportedException or InvalidCastException)
                {
                    // Odd, not outside.
                }
            }
        }
    }

    /// <summary>Damage at one known place is refused by the check that is meant for it.</summary>
    [Fact]
    public void A_buffer_that_lies_outside_its_message_is_refused_with_its_place()
    {
        byte[] bytes = Plain(Numbers(5));
        int schemaBytes = 8 + BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4));
        FlatTable batch = FlatTable.Root(bytes.AsSpan(schemaBytes + 8)).Table(ArrowMetadata.MessageHeader);
        int place = schemaBytes + 8 + batch.Vector(ArrowMetadata.BatchBuffers, ArrowMetadata.PairBytes, out int count) + ArrowMetadata.PairBytes;
        Assert.Equal(4, count);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(place), 1 << 20);
        _store.Put(_id, bytes);
        Assert.Contains("buffer 1 has 64 bytes at 1048576", Assert.Throws<InvalidDataException>(() => _store.TryGetArrow(_id)).Message, StringComparison.Ordinal);
    }

    private byte[] Aligned(RecordBatch batch)
    {
        _store.PutArrow(Id("aligned"), batch);
        using PlasmaObject obj = _store.Get(Id("aligned"), TimeSpan.Zero);
        _store.Delete(Id("aligned"));
        return obj.Span.ToArray();
    }

    private static byte[] Plain(RecordBatch batch)
    {
        var stream = new MemoryStream();
        using var writer = new ArrowStreamWriter(stream, batch.Schema);
        writer.WriteRecordBatch(batch);
        writer.WriteEnd();
        return stream.ToArray();
    }

    private static RecordBatch Numbers(int rows) => new(
        new Schema([new Field("long", Int64Type.Default, false), new Field("double", DoubleType.Default, false)], null),
        [
            new Int64Array.Builder().AppendRange(Enumerable.Range(0, rows).Select(static i => (long)i * i)).Build(),
            new DoubleArray.Builder().AppendRange(Enumerable.Range(0, rows).Select(static i => i / 4.0)).Build(),
        ],
        rows);

    /// <summary>A batch with a column of each kind of layout, with nulls.</summary>
    private static RecordBatch Everything(int rows = 100)
    {
        var longs = new Int64Array.Builder();
        var doubles = new DoubleArray.Builder();
        var bools = new BooleanArray.Builder();
        var strings = new StringArray.Builder();
        var views = new StringViewArray.Builder();
        var days = new Date32Array.Builder();
        var times = new TimestampArray.Builder(new TimestampType(TimeUnit.Microsecond, "UTC"));
        var decimals = new Decimal128Array.Builder(new Decimal128Type(20, 3));
        var lists = new ListArray.Builder(Int32Type.Default);
        var listValues = (Int32Array.Builder)lists.ValueBuilder;
        var indices = new Int32Array.Builder();
        for (int i = 0; i < rows; i++)
        {
            if (i % 7 == 3)
            {
                longs.AppendNull();
                doubles.AppendNull();
                bools.AppendNull();
                strings.AppendNull();
                views.AppendNull();
                days.AppendNull();
                times.AppendNull();
                decimals.AppendNull();
                lists.AppendNull();
                indices.AppendNull();
                continue;
            }
            longs.Append(i * 1_000_000_007L);
            doubles.Append(i / 8.0);
            bools.Append(i % 3 == 0);
            strings.Append(i % 5 == 0 ? "" : $"text {i}");
            views.Append(i % 2 == 0 ? $"short {i}" : $"a text that does not fit into a view, number {i}");
            days.Append(new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddDays(i));
            times.Append(DateTimeOffset.UnixEpoch.AddSeconds(i));
            decimals.Append(i + 0.125m);
            lists.Append();
            for (int j = 0; j < i % 4; j++)
                listValues.Append(j);
            indices.Append(i % 3);
        }
        StringArray words = new StringArray.Builder().Append("zero").Append("one").Append("two").Build();
        var dictionaryType = new DictionaryType(Int32Type.Default, StringType.Default, false);
        Int64Array builtLongs = longs.Build();
        DoubleArray builtDoubles = doubles.Build();
        var structType = new StructType([new Field("x", Int64Type.Default, true), new Field("y", DoubleType.Default, true)]);
        IArrowArray[] columns =
        [
            builtLongs, builtDoubles, bools.Build(), strings.Build(), views.Build(), days.Build(), times.Build(), decimals.Build(), lists.Build(), new DictionaryArray(dictionaryType, indices.Build(), words),
            new StructArray(structType, rows, [builtLongs, builtDoubles], ArrowBuffer.Empty), new NullArray(rows),
        ];
        return new RecordBatch(new Schema(columns.Select(static (c, i) => new Field($"c{i.ToString(CultureInfo.InvariantCulture)}", c.Data.DataType, true)), null), columns, rows);
    }

    /// <summary>Values that two batches show, one by one.</summary>
    private static void Same(RecordBatch expected, RecordBatch actual)
    {
        Assert.Equal((expected.Length, expected.ColumnCount), (actual.Length, actual.ColumnCount));
        for (int c = 0; c < expected.ColumnCount; c++)
            Assert.Equal(Show(expected.Column(c)), Show(actual.Column(c)));
    }

    private static List<object?> Show(IArrowArray array) => [.. Enumerable.Range(0, array.Length).Select(i => Value(array, i))];

    private static object? Value(IArrowArray array, int i) => array.IsNull(i) ? null : array switch
    {
        Int32Array a => a.GetValue(i),
        Int64Array a => a.GetValue(i),
        DoubleArray a => a.GetValue(i),
        BooleanArray a => a.GetValue(i),
        StringArray a => a.GetString(i),
        StringViewArray a => a.GetString(i),
        Date32Array a => a.GetDateTime(i),
        TimestampArray a => a.GetTimestamp(i),
        Decimal128Array a => a.GetValue(i),
        ListArray a => string.Join(',', Show(a.GetSlicedValues(i))),
        DictionaryArray a => Value(a.Dictionary, ((Int32Array)a.Indices).GetValue(i)!.Value),
        StructArray a => string.Join('|', a.Fields.Select(f => Value(f, i))),
        NullArray => null,
        _ => throw new NotSupportedException(array.GetType().Name),
    };

    private void NothingIsPinned() => Assert.All(_store.List(), static info => Assert.Empty(info.Holders));

    private static (nint Start, nint End, string Rights) Mapping(nint address)
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] parts = line.Split(' ', StringSplitOptions.RemoveEmptyEntries), range = parts[0].Split('-');
            (nint start, nint end) = (nint.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), nint.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
            if (address >= start && address < end)
                return line.Contains("fastplasma.", StringComparison.Ordinal) ? (start, end, parts[1]) : throw new InvalidOperationException($"Not the store's: {line}");
        }
        throw new InvalidOperationException($"{address:x} is not mapped.");
    }
}
