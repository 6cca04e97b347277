using System.Globalization;

namespace FastPlasma.Tests.Spill;

/// <summary>Processes put, read and delete more than memory holds while one of two directories fails: every call ends, with the right bytes or an error that names object and file, and what the other directory has is not touched by that.</summary>
[Trait("Anchor", "26")]
public sealed class FailingDiskTests : SpillTest
{
    private const int LoadMs = 3000, FaultAtMs = 1000;

    /// <summary>Longer than any call may take, with a disk that answers and three processes on two processors.</summary>
    private const int SlowestMs = 9000;

    private sealed record Outcome(int Puts, int Gets, int Refused, int Failed, int SlowestMs, int SlowestResidentMs, int Checked, int Lost, string FirstFailure);

    [Fact]
    public void A_directory_that_is_removed_loses_nothing_for_who_has_it_open()
    {
        string healthy = NewFolder();
        PlasmaStore store = Loaded(out string name, [Folder, healthy], out Outcome outcome, store =>
        {
            store.Put(Id("stays"), Content("stays", 900_000)); // Nobody replaces it, as those of the load are, until hardly any is left there.
            Eventually.True(() => store.Unload(long.MaxValue) >= 0 && store.List().Single(static info => info.Id == Id("stays")).State == ObjectState.Spilled, "It is on disk");
            Directory.Delete(Folder, recursive: true);
        });
        Directory.CreateDirectory(Folder);
        AssertNothingLost(outcome);
        Assert.Contains("removed", store.SpillInfo().Directories[0].Problem, StringComparison.OrdinalIgnoreCase);
        AssertGoesOnIn(store, directory: 1);

        // Who comes now cannot read what was only there, and is told; the rest comes.
        string kept = FirstOnDisk(store, 1);
        using WorkerProcess late = StartWorker(name);
        WorkerException e = Assert.ThrowsAny<WorkerException>(() => late.Call("await stays 10000"));
        Assert.Contains(Folder, e.Message, StringComparison.Ordinal);
        Assert.StartsWith("Ok ", late.Call($"await {kept} 10000"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_system_that_others_fill_loses_nothing()
    {
        using var disk = new LoopMount(96, 128);
        string healthy = NewFolder();
        PlasmaStore store = Loaded(out _, [disk.Path, healthy], out Outcome outcome, _ =>
        {
            using Native.SharedFile filler = Native.SharedFile.Create(disk.Path, "filler", 0x180);
            long at = 0;
            for (long bytes = 64 << 20; bytes >= 1 << 16; bytes /= 2)
                while (filler.TryReserve(at, bytes) == 0)
                    at += bytes; // Ends with the file system.
        });
        AssertNothingLost(outcome);
        Assert.True(store.SpillInfo().Directories[1].WrittenCount > 0, "Nothing went to the directory with room.");
        AssertGoesOnIn(store, directory: 1);
        Close(store);
    }

    /// <summary>A loop device says of writes that its file took in part only that they were done: copies are lost without an error then, which only their checksums tell.</summary>
    [Fact]
    public void A_device_that_fails_and_does_not_always_say_so_costs_no_more_than_what_it_swallowed()
    {
        using var disk = new LoopMount(256, 40);
        string healthy = NewFolder();
        PlasmaStore store = Loaded(out _, [disk.Path, healthy], out Outcome outcome, _ => disk.FillBacking());
        Assert.Equal(0, outcome.Refused);
        Assert.True(outcome.Checked > outcome.Lost, $"All was lost: {outcome}");
        Assert.True(store.SpillInfo().Directories[0].WriteErrors > 0);
        Assert.Equal(0, store.SpillInfo().Directories[1].BadCopies);
        AssertGoesOnIn(store, directory: 1);
        Close(store);
    }

    [Fact]
    public void Bits_that_flip_cost_only_the_objects_that_they_are_in()
    {
        PlasmaStore store = Loaded(out _, [Folder], out Outcome outcome, _ =>
        {
            using FileStream file = new(SpillFile(Folder), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            var random = new Random(1);
            for (int i = 0; i < 12; i++)
            {
                file.Position = random.NextInt64(file.Length);
                int one = file.ReadByte();
                file.Position--;
                file.WriteByte((byte)(one ^ (1 << random.Next(8))));
                file.Flush();
            }
        });
        Assert.InRange(outcome.Lost, 0, 12); // Some hit what is free, or was read before.
        Assert.True(outcome.Checked > 60);
        Assert.Equal(outcome.Lost + outcome.Failed > 0, store.Stats().Store.RestoreErrors > 0);
    }

    [Fact]
    public void A_file_that_is_cut_off_costs_what_was_cut_off()
    {
        string healthy = NewFolder();
        PlasmaStore store = Loaded(out _, [Folder, healthy], out Outcome outcome, _ =>
        {
            using FileStream file = new(SpillFile(Folder), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            file.SetLength(Format.SpillFileHeader.DataOffset + (16 << 20)); // Of about 50 MiB; the file is as long as its file system, with holes.
        });
        Assert.True(outcome.Failed + outcome.Lost > 0, $"Nothing was lost: {outcome}");
        Assert.True(outcome.Checked > outcome.Lost, $"All was lost: {outcome}");
        Assert.True(store.Stats().Store.RestoreErrors > 0);
    }

    [Theory]
    [InlineData("pwritev", "EIO", "3+4")]
    [InlineData("preadv", "EIO", "3+4")]
    [InlineData("fallocate", "ENOSPC", "1+")] // All: beside a faster process there may be few.
    public void A_process_whose_calls_to_the_system_fail_loses_nothing_for_the_others(string call, string errno, string when)
    {
        PlasmaStore store = Loaded(out _, [Folder, NewFolder()], out Outcome outcome, static _ => { }, $"trace={call}", $"inject={call}:error={errno}:when={when}");
        Assert.Equal(0, outcome.Lost); // This process has no such errors: everything is there.
        Assert.True(outcome.Checked > 60);
        Assert.Equal(call == "preadv", outcome.Failed > 0);
        Assert.Equal(call != "preadv", store.SpillInfo().Directories.Sum(static d => d.WriteErrors) > 0);
    }

    [Fact]
    public void A_slow_disk_slows_who_needs_it_and_not_who_reads_memory()
    {
        Loaded(out _, [Folder], out Outcome outcome, static _ => { }, "trace=pwritev,preadv", "inject=pwritev,preadv:delay_enter=200000");
        AssertNothingLost(outcome);
        Assert.InRange(outcome.SlowestResidentMs, 0, 199); // Of the process with the slow disk too.
    }

    /// <summary>Two processes at work on a store while <paramref name="fault"/> comes over it; the first under strace with these options, if any. Afterwards each object is looked at.</summary>
    private PlasmaStore Loaded(out string name, string[] directories, out Outcome outcome, Action<PlasmaStore> fault, params string[] strace)
    {
        PlasmaStore store = Named(out name, WithSpill(directories));
        string[] files = [.. directories.Select(SpillFile)];
        WorkerProcess[] workers =
        [
            strace.Length == 0 ? StartWorker(null, uid: null) : StartWorker(null, uid: null, ["strace", "-f", "-qq", "-o", "/dev/null", .. files.SelectMany(static file => new[] { "-P", file }), .. strace.SelectMany(static option => new[] { "-e", option })]),
            StartWorker(null, uid: null),
        ];
        for (int w = 0; w < workers.Length; w++)
        {
            workers[w].Call($"open {name}");
            workers[w].Send($"spill load w{w} {LoadMs} {w + 1}");
        }
        Thread.Sleep(FaultAtMs);
        Assert.True(store.Stats().Store.Spills > 0, "Nothing has gone to disk before the fault.");
        fault(store);
        int looked = 0, lost = 0;
        string firstFailure = "";
        int[] sums = new int[6];
        for (int w = 0; w < workers.Length; w++)
        {
            string[] words = workers[w].Receive()!.Split(' ', 8);
            for (int f = 0; f < sums.Length; f++)
            {
                int figure = int.Parse(words[f], CultureInfo.InvariantCulture);
                sums[f] = f < 4 ? sums[f] + figure : Math.Max(sums[f], figure);
            }
            firstFailure = firstFailure.Length > 0 ? firstFailure : words[7];
            foreach (string one in words[6].Split(','))
            {
                int[] numbers = [.. one.Split(':').Select(static text => int.Parse(text, CultureInfo.InvariantCulture))];
                looked++;
                lost += IsRight(store, w, numbers[0], numbers[1], files) ? 0 : 1;
            }
        }
        outcome = new Outcome(sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], looked, lost, firstFailure);
        Assert.True(outcome.Gets > 20 && outcome.Checked > 60, $"Little was done: {outcome}");
        Assert.InRange(outcome.SlowestMs, 0, SlowestMs);
        foreach (WorkerProcess worker in workers)
            worker.Dispose();
        return store;
    }

    /// <summary>Whether an object has its bytes. If not, its error must name it and the file.</summary>
    private static bool IsRight(PlasmaStore store, int worker, int i, int version, string[] files)
    {
        ObjectId id = Id($"w{worker}-{i}");
        try
        {
            using PlasmaObject obj = store.Get(id, TimeSpan.FromSeconds(10));
            Same(Pattern.Of(DiskLoad.SeedOf(i, version), DiskLoad.BytesOf(i, version)), obj.Span);
            return true;
        }
        catch (PlasmaException e) when (e.Status == PlasmaStatus.NotResident)
        {
            Assert.Contains(id.ToString(), e.Message, StringComparison.Ordinal);
            Assert.Contains(files, file => e.Message.Contains(file, StringComparison.Ordinal));
            return false;
        }
    }

    private static void AssertNothingLost(Outcome outcome)
    {
        Assert.Equal((0, 0, 0, ""), (outcome.Refused, outcome.Failed, outcome.Lost, outcome.FirstFailure));
    }

    /// <summary>What is put now goes to that directory.</summary>
    private static void AssertGoesOnIn(PlasmaStore store, int directory)
    {
        long before = store.SpillInfo().Directories[directory].UsedBytes;
        for (int i = 0; i < 20; i++)
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"later-{i}"), Content($"later-{i}", 900_000), new ObjectOptions { Timeout = TimeSpan.FromSeconds(10) }));
        store.Unload(long.MaxValue);
        Assert.True(store.SpillInfo().Directories[directory].UsedBytes > before, "Nothing went to the directory that works.");
    }

    /// <summary>Name of an object that is on disk only, in that directory.</summary>
    private static unsafe string FirstOnDisk(PlasmaStore store, int directory)
    {
        store.Unload(long.MaxValue);
        for (int w = 0; w < 2; w++)
            for (int i = 0; i < 60; i++)
            {
                ObjectId id = Id($"w{w}-{i}");
                if (!store.Index.TryFindCommitted(id, store.Index.HashOf(id), out _, out uint e))
                    continue;
                Format.ObjectEntry* entry = store.Memory.Entry(e);
                if (new Format.StateWord(entry->State).State == ObjectState.Spilled && new FastPlasma.Spill.SpillPlace(entry->SpillPlace) is { IsPlace: true } place && place.Directory == directory)
                    return $"w{w}-{i}";
            }
        throw new InvalidOperationException($"No object is in directory {directory}.");
    }

    /// <summary>Before its disk goes.</summary>
    private static void Close(PlasmaStore store)
    {
        string name = store.Name;
        store.Dispose();
        PlasmaStore.Destroy(name);
    }
}
