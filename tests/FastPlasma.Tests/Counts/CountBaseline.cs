using System.Globalization;

namespace FastPlasma.Tests.Counts;

/// <summary>The counts that are expected: a line "built ..." that says by which compiler, and one line "operation instructions" each; # begins a comment.</summary>
internal sealed class CountBaseline
{
    /// <summary>As shown in messages.</summary>
    internal const string FileName = "tests/FastPlasma.Counted/baseline.txt";

    /// <summary>Set to 1, the tests write the baseline instead of judging by it.</summary>
    internal const string WriteVariable = "FASTPLASMA_WRITE_COUNTS";

    // Counts are exact; the margin is for changes that are meant and cost next to nothing, such as an argument check, so that not each of them needs a new baseline.
    private const double ToleranceShare = 0.03, ToleranceInstructions = 5;

    private readonly string _built;
    private readonly Dictionary<string, double> _instructions;

    internal CountBaseline(string built, IReadOnlyDictionary<string, double> instructions) => (_built, _instructions) = (built, new(instructions));

    internal static bool IsToBeWritten => Environment.GetEnvironmentVariable(WriteVariable) == "1";

    private static string FilePath => Path.Combine(Repository.Folder, FileName);

    internal static CountBaseline Read()
    {
        string built = "";
        var instructions = new Dictionary<string, double>();
        foreach (string line in File.ReadLines(FilePath).Where(static line => line.Length > 0 && line[0] != '#'))
        {
            int blank = line.IndexOf(' ', StringComparison.Ordinal);
            if (blank < 0)
                throw new InvalidDataException($"{FileName}: '{line}' is neither 'built ...' nor 'operation instructions'.");
            if (line[..blank] == "built")
                built = line[(blank + 1)..];
            else
                instructions.Add(line[..blank], double.Parse(line.AsSpan(blank + 1), CultureInfo.InvariantCulture));
        }
        return new CountBaseline(built, instructions);
    }

    internal void Write() => File.WriteAllLines(
        FilePath,
        [
            "# Instructions of one call of each hot operation (tests/FastPlasma.Counted/Operations.cs), with the caller's loop. Compared in ./eng/test; rewritten by",
            $"# {WriteVariable}=1 ./eng/test --filter-class '*InstructionCountTests*'",
            $"built {_built}",
            .. _instructions.Select(static pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {pair.Value:0.0}")),
        ]);

    /// <summary>What is wrong with a count, or null.</summary>
    internal string? Refuse(string operation, double instructions, string built)
    {
        if (!_instructions.TryGetValue(operation, out double expected))
            return $"operation {operation}: {instructions:0.0} instructions, no baseline ({FileName}). {HowToWrite}";
        double tolerance = expected * ToleranceShare + ToleranceInstructions;
        if (Math.Abs(instructions - expected) <= tolerance)
            return null;
        string what = string.Create(CultureInfo.InvariantCulture, $"operation {operation}: {instructions:0.0} instructions, baseline {expected:0.0} ({FileName}), tolerance {tolerance:0.0}.");
        string compiler = built == _built ? "" : $" The baseline was counted with {_built}, this run with {built}: the difference may be theirs.";
        return $"{what}{compiler} {(instructions < expected ? "It became less: keep that." : "If this is meant:")} {HowToWrite}";
    }

    private static string HowToWrite => $"{WriteVariable}=1 ./eng/test --filter-class '*InstructionCountTests*' writes the baseline; commit it with the reason.";
}
