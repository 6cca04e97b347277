using System.Text.Json;

namespace FastPlasma.Tests.Spill;

/// <summary>fastplasma create --spill, destroy --keep-spilled and spill ls, verify, gc: what they do, print and answer.</summary>
public sealed class SpillCommandTests : SpillTest
{
    private const string Heading = "### spill ls, spill verify, spill gc";

    private List<JsonElement> Documented { get; } = CliDocumentation.Under(Heading);

    [Fact]
    public void Create_takes_directories_limit_reserve_and_persistence_into_the_store()
    {
        string name = NewName(), second = NewFolder();
        CliRun run = CliRun.Of("create", "-s", name, "--capacity", "16MiB", "--spill", $"{Folder},{second}", "--spill-limit", "100MB", "--spill-reserve", "2.5", "--persist", "--json").Ok();
        Assert.Equal([Folder, second], run.Json.GetProperty("spillDirectories").EnumerateArray().Select(static e => e.GetString()!));
        SpillInfo info = Open(name).SpillInfo();
        Assert.Equal([Folder, second], info.Directories.Select(static d => d.Path));
        Assert.Equal((100_000_000 + (2 << 20) - 1) / (2 << 20) * (2L << 20), info.LimitBytes);
        Assert.Equal(0.025, info.Reserve);
        Assert.True(info.IsPersistent);
    }

    [Fact]
    public void Create_warns_of_a_directory_that_cannot_be_used_and_fails_when_none_can()
    {
        string name = NewName(), missing = Path.Combine(Folder, "missing");
        CliRun run = CliRun.Of("create", "-s", name, "--capacity", "16MiB", "--spill", $"{missing},{Folder}");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains($"warning: nothing is spilled to {missing}", run.Error, StringComparison.Ordinal);
        CliRun.Of("create", "-s", NewName(), "--capacity", "16MiB", "--spill", missing).Fails(3, missing, "ENOENT");
        CliRun.Of("create", "-s", NewName(), "--capacity", "16MiB", "--spill-limit", "1GiB").Fails(2, "--spill");
        CliRun.Of("create", "-s", NewName(), "--capacity", "16MiB", "--spill", Folder, "--spill-reserve", "100").Fails(2, "--spill-reserve is 100", "99");
        CliRun.Of("create", "-s", NewName(), "--capacity", "16MiB", "--spill", Folder, "--spill-limit", "0").Fails(2, "--spill-limit is 0");
    }

    [Fact]
    public void Ls_shows_the_directories_of_a_store_and_of_one_that_spills_nothing_none()
    {
        PlasmaStore store = Spilled(out string name);
        CliRun run = CliRun.Of("spill", "ls", "-s", name, "--json").Ok();
        CliDocumentation.AssertShape(Documented[0], run.Json);
        JsonElement directory = run.Json.GetProperty("directories")[0];
        Assert.Equal(Folder, directory.GetProperty("path").GetString());
        Assert.Equal(1, directory.GetProperty("objectCount").GetInt32());
        Assert.True(directory.GetProperty("usedBytes").GetInt64() >= 900_000);
        CliRun text = CliRun.Of("spill", "ls", "-s", name).Ok();
        Assert.Contains(Folder, text.Output, StringComparison.Ordinal);
        Assert.Contains("ok", text.Output, StringComparison.Ordinal);
        Named(out string plain);
        Assert.Contains("spills nothing", CliRun.Of("spill", "ls", "-s", plain).Ok().Output, StringComparison.Ordinal);
        CliRun.Of("spill", "ls", "-s", NewName()).Fails(3, "does not exist");
        Assert.NotNull(store);
    }

