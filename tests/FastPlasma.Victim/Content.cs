namespace FastPlasma.Victim;

/// <summary>What victim and survivor agree on: which objects there are, how long, with which bytes.</summary>
internal static class Content
{
    /// <summary>Objects that are there before, during and after every operation.</summary>
    internal static readonly (string Name, int Bytes)[] Residents = [("resident-small", 1000), ("resident-large", 200_000)];

    /// <summary>What the dead participant of the recovery scenarios holds: two unsealed objects and a deleted one that it still reads.</summary>
    internal const string HeldSmall = "held-small", HeldLarge = "held-large", HeldCondemned = "held-condemned";

    internal const int SmallBytes = 1000, LargeBytes = 300_000, FirstBytes = 5000, FillerBytes = 340_000, HugeBytes = 5_000_000, EvictingBytes = 700_000;

    internal const string Target = "target", Second = "second", Pinned = "pinned", Never = "never", Awaited = "awaited";

    /// <summary>Evictable objects that fill the small store.</summary>
    internal static readonly string[] Fillers = ["filler0", "filler1", "filler2", "filler3", "filler4"];

    internal static ObjectId Id(string name) => ObjectId.FromName(name);

    /// <summary>The bytes that belong to a name, and to no other.</summary>
    internal static byte[] Bytes(string name, int count)
    {
        uint x = 2166136261;
        foreach (char c in name)
            x = (x ^ c) * 16777619;
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            x = x * 1664525 + 1013904223;
            bytes[i] = (byte)(x >> 24);
        }
        return bytes;
    }
}
