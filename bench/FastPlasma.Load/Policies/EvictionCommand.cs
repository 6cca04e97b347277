using System.CommandLine;
using System.Globalization;

namespace FastPlasma.Load.Policies;

/// <summary>Compares the store's choice of victims with exact models on the same traces, and times what making room costs. Prints the tables of docs/eviction.md.</summary>
internal static class EvictionCommand
{
    /// <summary>Hidden command of a reading process.</summary>
    internal const string ReaderName = "__eviction-reader";

    private const ulong Seed = 7;

    internal static Command Create()
    {
        Option<bool> costs = new("--costs") { Description = "Only the times of puts into a full store." }, ratios = new("--ratios") { Description = "Only the hit ratios." };
        Command command = new("eviction", "Hit ratios of eviction beside LRU, FIFO and SIEVE on the same traces, and what an evicting put costs.") { costs, ratios };
        command.SetAction(parse =>
        {
            if (!parse.GetValue(costs))
                WriteRatios(Console.Out);
            if (!parse.GetValue(ratios))
                WriteCosts(Console.Out);
        });
        return command;
    }

    internal static Command CreateReader()
    {
        Argument<string> store = new("store"), access = new("access");
        Command command = new(ReaderName) { store, access };
        command.Hidden = true;
        command.SetAction(parse => StoreUnderTrace.Read(parse.GetRequiredValue(store), parse.GetRequiredValue(access)));
        return command;
    }

    private static void WriteRatios(TextWriter output)
    {
        output.WriteLine("| trace | LRU | FIFO | SIEVE | FastPlasma | | LRU bytes | FIFO bytes | SIEVE bytes | FastPlasma bytes |");
        output.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach (TraceShape shape in TraceShape.All(Seed))
        {
            using var store = new StoreUnderTrace(shape.CapacityBytes);
            ICacheModel[] caches = [new ListModel("LRU", shape.CapacityBytes, touch: true), new ListModel("FIFO", shape.CapacityBytes, touch: false), new SieveModel(shape.CapacityBytes), store];
            (long Hits, long Bytes)[] found = [.. caches.Select(cache => Replay(cache, shape))];
            long all = shape.Requests.Sum(number => (long)shape.BytesOf(number));
            string objects = string.Join(" | ", found.Select(f => Percent(f.Hits, shape.Requests.Length))), bytes = string.Join(" | ", found.Select(f => Percent(f.Bytes, all)));
            output.WriteLine($"| {shape.Name} | {objects} | | {bytes} |");
            if (store.Refused > 0)
                output.WriteLine($"{store.Refused} puts were refused.");
        }
    }

    private static (long Hits, long Bytes) Replay(ICacheModel cache, TraceShape shape)
    {
        (long hits, long hitBytes) = (0, 0);
        foreach (int number in shape.Requests)
        {
            int bytes = shape.BytesOf(number);
            if (!cache.Get(number, bytes))
                continue;
            hits++;
            hitBytes += bytes;
        }
        return (hits, hitBytes);
    }

    private static string Percent(long part, long all) => string.Create(CultureInfo.InvariantCulture, $"{part * 100.0 / all:0.0} %");

    private static void WriteCosts(TextWriter output)
    {
        output.WriteLine("| create | p50 | p99 | longest | refused |");
        output.WriteLine("|---|---|---|---|---|");
        foreach ((string name, double p50, double p99, double max, int refused) in EvictionCosts.Measure())
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {p50:0.0} µs | {p99:0.0} µs | {max:0} µs | {refused} |"));
    }
}
