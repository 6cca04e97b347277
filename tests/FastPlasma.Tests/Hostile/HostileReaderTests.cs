using System.Diagnostics;
using System.Globalization;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>A process of another user that is admitted as reader and does everything that the kernel lets it do.</summary>
public sealed class HostileReaderTests(ITestOutputHelper output) : StoreTest
{
    private const uint Nobody = 65534, Daemon = 1;

    private WorkerProcess StartHostile(PlasmaStore store, string name)
    {
        Assert.True(Syscall.geteuid() == 0, "Only root can act as another user: run the tests as root.");
        store.AdmitReader($"{Nobody}");
        WorkerProcess hostile = StartAs(Nobody);
        hostile.Call($"open {name} ro");
        return hostile;
    }

    [Fact]
    public void Kernel_refuses_a_reader_everything_but_reading_and_its_own_two_files()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess writer = StartWorker(name), hostile = StartHostile(store, name);
        store.Put(Id("a"), Pattern.Of(1, 1000));
        string[] done = hostile.Call($"hostile {name} try {writer.Id}").Split(';');
        output.WriteLine($"succeeded: {string.Join(' ', done)}");
        string[] own = [$"pins.{Nobody}", $"lock.{Nobody}"];
        string[] allowed = ["read:meta", "read:data", .. own.SelectMany(static f => (string[])[$"read:{f}", $"write:{f}", $"readwrite:{f}", $"utime:{f}", $"setxattr:{f}", $"link:{f}"])];
        foreach (string linked in Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*.linked"))
            File.Delete(linked);
        Assert.Empty(done.Except(allowed));
        Assert.Superset(new HashSet<string>(["read:meta", "read:data", .. own.Select(static f => $"readwrite:{f}")]), new HashSet<string>(done));

        string[] maps = hostile.Call("maps").Split(';');
        output.WriteLine($"maps: {string.Join(" | ", maps)}");
        Assert.All(maps.Where(static m => m[1] == 'w'), static m => Assert.EndsWith($".pins.{Nobody}", m, StringComparison.Ordinal));
        foreach (string link in Directory.EnumerateFiles($"/proc/{hostile.Id}/fd"))
        {
            string target = new FileInfo(link).LinkTarget ?? "";
            if (!target.Contains("fastplasma.", StringComparison.Ordinal))
                continue;
            string flags = File.ReadLines($"/proc/{hostile.Id}/fdinfo/{Path.GetFileName(link)}").Single(static l => l.StartsWith("flags:", StringComparison.Ordinal))["flags:".Length..].Trim();
            output.WriteLine($"fd {Path.GetFileName(link)} {flags} {target}");
            bool writable = (Convert.ToInt32(flags, 8) & 3) != 0;
            Assert.True(!writable || target.EndsWith($".{Nobody}", StringComparison.Ordinal), $"{target} is open for writing");
        }
        Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(1, 1000))}", writer.Call("get a 0"));
    }

    [Fact]
    public void Files_of_strangers_under_a_stores_names_are_in_nobodys_way()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess hostile = StartHostile(store, name);
        hostile.Call($"hostile {name} squat {Daemon}");
        try
        {
            store.AdmitReader($"{Daemon}");
            WorkerProcess reader = StartAs(Daemon);
            reader.Call($"open {name} ro");
            store.Put(Id("a"), Pattern.Of(1, 1000));
            Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(1, 1000))}", reader.Call("get a 0"));
            reader.Kill();

            // The store goes although a stranger holds a lock on a file that says it is being built.
            string uuid = store.Uuid.ToString("N");
            store.Dispose();
            Assert.True(PlasmaStore.Destroy(name));
            Assert.Empty(Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.{uuid}.data"));
            Keep(PlasmaStore.Create(name, Small)).Put(Id("b"), [1]);
        }
        finally
        {
            hostile.Call($"hostile {name} unsquat");
        }
    }

    /// <summary>Rounds of put, get and delete; now and then a reader looks. Returns milliseconds per round.</summary>
    private static double Work(PlasmaStore store, WorkerProcess? reader, ref int next, int rounds)
    {
        byte[] payload = Pattern.Of(7, 1000);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < rounds; i++, next++)
        {
            ObjectId id = Id(next.ToString(CultureInfo.InvariantCulture));
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(id, payload));
            using (PlasmaObject obj = store.Get(id, TimeSpan.Zero))
                Same(payload, obj.Span);
            if (reader is not null && i % 250 == 0)
                Assert.Equal($"Ok {WorkerProcess.Describe(payload)}", reader.Call($"get {next} 0"));
            Assert.Equal(PlasmaStatus.Ok, store.Delete(id));
        }
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds / rounds;
    }

    [Fact]
    public void Storm_of_a_reader_costs_others_no_object_no_pin_no_recovery_and_little_time()
    {
        PlasmaStore store = Named(out string name);
        store.AdmitReader($"{Daemon}");
        WorkerProcess hostile = StartHostile(store, name), reader = StartAs(Daemon), burner = StartAs(Nobody);
        reader.Call($"open {name} ro");
        store.Put(Id("kept"), Pattern.Of(3, 200_000));
        store.Put(Id("pinned"), Pattern.Of(4, 300_000));
        reader.Call("hold p pinned 0");
        store.Delete(Id("pinned"));
        int next = 0, seed = Environment.TickCount;
        Work(store, reader, ref next, 200);
        output.WriteLine($"seed {seed}");
        hostile.Call($"bg storm hostile {name} storm {seed}");
        burner.Call($"bg burn hostile {name} burn");

        // In turns: one of the two stands still while the other runs. Both are busy, so the difference is what the storm does and not that a core is taken.
        const int turns = 4, rounds = 250;
        var quiet = new List<double>();
        var stormy = new List<double>();
        for (int turn = 0; turn < turns; turn++)
        {
            if (turn > 0)
                burner.Continue();
            hostile.Stop();
            quiet.Add(Work(store, reader, ref next, rounds));
            store.Maintain();
            hostile.Continue();
            burner.Stop();
            stormy.Add(Work(store, reader, ref next, rounds));
            store.Maintain();

            // Wakes may be stolen (a requeue takes sleepers away); a slice is the longest that costs.
            long start = Stopwatch.GetTimestamp();
            reader.Call($"bg w get late-{turn} 20000");
            store.Put(Id($"late-{turn}"), Pattern.Of(turn, 10));
            Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(turn, 10))}", reader.Call("join w"));
            Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(5));

            if (turn % 2 == 1)
                continue;

            // A writer that dies is recovered.
            WorkerProcess dying = StartWorker(name);
            Assert.Equal("Ok", dying.Call($"create w unfinished-{turn} 10"));
            dying.Kill();
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"unfinished-{turn}"), [1]));
            Assert.Equal(WorkerProcess.Describe(Pattern.Of(4, 300_000)), reader.Call("read p"));
            store.List();
            store.Stats();
        }
        quiet.Sort();
        stormy.Sort();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"put, get, delete beside a busy process: {quiet[turns / 2]:0.000} ms, beside the storm: {stormy[turns / 2]:0.000} ms (medians of {turns}); all: {string.Join(' ', quiet.Select(static q => $"{q:0.000}"))} / {string.Join(' ', stormy.Select(static q => $"{q:0.000}"))}"));
        using (PlasmaObject kept = store.Get(Id("kept"), TimeSpan.Zero))
            Same(Pattern.Of(3, 200_000), kept.Span);
        Assert.InRange(stormy[turns / 2], 0, 2 + 10 * quiet[turns / 2]); // Bounded; what it is, is printed.
        Assert.Null(hostile.ExitCodeOrNull);
        hostile.Kill();
        burner.Kill();
        reader.Call("release p");
        Eventually.True(() => { store.Maintain(); return store.Stats().CondemnedCount == 0; }, "what was deleted is free when the storm is over");
    }

    /// <summary>Puts of evictable objects into a full store. Returns milliseconds per put.</summary>
    private static double PutEvictable(PlasmaStore store, ref int next, int puts)
    {
        byte[] payload = Pattern.Of(5, 70_000);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < puts; i++)
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"e{next++}"), payload, Evictable));
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds / puts;
    }

    private static double Maintain(PlasmaStore store)
    {
        long start = Stopwatch.GetTimestamp();
        store.Maintain();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Full_table_of_pins_costs_others_no_time_beyond_noise(bool namesWhatComes)
    {
        // Two stores of the same shape with a reader of another user each: one has a single pin, the other all that there can be, of objects that never come or of all that come.
        PlasmaOptions shape = new() { CapacityBytes = 256 << 20, ObjectCountMax = 16384 };
        PlasmaStore quiet = Named(out string quietName, shape), hostile = Named(out string hostileName, shape);
        WorkerProcess quietReader = StartHostile(quiet, quietName), hostileReader = StartHostile(hostile, hostileName);
        foreach (PlasmaStore store in (PlasmaStore[])[quiet, hostile])
            store.Put(Id("kept"), Pattern.Of(3, 200_000));
        quietReader.Call("hold k kept 0");
        hostileReader.Call($"hostile {hostileName} fill {hostile.ObjectCountMax} {(namesWhatComes ? 1 : 1_000_000)}");
        int next = 0;
        foreach (PlasmaStore store in (PlasmaStore[])[quiet, hostile])
        {
            store.Maintain();
            Work(store, null, ref next, 1000);
            if (!namesWhatComes)
                PutEvictable(store, ref next, 4500);
        }

        // In turns, so that what disturbs one disturbs the other; medians.
        const int turns = 9;
        double[][] quietMs = [new double[turns], new double[turns], new double[turns]], hostileMs = [new double[turns], new double[turns], new double[turns]];
        for (int turn = 0; turn < turns; turn++)
            foreach ((PlasmaStore store, double[][] ms) in (ReadOnlySpan<(PlasmaStore, double[][])>)[(quiet, quietMs), (hostile, hostileMs)])
            {
                ms[0][turn] = Work(store, null, ref next, 1000);
                ms[1][turn] = namesWhatComes ? 0 : PutEvictable(store, ref next, 1000);
                ms[2][turn] = Maintain(store);
            }
        string[] names = ["put, get, delete", "put that evicts", "maintain"];
        for (int i = 0; i < names.Length; i++)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{names[i]}: beside one pin {Median(quietMs[i]):0.0000} ms, beside 229,376 {Median(hostileMs[i]):0.0000} ms"));
        Assert.True(Median(hostileMs[0]) <= 2 * Median(quietMs[0]), "put, get and delete");
        Assert.True(Median(hostileMs[1]) <= 2 * Median(quietMs[1]), "puts that evict");
        Assert.InRange(Median(hostileMs[2]), 0, 50); // A background thread does this once a second. 7 ms when nothing else runs; other tests take the processors.
        using (PlasmaObject kept = hostile.Get(Id("kept"), TimeSpan.Zero))
            Same(Pattern.Of(3, 200_000), kept.Span);
        hostileReader.Kill();
        Eventually.True(() => { hostile.Maintain(); return hostile.Stats().CondemnedCount == 0; }, "the dead reader's pins are released");
        quietReader.Kill();

        static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);
    }
}
