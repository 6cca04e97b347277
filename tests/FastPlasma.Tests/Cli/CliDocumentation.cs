using System.Text;
using System.Text.Json;

namespace FastPlasma.Tests;

/// <summary>The JSON shapes of docs/cli.md, to compare what the commands print with.</summary>
internal static class CliDocumentation
{
    /// <summary>A key of this name stands for further ones.</summary>
    private const string Ellipsis = "…";

    /// <summary>The documents of the JSON block under a heading, for example "### put".</summary>
    internal static List<JsonElement> Under(string heading)
    {
        string text = File.ReadAllText(Path.Combine(Repository.Folder, "docs", "cli.md"));
        int section = text.IndexOf($"\n{heading}\n", StringComparison.Ordinal);
        Assert.True(section >= 0, $"docs/cli.md has no heading '{heading}'");
        int begin = text.IndexOf("```json\n", section, StringComparison.Ordinal) + "```json\n".Length;
        string block = text[begin..text.IndexOf("```", begin, StringComparison.Ordinal)];
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(block), new JsonReaderOptions { AllowMultipleValues = true });
        var documents = new List<JsonElement>();
        while (reader.Read())
            documents.Add(JsonElement.ParseValue(ref reader));
        return documents;
    }

    /// <summary>Same properties in the same order and the same kinds of value, all the way down.</summary>
    internal static void AssertShape(JsonElement documented, JsonElement printed, string path = "$")
    {
        if (documented.ValueKind == JsonValueKind.Array)
        {
            Assert.Equal(JsonValueKind.Array, printed.ValueKind);
            foreach (JsonElement item in printed.EnumerateArray())
                if (documented.GetArrayLength() > 0)
                    AssertShape(documented[0], item, path + "[]");
            return;
        }
        if (documented.ValueKind != JsonValueKind.Object)
        {
            bool bothBoolean = IsBoolean(documented) && IsBoolean(printed);
            Assert.True(
                bothBoolean || documented.ValueKind == printed.ValueKind || documented.ValueKind == JsonValueKind.Null || printed.ValueKind == JsonValueKind.Null,
                $"{path} is {printed.ValueKind}, documented as {documented.ValueKind}");
            return;
        }
        string[] expected = [.. documented.EnumerateObject().Select(static property => property.Name)];
        string[] found = [.. printed.EnumerateObject().Select(static property => property.Name)];
        if (expected.Contains(Ellipsis))
            Assert.Equal(expected.Where(static name => name != Ellipsis), expected.Intersect(found));
        else
            Assert.Equal(expected, found);
        foreach (JsonProperty property in documented.EnumerateObject())
            if (property.Name != Ellipsis)
                AssertShape(property.Value, printed.GetProperty(property.Name), $"{path}.{property.Name}");
    }

    private static bool IsBoolean(JsonElement value) => value.ValueKind is JsonValueKind.True or JsonValueKind.False;
}
