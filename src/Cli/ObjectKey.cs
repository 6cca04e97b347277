namespace FastPlasma.Cli;

/// <summary>An object as the command line names it: 56 or 40 hexadecimal digits are an id, anything else a name; <c>id:</c> and <c>name:</c> decide explicitly.</summary>
/// <param name="Id">The id, from the digits or from the name.</param>
/// <param name="Text">What was typed, for messages.</param>
internal readonly record struct ObjectKey(ObjectId Id, string Text)
{
    private const string IdPrefix = "id:", NamePrefix = "name:";

    internal static ObjectKey Parse(string text)
    {
        if (text.StartsWith(IdPrefix, StringComparison.Ordinal))
            return new(ParseId(text[IdPrefix.Length..]), text);
        if (text.StartsWith(NamePrefix, StringComparison.Ordinal))
            return new(FromName(text[NamePrefix.Length..]), text);
        return new(ObjectId.TryParse(text, null, out ObjectId id) ? id : FromName(text), text);
    }

    /// <summary>Reads an id; the error says how many digits are expected and how many were given.</summary>
    internal static ObjectId ParseId(string text) =>
        ObjectId.TryParse(text, null, out ObjectId id)
            ? id
            : throw CliException.Usage($"'{text}' is no object id: expected {2 * ObjectId.SizeBytes} hexadecimal digits (or {2 * ObjectId.PlasmaSizeBytes} of a Plasma id), got {text.Length} characters");

    private static ObjectId FromName(string name) =>
        name.Length == 0 ? throw CliException.Usage("an object name has at least one character") : ObjectId.FromName(name);

    /// <summary>For messages: what was typed, and the id when that was a name.</summary>
    public override string ToString() =>
        Text.EndsWith(Id.ToString(), StringComparison.OrdinalIgnoreCase) ? Id.ToString() : $"'{TextTable.Printable(Text)}' (id {Id})";
}
