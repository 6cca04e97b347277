using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FastPlasma.Data;

namespace FastPlasma.Examples.Serializers;

/// <summary>System.Text.Json over source-generated metadata. The size is found by writing the text once more, into nothing.</summary>
public sealed class JsonObjectSerializer<T>(JsonTypeInfo<T> type) : IObjectSerializer<T>
{
    public string ContentType => "application/json";

    public void Serialize(T value, IBufferWriter<byte> target)
    {
        using var writer = new Utf8JsonWriter(target);
        JsonSerializer.Serialize(writer, value, type);
    }

    public T Deserialize(in ReadOnlySequence<byte> source)
    {
        var reader = new Utf8JsonReader(source);
        return JsonSerializer.Deserialize(ref reader, type) ?? throw new JsonException("The object holds null.");
    }
}
