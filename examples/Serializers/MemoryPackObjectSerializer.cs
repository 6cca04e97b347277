using System.Buffers;
using FastPlasma.Data;
using MemoryPack;

namespace FastPlasma.Examples.Serializers;

/// <summary>MemoryPack: it writes straight into the object and reads straight out of it.</summary>
public sealed class MemoryPackObjectSerializer<T> : IObjectSerializer<T>
{
    public string ContentType => "application/x-memorypack";

    public void Serialize(T value, IBufferWriter<byte> target) => MemoryPackSerializer.Serialize(target, value);

    public T Deserialize(in ReadOnlySequence<byte> source) => MemoryPackSerializer.Deserialize<T>(source) ?? throw new MemoryPackSerializationException("The object holds null.");
}
