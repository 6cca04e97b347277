using System.Diagnostics;
using System.Text;
using FastPlasma.Files;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Stress.Fuzz;

/// <summary>The store that is damaged, and everything that is then done with it. Runs in a victim process.</summary>
internal sealed class FuzzStore
{
    internal const int ObjectCount = 20, ObjectCountMax = 128, ChunkCount = 12;
    internal const ulong CapacityBytes = ChunkCount * (2UL << 20);

    private const string Name = "fuzz";
    private static readonly TimeSpan StepMax = TimeSpan.FromSeconds(8), RaceTime = TimeSpan.FromMilliseconds(40);

    private readonly string _folder;
    private readonly List<string> _problems = [];
    private readonly ProblemLogger _logger;

    private FuzzStore(string folder)
    {
        _folder = folder;
        _logger = new ProblemLogger(this);
    }

    internal static PlasmaOptions Options(string folder) => new() { Directory = folder, CapacityBytes = (long)CapacityBytes, ObjectCountMax = ObjectCountMax, EventCapacity = 64 };

    /// <summary>Runs one case in an empty folder. Empty when all that happened were statuses and clear exceptions.</summary>
    internal static List<string> Run(FuzzCase c, string folder)
    {
        var store = new FuzzStore(folder);
        switch (c.Phase)
        {
            case FuzzPhase.Rest:
                store.AtRest(c);
                break;
            case FuzzPhase.Live:
                store.Live(c);
                break;
            default:
                store.Race(c);
                break;
        }
        return store._problems;
    }

    /// <summary>A pin, a writer, a deleted object that is still read: held over the damage and used after it.</summary>
    internal ref struct Held
    {
        internal PlasmaObject Pinned, Deleted;
        internal ObjectWriter Small, Large;
        internal PlasmaSubscription Events;
    }

    private PlasmaOptions Own => Options(_folder) with { Logger = _logger };

