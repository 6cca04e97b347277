using System.Globalization;
using System.Text;
using Spectre.Console;

namespace FastPlasma.Cli;

/// <summary>A table that is boxed on a terminal, and plain aligned columns anywhere else, so that grep, awk and diff can use it.</summary>
internal sealed class TextTable
{
    private readonly (string Title, bool IsNumber)[] _columns;
    private readonly List<string[]> _rows = [];

    /// <summary>Columns from left to right; a title that starts with '&gt;' is aligned to the right.</summary>
    internal TextTable(params string[] columns) =>
        _columns = [.. columns.Select(column => column.StartsWith('>') ? (column[1..], true) : (column, false))];

    internal int RowCount => _rows.Count;

    internal void Add(params string[] cells)
    {
        if (cells.Length != _columns.Length)
            throw new InvalidOperationException($"{cells.Length} cells for {_columns.Length} columns.");
        _rows.Add([.. cells.Select(Printable)]);
    }

    internal void Write(CliContext context)
    {
        if (context.OutTerminal is { } terminal)
            terminal.Write(ToRenderable());
        else
            WritePlain(context.Output);
    }

    /// <summary>Two spaces between columns, no trailing space, one header line.</summary>
    internal void WritePlain(TextWriter writer)
    {
        int[] widths = [.. _columns.Select((column, i) => _rows.Aggregate(column.Title.Length, (width, row) => Math.Max(width, row[i].Length)))];
        var line = new StringBuilder();
        foreach (string[] row in _rows.Prepend([.. _columns.Select(column => column.Title)]))
        {
            line.Clear();
            for (int i = 0; i < row.Length; i++)
            {
                if (i > 0)
                    line.Append("  ");
                line.Append(_columns[i].IsNumber ? row[i].PadLeft(widths[i]) : row[i].PadRight(widths[i]));
            }

            writer.WriteLine(line.ToString().TrimEnd());
        }
    }

    internal Table ToRenderable()
    {
        var table = new Table { Border = TableBorder.Rounded };
        foreach ((string title, bool isNumber) in _columns)
            table.AddColumn(new TableColumn(new Text(title, new Style(decoration: Decoration.Bold))) { Alignment = isNumber ? Justify.Right : Justify.Left, NoWrap = isNumber });
        foreach (string[] row in _rows)
            table.AddRow(row.Select(cell => new Text(cell)));
        return table;
    }

    /// <summary>Replaces control characters, which object names may contain and terminals would obey.</summary>
    internal static string Printable(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\0', '\u001F') && !text.AsSpan().ContainsAnyInRange('\u007F', '\u009F'))
            return text;
        var safe = new StringBuilder(text.Length + 8);
        foreach (char c in text)
        {
            if (char.IsControl(c))
                safe.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            else
                safe.Append(c);
        }

        return safe.ToString();
    }
}