    [Fact]
    public void Get_and_cat_bring_objects_back_without_another_writer_and_say_what_is_damaged()
    {
        PlasmaStore store = Named(out string name, WithSpill());
        byte[] first = Content("first", 900_000), second = Content("second", 40_000);
        store.Put(Id("first"), first);
        store.Put(Id("second"), second);
        Assert.True(store.Unload(long.MaxValue) > 0);
        store.Dispose();
        string file = Path.Combine(NewFolder(), "out");
        CliRun.Of("get", "-s", name, "name:first", "-o", file).Ok();
        Same(first, File.ReadAllBytes(file));
        CliRun run = CliRun.Of("cat", "-s", name, "name:second", "name:first").Ok();
        Same([.. second, .. first], run.Payload);

        store = Open(name);
        Assert.True(store.Unload(long.MaxValue) > 0);
        Assert.Equal("Spilled", CliRun.Of("ls", "-s", name, "--json").Ok().Json.EnumerateArray().First().GetProperty("state").GetString());
        store.Dispose();
        using (FileStream spill = new(SpillFile(Folder), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            spill.SetLength(4096);
        CliRun.Of("get", "-s", name, "name:first", "-o", file).Fails(5, Id("first").ToString(), SpillFile(Folder));
        Same(first, File.ReadAllBytes(file));
        run = CliRun.Of("cat", "-s", name, "name:second", "name:first");
        Assert.NotEqual(0, run.ExitCode);
        Assert.Contains(SpillFile(Folder), run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stat_and_top_show_what_is_on_disk_and_what_is_moved()
    {
        PlasmaStore store = Spilled(out string name);
        string[] parts = ["1 objects with 879 KiB only there", "0 B of memory has copies there"];
        foreach (string[] command in (string[][])[["stat", "-s", name], ["top", "-s", name, "-n", "1", "-i", "10ms"]])
        {
            string output = CliRun.Of(command).Ok().Output;
            Assert.All(parts, part => Assert.Contains(part, output, StringComparison.Ordinal));
        }
        Task<CliRun> top = Task.Run(() => CliRun.Of("top", "-s", name, "-n", "1", "-i", "300ms", "--json"));
        while (!top.IsCompleted) // It moves all the while, so also between the two looks.
        {
            store.Get(Id("a"), TimeSpan.FromSeconds(5)).Dispose();
            store.Unload(long.MaxValue);
        }
        JsonElement[] rates = [.. (await top).Ok().Json.GetProperty("rates").EnumerateArray()];
        Assert.True(rates.Single(static rate => rate.GetProperty("operation").GetString() == "restore").GetProperty("bytesPerSecond").GetDouble() > 100_000);
        Assert.Equal(0, rates.Single(static rate => rate.GetProperty("operation").GetString() == "spill").GetProperty("perSecond").GetDouble());
    }

    [Fact]
    public void Verify_reads_every_copy_and_lists_what_is_damaged()
    {
        PlasmaStore store = Spilled(out string name);
        VerifyAtEnd = false;
        CliRun run = CliRun.Of("spill", "verify", "-s", name, "--json").Ok();
        Assert.True(run.Json.GetProperty("ok").GetBoolean());
        Assert.Equal(1, run.Json.GetProperty("copies").GetInt32());
        Assert.Equal(900_000, run.Json.GetProperty("imageBytes").GetInt64());
        using (FileStream file = File.Open(SpillFile(Folder), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            file.Position = (2 << 20) + 4096 + 300_000;
            file.Write("damage"u8);
        }
        run = CliRun.Of("spill", "verify", "-s", name, "--json");
        Assert.Equal(1, run.ExitCode);
        CliDocumentation.AssertShape(Documented[2], run.Json);
        JsonElement error = run.Json.GetProperty("errors")[0];
        Assert.Equal("Damaged", error.GetProperty("kind").GetString());
        Assert.Equal(Id("a").ToString(), error.GetProperty("id").GetString());
        Assert.Equal(SpillFile(Folder), error.GetProperty("file").GetString());
        CliRun text = CliRun.Of("spill", "verify", "-s", name);
        Assert.Equal(1, text.ExitCode);
        Assert.Contains(SpillFile(Folder), text.Output, StringComparison.Ordinal);
        Assert.Contains("broken: 1 copies", text.Output, StringComparison.Ordinal);
        Assert.NotNull(store);
    }

    [Fact]
    public void Gc_removes_what_stores_that_are_gone_have_left_and_nothing_else()
    {
        PlasmaStore store = Spilled(out _);
        string gone = NewName();
        using (PlasmaStore left = PlasmaStore.Create(gone, WithSpill()))
            left.Put(Id("x"), new byte[10]);
        PlasmaStore.Destroy(gone, keepSpilled: true);
        CliRun list = CliRun.Of("spill", "ls", Folder, "--json").Ok();
        CliDocumentation.AssertShape(Documented[1], list.Json);
        Assert.Equal(["InUse", "Orphan"], list.Json.EnumerateArray().Select(static e => e.GetProperty("state").GetString()!).Order(StringComparer.Ordinal));
        Assert.Contains("in use", CliRun.Of("spill", "ls", Folder).Ok().Output, StringComparison.Ordinal);
        CliRun run = CliRun.Of("spill", "gc", Folder, "--json").Ok();
        CliDocumentation.AssertShape(Documented[3], run.Json);
        Assert.Equal(gone, Assert.Single(run.Json.GetProperty("removed").EnumerateArray()).GetProperty("storeName").GetString());
        Assert.Single(Directory.GetFiles(Folder));
        Assert.Contains("removed 0 files", CliRun.Of("spill", "gc", Folder).Ok().Output, StringComparison.Ordinal);
        CliRun.Of("spill", "gc", Path.Combine(Folder, "missing")).Fails(2, "missing");
        Assert.NotNull(store);
    }

    [Fact]
    public void Gc_of_a_store_gives_disk_space_back_that_it_does_not_need()
    {
        PlasmaStore store = Spilled(out string name);
        store.Delete(Id("a"));
        store.Maintain();
        CliRun run = CliRun.Of("spill", "gc", "-s", name, "--json").Ok();
        Assert.True(run.Json.GetProperty("trimmedBytes").GetInt64() >= 2 << 20, run.Output);
    }

    [Fact]
    public void Destroy_keeps_what_a_persistent_store_has_on_disk_when_told_so()
    {
        string name = NewName();
        CliRun.Of("create", "-s", name, "--capacity", "16MiB", "--spill", Folder, "--persist").Ok();
        using (PlasmaStore store = PlasmaStore.Open(name, Small))
        {
            store.Put(Id("a"), Content("a", 900_000));
            store.Put(Id("b"), Content("b", 1000), Evictable);
        }
        Assert.Contains("1 objects stay on disk, 1 in memory only are gone", CliRun.Of("destroy", "-s", name, "--yes", "--keep-spilled").Ok().Output, StringComparison.Ordinal);
        CliRun list = CliRun.Of("spill", "ls", Folder, "--json").Ok();
        Assert.Equal("Persisted", list.Json[0].GetProperty("state").GetString());
        CliRun run = CliRun.Of("create", "-s", name, "--capacity", "16MiB", "--spill", Folder).Ok();
        Assert.Contains("1 objects of an earlier store are there again", run.Output, StringComparison.Ordinal);
        PlasmaStore next = Open(name);
        using PlasmaObject obj = next.Get(Id("a"), TimeSpan.FromSeconds(10));
        Same(Content("a", 900_000), obj.Span);
        CliRun.Of("destroy", "-s", name, "--yes", "--keep-spilled").Fails(2, "--persist", name);
        Assert.True(next.Contains(Id("a")));
    }

    [Fact]
    public void Destroy_that_cannot_keep_what_it_should_destroys_nothing()
    {
        string name = NewName();
        CliRun.Of("create", "-s", name, "--capacity", "16MiB", "--spill", Folder, "--persist").Ok();
        using PlasmaStore store = PlasmaStore.Open(name, Small);
        store.Put(Id("a"), Content("a", 900_000));
        File.Delete(SpillFile(Folder));
        CliRun.Of("destroy", "-s", name, "--yes", "--keep-spilled").Fails(5, "1 objects", "nothing was destroyed", Folder);
        Assert.Equal(["a"], store.List().Select(static info => info.Id == Id("a") ? "a" : "?"));
        CliRun.Of("destroy", "-s", name, "--yes").Ok();
    }

    [Fact]
    public void Help_has_the_commands_their_options_and_examples()
    {
        Assert.Contains("spill", CliRun.Of("--help").Ok().Output, StringComparison.Ordinal);
        foreach (string command in (string[])["ls", "verify", "gc"])
        {
            string help = CliRun.Of("spill", command, "--help").Ok().Output;
            Assert.Contains($"fastplasma spill {command}", help, StringComparison.Ordinal);
            Assert.Contains("Exit codes:", help, StringComparison.Ordinal);
        }
        Assert.Contains("--persisted", CliRun.Of("spill", "gc", "--help").Ok().Output, StringComparison.Ordinal);
        Assert.Contains("--spill-limit", CliRun.Of("create", "--help").Ok().Output, StringComparison.Ordinal);
    }

    private PlasmaStore Spilled(out string name)
    {
        PlasmaStore store = Named(out name, WithSpill());
        store.Put(Id("a"), Content("a", 900_000));
        Assert.True(store.Unload(long.MaxValue) > 0);
        return store;
    }
}