    private void AtRest(FuzzCase c)
    {
        FuzzDamage damage;
        using (PlasmaStore store = PlasmaStore.Create(Name, Own))
        {
            Fill(store);
            damage = DamageOf(store);
        }
        foreach (FuzzMutation m in c.Mutations)
        {
            try
            {
                damage.Apply(m);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
            {
                // The mutation before took the file away or put something else there; what it did is the case.
            }
        }
        OpenAndUse(() => PlasmaStore.Open(Name, Own with { Access = StoreAccess.ReadOnly }), "open read-only");
        OpenAndUse(() => PlasmaStore.Open(Name, Own), "open");
        OpenAndUse(() => PlasmaStore.OpenOrCreate(Name, Own), "open or create");
        Step("list stores", () => PlasmaStore.ListStores(_folder));
        Step("destroy", () => PlasmaStore.Destroy(Name, _folder));
        OpenAndUse(() => PlasmaStore.OpenOrCreate(Name, Own), "create again");
    }

    private void OpenAndUse(Func<PlasmaStore> open, string what)
    {
        PlasmaStore? store = null;
        Step(what, () => store = open());
        if (store is null)
            return;
        Use(store);
        Step($"close after {what}", store.Dispose);
    }

    private void Live(FuzzCase c)
    {
        PlasmaStore store = PlasmaStore.Create(Name, Own), reader = PlasmaStore.Open(Name, Own with { Access = StoreAccess.ReadOnly }), writer = PlasmaStore.Open(Name, Own);
        try
        {
            Fill(store);
            Held held = Hold(store), foreign = Hold(reader);
            FuzzDamage damage = DamageOf(store);
            foreach (FuzzMutation m in c.Mutations)
                damage.Apply(m);
            UseHeld(ref held);
            UseHeld(ref foreign);
            Use(reader);
            Use(store);
            Use(writer);
        }
        finally
        {
            Step("close reader", reader.Dispose);
            Step("close writer", writer.Dispose);
            Step("close", store.Dispose);
        }
    }

    private void Race(FuzzCase c)
    {
        PlasmaStore store = PlasmaStore.Create(Name, Own), other = PlasmaStore.Open(Name, Own), reader = PlasmaStore.Open(Name, Own with { Access = StoreAccess.ReadOnly });
        Fill(store);
        FuzzDamage damage = DamageOf(store);
        int stop = 0;
        Thread[] threads = [.. ((PlasmaStore[])[store, other, reader]).Select(s => new Thread(() =>
        {
            do
                Use(s);
            while (Volatile.Read(ref stop) == 0); // Ends with the race's time.
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < RaceTime)
            foreach (FuzzMutation m in c.Mutations)
                damage.Apply(m);
        Volatile.Write(ref stop, 1);
        foreach (Thread thread in threads)
            thread.Join();
        foreach (PlasmaStore s in (PlasmaStore[])[reader, other, store])
            Step("close after the race", s.Dispose);
    }

    private FuzzDamage DamageOf(PlasmaStore store) => new(_folder, Name, store.Uuid, store.Memory.Geometry);

    private static ObjectId Id(int i) => ObjectId.FromName($"object-{i}");

    /// <summary>Objects of every kind in a known order, so that entry numbers are known.</summary>
    private static void Fill(PlasmaStore store)
    {
        int[] sizes = [100, 1000, 1000, 40_000, 100, 0, 300_000, 2_500_000, 100, 40_000, 40_000, 1000, 1000, 1000, 1000, 300_000, 0, 100, 100, 100];
        for (int i = 0; i < ObjectCount; i++)
        {
            byte[] payload = new byte[sizes[i]];
            Array.Fill(payload, (byte)i);
            store.Put(Id(i), payload, new ObjectOptions
            {
                Retention = i is > 9 and < 16 ? Retention.Evictable : Retention.Keep,
                Checksum = i % 3 == 0,
                Name = i % 2 == 0 ? $"name of {i}" : "",
                ContentType = i % 4 == 0 ? "text/plain" : "",
                Metadata = i % 5 == 0 ? "some metadata"u8 : default,
            });
        }
        store.Delete(Id(4));
        store.Get(Id(11), TimeSpan.Zero).Dispose();
    }

    private Held Hold(PlasmaStore store)
    {
        var held = new Held { Events = store.Subscribe() };
        store.TryGet(Id(0), out held.Pinned);
        if (store.TryGet(Id(6), out held.Deleted) && store.Access == StoreAccess.ReadWrite)
        {
            store.Delete(Id(6));
            store.TryCreate(ObjectId.FromName("small"), 1000, out held.Small, new ObjectOptions { Checksum = true, Metadata = "meta"u8, Name = "small" });
            store.TryCreate(ObjectId.FromName("large"), 200_000, out held.Large);
        }
        return held;
    }

    private void UseHeld(ref Held held)
    {
        Held h = held;
        PlasmaObject pinned = h.Pinned, deleted = h.Deleted;
        ObjectWriter small = h.Small, large = h.Large;
        PlasmaSubscription events = h.Events;
        Step("read a held pin", () => Read(pinned));
        Step("read a deleted object", () => Read(deleted));
        Step("release a pin", () => pinned.Dispose());
        Step("release a deleted object", () => deleted.Dispose());
        if (small.IsOpen)
        {
            Step("write", () => small.Span.Fill(1));
            Step("seal with checksum", () => small.TrySeal());
            Step("write much", () => large.Span.Fill(2));
            Step("abort", () => large.Dispose());
            Step("abort what is sealed", () => small.Dispose());
        }
        Step("read events", () => ReadEvents(events));
    }

    private static void ReadEvents(PlasmaSubscription events)
    {
        for (int i = 0; i < 100 && events.Read(TimeSpan.FromMilliseconds(1), out _); i++)
            _ = events.Lost;
        events.Dispose();
    }

    private void Use(PlasmaStore store)
    {
        Step("get", () =>
        {
            for (int i = 0; i < ObjectCount; i++)
                if (store.TryGet(Id(i), out PlasmaObject obj))
                    using (obj)
                        Read(obj);
        });
        Step("get many", () =>
        {
            ObjectId[] ids = [.. Enumerable.Range(0, ObjectCount).Select(Id)];
            var objects = new PlasmaObject[ids.Length];
            store.Get(ids, objects, TimeSpan.FromMilliseconds(2));
            foreach (PlasmaObject obj in objects)
                obj.Dispose();
        });
        Step("contains", () => store.Contains(Id(3)));
        Step("get with a deadline", () => store.TryGet(ObjectId.FromName("never"), TimeSpan.FromMilliseconds(2), out _));
        Step("wait", () => store.Wait([Id(1), Id(2), ObjectId.FromName("never")], 3, TimeSpan.FromMilliseconds(2), new bool[3]));
        if (store.Access == StoreAccess.ReadWrite)
            Change(store);
        PlasmaSubscription? events = null;
        Step("subscribe", () => events = store.Subscribe());
        if (events is not null)
            Step("events", () => ReadEvents(events));
        Step("list", () => store.List());
        Step("stats", () => store.Stats());
        if (store.Access == StoreAccess.ReadOnly) // It only reads, and looks again at what is suspicious for 0.1 s.
            Step("verify", () => store.Verify());
        Step("touch", store.TouchObjects);
        Step("maintain", () => store.Maintain());
    }

    private void Change(PlasmaStore store)
    {
        int n = Environment.CurrentManagedThreadId;
        Step("put", () =>
        {
            for (int i = 0; i < 12; i++)
            {
                byte[] payload = new byte[((ReadOnlySpan<int>)[100, 1000, 5000, 50_000, 200_000, 600_000])[i % 6]];
                store.TryPut(ObjectId.FromName($"new-{n}-{i}"), payload, new ObjectOptions
                {
                    Checksum = i % 2 == 0,
                    Retention = i % 3 == 0 ? Retention.Evictable : Retention.Keep,
                    Name = "new",
                    Metadata = i % 4 == 0 ? "m"u8 : default,
                });
            }
        });
        Step("put what may be there", () => store.Put(Id(4), "again"u8));
        Step("create and seal", () =>
        {
            if (store.TryCreate(ObjectId.FromName($"made-{n}"), 3000, out ObjectWriter writer, new ObjectOptions { Checksum = true, ContentType = "x/y" }) != PlasmaStatus.Ok)
                return;
            using (writer)
            {
                writer.Span.Fill(3);
                writer.TrySeal();
            }
        });
        Step("create and abort", () =>
        {
            if (store.TryCreate(ObjectId.FromName($"given-up-{n}"), 30_000, out _) == PlasmaStatus.Ok)
                store.Abort(ObjectId.FromName($"given-up-{n}"));
        });
        Step("delete", () =>
        {
            foreach (int i in (ReadOnlySpan<int>)[1, 7, 9, 17])
                store.Delete(Id(i));
            for (int i = 0; i < 12; i += 2)
                store.Delete(ObjectId.FromName($"new-{n}-{i}"));
            store.Delete(ObjectId.FromName($"made-{n}"));
        });
        Step("evict", () => store.Evict(400_000));
        Step("put much", () => store.TryPut(ObjectId.FromName($"much-{n}"), new byte[3_000_000], new ObjectOptions { Retention = Retention.Evictable }));
        Step("trim", () => store.Trim());
    }

    /// <summary>Touches every byte that the handle gives.</summary>
    private static void Read(in PlasmaObject obj)
    {
        if (!obj.IsValid)
            return;
        int sum = 0;
        foreach (byte b in obj.Span)
            sum += b;
        foreach (byte b in obj.Metadata)
            sum += b;
        _ = sum + obj.Name.Length + obj.ContentType.Length + obj.Id.GetHashCode() + obj.SealedAt.Year;
        obj.VerifyChecksum();
        _ = obj.AsSequence().Length;
    }

    /// <summary>Does one thing. Whatever it throws has to be of a kind that callers can expect, and has to say what is wrong.</summary>
    private void Step(string what, Action action)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            action();
        }
#pragma warning disable CA1031 // Judged.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Judge(what, e);
        }
        if (Stopwatch.GetElapsedTime(start) is var time && time > StepMax)
            Problem($"{what} took {time.TotalSeconds:0.0} s");
    }

    private void Judge(string what, Exception e)
    {
        bool clear = e switch
        {
            PlasmaFormatException => e.Message.Contains(_folder, StringComparison.Ordinal) || e.Message.Contains($"'{Name}'", StringComparison.Ordinal),
            PlasmaException or TimeoutException or UnauthorizedAccessException => true,
            IOException => e.Message.Contains(_folder, StringComparison.Ordinal) || e.Message.Contains(Name, StringComparison.Ordinal),
            _ => false,
        };
        if (!clear)
            Problem($"{what}: {e}");
    }

    private void Problem(string text)
    {
        lock (_problems)
            _problems.Add(text.ReplaceLineEndings(" | "));
    }

    /// <summary>What the background thread meets is judged as well.</summary>
    private sealed class ProblemLogger(FuzzStore owner) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is not null)
                owner.Judge("background maintenance", exception);
        }
    }
}
