using System.Globalization;

namespace FastPlasma.Stress.Fuzz;

/// <summary>When a store is damaged.</summary>
internal enum FuzzPhase
{
    /// <summary>While nobody is attached; everybody who opens it meets the damage.</summary>
    Rest,

    /// <summary>Between two operations of attachments that hold pins, writers, a deleted object that is still read, and a subscription.</summary>
    Live,

    /// <summary>Again and again, while threads of two attachments work.</summary>
    Race,
}

/// <summary>One change: what, how, with what.</summary>
/// <param name="Target">A field by name ("entry:3.DataOffset"), a place ("meta+4096"), or a file ("pins").</param>
/// <param name="Kind">set, add, xor (fields); noise, zero (places: a length in bytes, for noise with ":seed"); size, append, replace, mode, owner, remove (files).</param>
/// <param name="Value">A number, decimal or hexadecimal; for replace a kind of file.</param>
internal readonly record struct FuzzMutation(string Target, string Kind, string Value)
{
    public override string ToString() => $"{Target} {Kind} {Value}";

    internal ulong Number => ParseNumber(Value);

    internal static ulong ParseNumber(string text) => text.StartsWith("0x", StringComparison.Ordinal)
        ? ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
        : text.StartsWith('-') ? (ulong)long.Parse(text, CultureInfo.InvariantCulture) : ulong.Parse(text, CultureInfo.InvariantCulture);
}

/// <summary>One damaged store: a line of a corpus file.</summary>
/// <remarks>Form: <c>phase target kind value [; target kind value ...]</c>. Fields have names because the places of most of them depend on a seed that each store draws anew.</remarks>
internal sealed record FuzzCase(FuzzPhase Phase, IReadOnlyList<FuzzMutation> Mutations)
{
    public override string ToString() => $"{Phase.ToString().ToLowerInvariant()} {string.Join("; ", Mutations)}";

    internal static FuzzCase Parse(string line)
    {
        int space = line.IndexOf(' ', StringComparison.Ordinal);
        if (space < 0 || !Enum.TryParse(line[..space], ignoreCase: true, out FuzzPhase phase))
            throw new FormatException($"'{line}' is no fuzz case: it begins with rest, live or race.");
        var mutations = new List<FuzzMutation>();
        foreach (string part in line[space..].Split(';'))
        {
            string[] words = part.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 3)
                throw new FormatException($"'{part.Trim()}' in '{line}' is no mutation: target, kind, value.");
            mutations.Add(new FuzzMutation(words[0], words[1], words[2]));
        }
        return new FuzzCase(phase, mutations);
    }

    /// <summary>Cases of all .txt files of a folder; empty lines and lines with '#' are skipped.</summary>
    internal static List<FuzzCase> ReadCorpus(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*.txt").Order(StringComparer.Ordinal).SelectMany(File.ReadLines).Where(static l => l.Trim().Length > 0 && l[0] != '#').Select(Parse)];
}
