using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Bench;

/// <summary>The calls of clients/c/bench/hot_calls.c and clients/python/bench/hot_calls.py from .NET, in the same order and sizes, with the same output: for bench/clients, which holds them against each other.</summary>
internal static class HotCalls
{
    private const int Rounds = 15, Pairs = 1_000_000, Kilobyte = 1 << 10, Megabyte = 1 << 20;
    private static readonly int[] s_sizes = [Kilobyte, Megabyte, 100 * Megabyte];
    private static byte s_sink;

    internal static void Run()
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 1L << 30 });
        byte[] payload = new byte[100 * Megabyte], copy = new byte[100 * Megabyte];
        payload.AsSpan().Fill(7);
        copy.AsSpan().Fill(1);
        List<string> lines = [];
        ObjectId hot = ObjectId.NewRandom();
        store.Put(hot, payload.AsSpan(0, Kilobyte));
        GetHot(store, hot);
        lines.Add(Line("try_get_release", Kilobyte, Pairs, [.. Enumerable.Range(0, Rounds).Select(_ => PerOperation(Pairs, () => GetHot(store, hot)))]));
        foreach (int size in s_sizes)
        {
            int operations = size switch { Kilobyte => 20_000, Megabyte => 200, _ => 2 };
            List<double> puts = [], gets = [], deletes = [], copies = [];
            for (int round = -2; round < Rounds; round++)
            {
                ObjectId[] ids = [.. Enumerable.Range(0, operations).Select(static _ => ObjectId.NewRandom())];
                double put = PerOperation(operations, () => Put(store, ids, payload.AsSpan(0, size)));
                double get = PerOperation(operations, () => Get(store, ids, size));
                double delete = PerOperation(operations, () => Delete(store, ids));
                double plain = PerOperation(operations, () => Copy(payload.AsSpan(0, size), copy, operations));
                if (round < 0)
                    continue; // Until the runtime has compiled the final form.
                puts.Add(put);
                gets.Add(get);
                deletes.Add(delete);
                copies.Add(plain);
            }
            lines.Add(Line("put", size, operations, puts));
            lines.Add(Line("get", size, operations, gets));
            lines.Add(Line("delete", size, operations, deletes));
            lines.Add(Line("memcpy", size, operations, copies));
        }
        Console.WriteLine($"[\n{string.Join(",\n", lines)}\n]");
    }

    private static double PerOperation(int operations, Action work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations;
    }

    private static void GetHot(PlasmaStore store, ObjectId id)
    {
        for (int i = 0; i < Pairs; i++)
        {
            if (!store.TryGet(id, out PlasmaObject obj))
                throw new InvalidOperationException("The hot object is missing.");
            obj.Dispose();
        }
    }

    private static void Put(PlasmaStore store, ObjectId[] ids, ReadOnlySpan<byte> payload)
    {
        foreach (ObjectId id in ids)
            store.Put(id, payload);
    }

    private static void Get(PlasmaStore store, ObjectId[] ids, int size)
    {
        foreach (ObjectId id in ids)
        {
            using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
            s_sink = obj.Span[size / 2];
        }
    }

    private static void Delete(PlasmaStore store, ObjectId[] ids)
    {
        foreach (ObjectId id in ids)
            if (store.Delete(id) != PlasmaStatus.Ok)
                throw new InvalidOperationException("An object that was put is missing.");
    }

    private static void Copy(ReadOnlySpan<byte> source, byte[] target, int operations)
    {
        for (int i = 0; i < operations; i++)
        {
            source.CopyTo(target);
            s_sink = target[source.Length / 2];
        }
    }

    private static string Line(string name, long bytes, long operations, List<double> rounds)
    {
        rounds.Sort();
        return string.Create(
            CultureInfo.InvariantCulture, $$"""  {"name": "{{name}}", "bytes": {{bytes}}, "operations": {{operations}}, "median_ns": {{rounds[rounds.Count / 2]:0.0}}, "least_ns": {{rounds[0]:0.0}}}""");
    }
}
