using FastPlasma;
using FastPlasma.Data;
using FastPlasma.Examples.Serializers;

// Puts the same quotes with two serializers into a store and reads them back: no temporary array on either way.
Quote[] quotes = [.. Enumerable.Range(0, 1000).Select(static i => new Quote($"SYM{i}", 100 + i / 8.0, i * 1000L, i % 3 == 0 ? "a note" : null))];
using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 16 << 20 });
Show("System.Text.Json", new JsonObjectSerializer<Quote[]>(QuoteJson.Default.QuoteArray));
Show("MemoryPack", new MemoryPackObjectSerializer<Quote[]>());
return 0;

void Show(string name, IObjectSerializer<Quote[]> serializer)
{
    ObjectId id = ObjectId.FromName(name);
    store.Put(id, quotes, serializer);
    Quote[] back = store.Get(id, serializer, TimeSpan.Zero);
    using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
    Console.WriteLine($"{name,-16} {obj.Length,8} bytes as {obj.ContentType}, {(quotes.AsSpan().SequenceEqual(back) ? "read back equal" : "READ BACK DIFFERENT")}");
}
