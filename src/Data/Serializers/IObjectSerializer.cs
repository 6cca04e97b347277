using System.Buffers;

namespace FastPlasma.Data;

/// <summary>How values of a type become the bytes of an object, and come back. Implementations are used by several threads at once.</summary>
/// <typeparam name="T">Type of the values.</typeparam>
public interface IObjectSerializer<T>
{
    /// <summary>Media type of the bytes, which objects show unless their options name another.</summary>
    string ContentType { get; }

    /// <summary>Exact number of bytes that <see cref="Serialize"/> will write. By default they are counted by serializing once more, into nothing: time instead of a copy.</summary>
    long GetSize(T value)
    {
        var counter = new CountingBufferWriter();
        Serialize(value, counter);
        return counter.WrittenCount;
    }

    /// <summary>Writes exactly <see cref="GetSize"/> bytes.</summary>
    void Serialize(T value, IBufferWriter<byte> target);

    /// <summary>Reads a value from bytes that another process wrote; they lie in the store and are gone after the call.</summary>
    T Deserialize(in ReadOnlySequence<byte> source);
}

/// <summary>Values in a store, through a serializer: written straight into the object, read straight out of it.</summary>
public static class SerializerExtensions
{
    /// <summary>Serializes a value into a new sealed object, in place: the store copies nothing, except the end of what a serializer overestimates (<see cref="ObjectBufferWriter"/>).</summary>
    /// <exception cref="InvalidOperationException">The serializer wrote more or less than it had said. The object is given up.</exception>
    /// <exception cref="PlasmaException">As for <see cref="PlasmaStore.Create(in ObjectId, long, in ObjectOptions)"/>.</exception>
    public static void Put<T>(this PlasmaStore store, in ObjectId id, T value, IObjectSerializer<T> serializer, in ObjectOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(serializer);
        ObjectOptions used = options.ContentType.IsEmpty ? options with { ContentType = serializer.ContentType } : options;
        using ObjectWriter writer = store.Create(id, serializer.GetSize(value), used);
        var target = new ObjectBufferWriter(writer);
        serializer.Serialize(value, target);
        target.RequireFull();
        writer.Seal();
    }

    /// <summary>Deserializes an object if it exists now. The pin ends with the call; the value is the caller's own.</summary>
    /// <returns>False when no sealed object of that id exists now.</returns>
    public static bool TryGet<T>(this PlasmaStore store, in ObjectId id, IObjectSerializer<T> serializer, out T? value)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(serializer);
        value = default;
        if (!store.TryGet(id, out PlasmaObject obj))
            return false;
        using (obj)
            value = serializer.Deserialize(obj.AsSequence());
        return true;
    }

    /// <summary>As <see cref="TryGet{T}"/>, waiting for the seal.</summary>
    /// <exception cref="TimeoutException">The object was not sealed in time.</exception>
    public static T Get<T>(this PlasmaStore store, in ObjectId id, IObjectSerializer<T> serializer, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(serializer);
        using PlasmaObject obj = store.Get(id, timeout, cancellationToken: cancellationToken);
        return serializer.Deserialize(obj.AsSequence());
    }
}
