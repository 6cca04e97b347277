using System.Text.RegularExpressions;

namespace FastPlasma.Files;

/// <summary>Names of a store's files: "fastplasma.NAME" is the meta file; all others carry the store's UUID, so a destroyed store and its successor never mix.</summary>
internal static partial class StoreNames
{
    internal const string Prefix = "fastplasma.";
    internal const int NameLengthMax = 128;

    /// <summary>Suffix of the writers' pins and lock files; those of readers end in their uid.</summary>
    internal const string WritersDomain = "w";

    internal static string Meta(string name) => Prefix + name;

    internal static string New(string name, Guid uuid) => $"{Prefix}{name}.{uuid:N}.new";

    internal static string Data(string name, Guid uuid) => $"{Prefix}{name}.{uuid:N}.data";

    internal static string Pins(string name, Guid uuid, string domain) => $"{Prefix}{name}.{uuid:N}.pins.{domain}";

    internal static string Lock(string name, Guid uuid, string domain) => $"{Prefix}{name}.{uuid:N}.lock.{domain}";

    /// <summary>Allocator state of the spill files, in shared memory.</summary>
    internal static string SpillMap(string name, Guid uuid) => $"{Prefix}{name}.{uuid:N}.spillmap";

    /// <summary>One directory's spill file. Its number is its own: the objects of a persistent store outlive the store's other files.</summary>
    internal static string Spill(string name, Guid fileId) => $"{Prefix}{name}.{fileId:N}.spill";

    /// <summary>What a spill file holds, written by the last writer of a persistent store.</summary>
    internal static string Catalog(string name, Guid fileId) => $"{Prefix}{name}.{fileId:N}.catalog";

    /// <summary>The same while it is written.</summary>
    internal static string CatalogNew(string name, Guid fileId) => $"{Prefix}{name}.{fileId:N}.catalog.new";

    /// <summary>Socket of the node service's control channel.</summary>
    internal static string Node(string name, Guid uuid) => $"{Prefix}{name}.{uuid:N}.node";

    /// <summary>The same while it is made: short enough for an address of a socket whatever the store's name.</summary>
    internal static string NodeNew(Guid uuid) => $".{Prefix}{uuid:N}.node";

    /// <exception cref="ArgumentException">The name cannot be a store's.</exception>
    internal static void Check(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.Length is 0 or > NameLengthMax || !Allowed().IsMatch(name))
            throw new ArgumentException($"'{name}' is no store name: 1 to {NameLengthMax} letters, digits, '.', '_' or '-', beginning with a letter or digit.", nameof(name));
        if (TryParsePart(Prefix + name + ".new", out _, out _) || TryParsePart(Prefix + name, out _, out _) || TryParseSpill(Prefix + name, out _, out _, out _))
            throw new ArgumentException($"'{name}' is no store name: it looks like a file of another store.", nameof(name));
    }

    /// <summary>Whether a file name is that of a store's meta file.</summary>
    internal static bool TryParseMeta(string fileName, out string name)
    {
        name = fileName.StartsWith(Prefix, StringComparison.Ordinal) ? fileName[Prefix.Length..] : "";
        return name.Length > 0 && Allowed().IsMatch(name) && !TryParsePart(fileName, out _, out _) && !TryParseSpill(fileName, out _, out _, out _);
    }

    /// <summary>Whether a file name is one of those with a UUID.</summary>
    internal static bool TryParsePart(string fileName, out string name, out Guid uuid)
    {
        Match match = Part().Match(fileName);
        name = match.Groups[1].Value;
        uuid = match.Success ? Guid.ParseExact(match.Groups[2].Value, "N") : Guid.Empty;
        return match.Success;
    }

    /// <summary>Whether a file name is that of a spill file or of its catalogue.</summary>
    /// <param name="fileName">Name without folder.</param>
    /// <param name="name">The store's name.</param>
    /// <param name="fileId">The spill file's number.</param>
    /// <param name="kind">"spill", "catalog" or "catalog.new".</param>
    internal static bool TryParseSpill(string fileName, out string name, out Guid fileId, out string kind)
    {
        Match match = SpillPart().Match(fileName);
        name = match.Groups[1].Value;
        fileId = match.Success ? Guid.ParseExact(match.Groups[2].Value, "N") : Guid.Empty;
        kind = match.Groups[3].Value;
        return match.Success;
    }

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Allowed();

    [GeneratedRegex(@"^fastplasma\.(.+?)\.([0-9a-f]{32})\.(new|data|node|spillmap|pins\.[0-9w]+|lock\.[0-9w]+)\z", RegexOptions.CultureInvariant)]
    private static partial Regex Part();

    [GeneratedRegex(@"^fastplasma\.(.+?)\.([0-9a-f]{32})\.(spill|catalog|catalog\.new)\z", RegexOptions.CultureInvariant)]
    private static partial Regex SpillPart();
}
