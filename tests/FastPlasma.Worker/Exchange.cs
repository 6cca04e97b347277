using System.Globalization;
using System.Security.Cryptography;

namespace FastPlasma.Worker;

/// <summary>One side of an exchange of objects with another process: puts its own and checks the other's, one by one and at the same time.</summary>
/// <remarks>Object i of a side has the id of the name PREFIX-i, the SHA-256 of its payload as metadata, and a checksum. The reader deletes it.</remarks>
internal sealed class Exchange(PlasmaStore store, int seed, int bytesMax)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Random _random = new(seed);

    /// <summary>How many payload bytes were received. Throws when an object is not what its writer put.</summary>
    internal string Run(string sent, string received, int count)
    {
        long bytes = 0;
        for (int i = 0; i < count; i++)
        {
            Put(Id(sent, i));
            bytes += Check(Id(received, i), $"{received}-{i}");
        }
        return bytes.ToString(CultureInfo.InvariantCulture);
    }

    private void Put(ObjectId id)
    {
        byte[] payload = new byte[(int)Math.Pow(bytesMax, _random.NextDouble()) - (_random.Next(20) == 0 ? 1 : 0)]; // As many small ones as large ones; the smallest is empty.
        _random.NextBytes(payload);
        store.Put(id, payload, new ObjectOptions { Checksum = true, Metadata = SHA256.HashData(payload), Timeout = Patience });
    }

    private long Check(ObjectId id, string name)
    {
        using PlasmaObject obj = store.Get(id, Patience);
        if (!obj.Metadata.SequenceEqual(SHA256.HashData(obj.Span)) || !obj.VerifyChecksum())
            throw new InvalidOperationException($"{name} of {obj.Length} bytes is not what was put.");
        store.Delete(id);
        return obj.Length;
    }

    private static ObjectId Id(string prefix, int i) => ObjectId.FromName(string.Create(CultureInfo.InvariantCulture, $"{prefix}-{i}"));
}
