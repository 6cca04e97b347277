using System.Globalization;
using System.Numerics.Tensors;
using Apache.Arrow;
using Apache.Arrow.Types;
using FastPlasma.Data;
using FastPlasma.Examples.Serializers;
using Spectre.Console;
using Table = Spectre.Console.Table;

namespace FastPlasma.Examples.Copies;

/// <summary>One line per kind of data: bytes, and what the store counted at put and get.</summary>
internal sealed class CopyCounts(PlasmaStore store)
{
    private const int Rows = 100_000;

    private readonly Table _table = new Table().RoundedBorder()
        .AddColumn("kind").AddColumn(Right("bytes")).AddColumn(Right("copied at put")).AddColumn(Right("written in place")).AddColumn(Right("copied at get")).AddColumn("read as");

    private bool _noGetCopied = true;

    internal bool Show()
    {
        var bytes = new byte[1 << 20];
        Random.Shared.NextBytes(bytes);
        Add("bytes", id => Put(() => store.Put(id, bytes)), id =>
        {
            using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
            Check(obj.Span.SequenceEqual(bytes));
            return "ReadOnlySpan<byte>";
        });
        Add("tensor, filled in place", id =>
        {
            using TensorWriter<float> writer = store.CreateTensor<float>(id, [512, 512]);
            writer.Span.Fill(0.5f);
            writer.Seal();
            return writer.Writer.Length;
        }, ReadTensor);
        var array = new float[512 * 512];
        array.AsSpan().Fill(0.5f);
        Add("tensor, from an array", id => Put(() => store.PutTensor(id, new ReadOnlyTensorSpan<float>(array, [512, 512]))), ReadTensor);
        using RecordBatch numbers = Numbers(), strings = Strings();
        Add("Arrow batch of numbers", id => Put(() => store.PutArrow(id, numbers)), id => ReadArrow(id, numbers));
        Add("Arrow batch with strings", id => Put(() => store.PutArrow(id, strings)), id => ReadArrow(id, strings));
        Quote[] quotes = [.. Enumerable.Range(0, 10_000).Select(static i => new Quote($"SYM{i}", i / 8.0, i, null))];
        var json = new JsonObjectSerializer<Quote[]>(QuoteJson.Default.QuoteArray);
        Add("records, System.Text.Json", id =>
        {
            store.Put(id, quotes, json);
            using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
            return obj.Length - store.Stats().Process.CreateCopiedBytes + _createCopiedBefore; // All but what came through a buffer.
        }, id =>
        {
            Check(store.Get(id, json, TimeSpan.Zero).AsSpan().SequenceEqual(quotes));
            return "new objects: text is parsed, whatever the store does";
        });
        AnsiConsole.Write(new Rule("[bold]Copies[/], as the store counts them").LeftJustified());
        AnsiConsole.Write(_table);
        AnsiConsole.MarkupLine("[grey]Copied: by the store's own code, in bytes. Written in place: by the caller or its serializer, straight into the object. Arrow streams are a little longer than what is copied: padding to 64 bytes.[/]\n");
        return _noGetCopied;
    }

    private long _createCopiedBefore;

    private void Add(string kind, Func<ObjectId, long> put, Func<ObjectId, string> get)
    {
        ObjectId id = ObjectId.FromName(kind);
        OperationCounts before = store.Stats().Process;
        _createCopiedBefore = before.CreateCopiedBytes;
        long written = put(id);
        OperationCounts between = store.Stats().Process;
        string read = get(id);
        long copiedAtPut = between.PutCopiedBytes - before.PutCopiedBytes + between.CreateCopiedBytes - before.CreateCopiedBytes;
        long copiedAtGet = store.Stats().Process.GetCopiedBytes - before.GetCopiedBytes;
        _noGetCopied &= copiedAtGet == 0;
        using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
        _table.AddRow(new Markup(kind), new Markup(Number(obj.Length)), new Markup(Number(copiedAtPut)), new Markup(Number(written)), new Markup($"[{(copiedAtGet == 0 ? "green" : "red")}]{Number(copiedAtGet)}[/]"), new Markup(read.Replace("[", "[[", StringComparison.Ordinal)));
    }

    /// <summary>A put by the store: nobody else writes.</summary>
    private static long Put(Action put)
    {
        put();
        return 0;
    }

    private string ReadTensor(ObjectId id)
    {
        using TensorObject<float> tensor = store.GetTensor<float>(id, TimeSpan.Zero, rank: 2);
        Check(Tensor.Sum(tensor.Span) == 512 * 512 * 0.5f);
        return "ReadOnlyTensorSpan<float>";
    }

    private string ReadArrow(ObjectId id, RecordBatch expected)
    {
        using ArrowObject arrow = store.GetArrow(id, TimeSpan.Zero);
        Check(arrow.Batch.Length == expected.Length);
        return $"RecordBatch, {arrow.Schema.FieldsList.Count} columns";
    }

    private static RecordBatch Numbers() => new(
        new Schema([new Field("n", Int64Type.Default, false), new Field("x", DoubleType.Default, false)], null),
        [new Int64Array.Builder().AppendRange(Enumerable.Range(0, Rows).Select(static i => (long)i)).Build(), new DoubleArray.Builder().AppendRange(Enumerable.Range(0, Rows).Select(static i => i / 8.0)).Build()],
        Rows);

    private static RecordBatch Strings() => new(
        new Schema([new Field("n", Int64Type.Default, false), new Field("name", StringType.Default, true)], null),
        [new Int64Array.Builder().AppendRange(Enumerable.Range(0, Rows).Select(static i => (long)i)).Build(), new StringArray.Builder().AppendRange(Enumerable.Range(0, Rows).Select(static i => $"name {i}")).Build()],
        Rows);

    private static void Check(bool isEqual)
    {
        if (!isEqual)
            throw new InvalidOperationException("What was read is not what was put.");
    }

    private static TableColumn Right(string header) => new TableColumn(header).RightAligned();

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
