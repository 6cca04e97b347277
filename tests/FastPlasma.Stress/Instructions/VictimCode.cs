using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Stress.Instructions;

/// <summary>The victim's executable: which instructions are ours, and what they are called.</summary>
internal sealed class VictimCode
{
    /// <summary>What the NativeAOT compiler puts before every method of our assemblies.</summary>
    private const string OwnPrefix = "FastPlasma_";

    private readonly List<(long Address, long Size, string Name)> _symbols = [];
    private readonly Dictionary<string, long> _byName = [];

    /// <param name="executable">As published, with symbols.</param>
    internal VictimCode(string executable)
    {
        if (!File.Exists(executable))
            throw new FileNotFoundException($"{executable} is not there: publish the victim first (dotnet publish tests/FastPlasma.Victim -c Release).", executable);
        Executable = executable;
        (long Address, string Name) last = default;
        foreach (string line in Run("nm", "-n", executable))
        {
            // ADDRESS TYPE NAME, ascending; a method ends where the next symbol begins, whatever that is: the sizes of the symbol table reach further.
            string[] parts = line.Split(' ', 3);
            if (parts.Length < 3 || parts[0].Length == 0 || parts[1] is not ("t" or "T") || parts[2] == last.Name)
                continue;
            long address = Hex(parts[0]);
            if (last.Name is not null && last.Name.StartsWith(OwnPrefix, StringComparison.Ordinal) && address > last.Address)
                _symbols.Add((last.Address, address - last.Address, last.Name));
            last = (address, parts[2]);
        }
        if (_symbols.Count == 0)
            throw new InvalidDataException($"{executable} has no symbols that begin with {OwnPrefix}.");
        _symbols.Sort();
        foreach ((long address, _, string name) in _symbols)
            _byName.TryAdd(name, address);

        var own = new List<long>();
        int at = 0;
        foreach (string line in Run("objdump", "-d", "--no-show-raw-insn", executable))
        {
            // "   ADDRESS:\tINSTRUCTION"; the tool gives ascending addresses, section by section.
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon < 1 || line[0] != ' ' || !long.TryParse(line.AsSpan(0, colon).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long address))
                continue;
            while (at < _symbols.Count && address >= _symbols[at].Address + _symbols[at].Size)
                at++;
            if (at < _symbols.Count && address >= _symbols[at].Address)
                own.Add(address);
        }
        Instructions = [.. own.Distinct().Order()];
    }

    internal string Executable { get; }

    /// <summary>Addresses of all instructions of ours, as in the file, ascending.</summary>
    internal long[] Instructions { get; }

    internal long First => Instructions[0];

    internal long End => Instructions[^1] + 1;

    /// <summary>"symbol+0xoffset".</summary>
    internal string Describe(long address)
    {
        (long start, _, string name) = _symbols.FindLast(s => s.Address <= address);
        return string.Create(CultureInfo.InvariantCulture, $"{name}+0x{address - start:x}");
    }

    /// <summary>The inverse of <see cref="Describe"/>.</summary>
    internal long Resolve(string place)
    {
        int plus = place.LastIndexOf("+0x", StringComparison.Ordinal);
        if (plus < 0 || !_byName.TryGetValue(place[..plus], out long start))
            throw new ArgumentException($"'{place}' is no SYMBOL+0xOFFSET of the victim.", nameof(place));
        long address = start + Hex(place[(plus + 3)..]);
        return Array.BinarySearch(Instructions, address) >= 0 ? address : throw new ArgumentException($"No instruction begins at {place}.", nameof(place));
    }

    private static long Hex(string text) => long.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static IEnumerable<string> Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true }) ?? throw new InvalidOperationException($"{program} did not start.");
        while (process.StandardOutput.ReadLine() is string line)
            yield return line;
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}.");
    }
}
