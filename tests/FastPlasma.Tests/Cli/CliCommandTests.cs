using System.Runtime.Versioning;
using System.Text.Json;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>Every command run in this process against a store of its own: effects, output for people and programs, exit codes.</summary>
[SupportedOSPlatform("linux")]
public sealed class CliCommandTests : IDisposable
{
    private readonly ScratchDirectory _files = new();
    private readonly string _store = ScratchStore.NewName();

    public CliCommandTests() => Fp("create", "--capacity", "16MiB").Ok();

    public void Dispose()
    {
        PlasmaStore.Destroy(_store);
        _files.Dispose();
    }

    // ---- create, destroy, stores -------------------------------------------------------------------------------------------

    [Fact]
    public void Create_says_what_it_made_and_never_touches_a_store_that_is_there()
    {
        Put("kept", 10);
        Fp("create", "--capacity", "64MiB").Fails(3, _store, "exists already");
        Assert.Equal(16L << 20, Stat().GetProperty("capacityBytes").GetInt64());
        Assert.Equal(10, Fp("cat", "kept").Ok().Payload.Length);
    }

    [Fact]
    public void Create_takes_every_option()
    {
        string name = ScratchStore.NewName();
        try
        {
            CliRun run = CliRun.Of(
                "create", "-s", name, "--capacity", "5MB", "--objects", "100", "--huge-pages", "Auto", "--mode", "660", "--group", "0", "--evictable", "--populate", "3MiB", "--json").Ok();
            CliDocumentation.AssertShape(CliDocumentation.Under("### create, destroy, stores")[0], run.Json);
            Assert.Equal(name, run.Json.GetProperty("name").GetString());
            Assert.Equal(6L << 20, run.Json.GetProperty("capacityBytes").GetInt64());
            Assert.Equal(100, run.Json.GetProperty("objectCountMax").GetInt32());
            Assert.Equal("Auto", run.Json.GetProperty("hugePagesAsked").GetString());
            Assert.Equal(4L << 20, run.Json.GetProperty("backedBytes").GetInt64());
            foreach (string path in Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{name}*"))
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, File.GetUnixFileMode(path));
            string file = _files.File("default", new byte[100]);
            CliRun.Of("put", "-s", name, file).Ok();
            Assert.Equal("Evictable", CliRun.Of("ls", "-s", name, "--json").Ok().Json[0].GetProperty("retention").GetString());
        }
        finally
        {
            PlasmaStore.Destroy(name);
        }
    }

    [Fact]
    public void Populate_that_the_system_refuses_says_how_far_it_came()
    {
        using var mount = new TempMount("tmpfs", "size=16m");
        CliRun.Of("create", "-s", "full", "-d", mount.Path, "--capacity", "64MiB", "--populate", "32MiB").Fails(4, "the store exists", "of 32 MiB", "ENOSPC");
        CliRun.Of("create", "-s", "tiny", "-d", mount.Path, "--capacity", "16TiB").Fails(4, "ENOSPC");
        Assert.Equal("full", Assert.Single(PlasmaStore.ListStores(mount.Path)));
    }

    [Theory]
    [InlineData("--capacity is 0 bytes; it has to be more than 0", "--capacity", "0")]
    [InlineData("'4X' is no size", "--capacity", "4X")]
    [InlineData("'' is no size", "--capacity", "")]
    [InlineData("--capacity is 17 TiB; it has to be at most 16 TiB", "--capacity", "17TiB")]
    [InlineData("--populate 2 MiB is more than --capacity 1 MiB", "--capacity", "1MiB", "--populate", "2MiB")]
    [InlineData("--objects is -1; it has to be 0 (automatic) to 16777216", "--capacity", "1MiB", "--objects", "-1")]
    [InlineData("--objects is 16777217; it has to be 0 (automatic) to 16777216", "--capacity", "1MiB", "--objects", "16777217")]
    [InlineData("'many'", "--capacity", "1MiB", "--objects", "many")]
    [InlineData("--huge-pages is 'big'; it has to be never, auto or require", "--capacity", "1MiB", "--huge-pages", "big")]
    [InlineData("--mode is '999'; it has to be an octal number from 1 to 0777", "--capacity", "1MiB", "--mode", "999")]
    [InlineData("Mode 604 is not possible", "--capacity", "1MiB", "--mode", "604")]
    [InlineData("There is no group 'no-such-group'", "--capacity", "1MiB", "--group", "no-such-group")]
    [InlineData("Option '--capacity' is required")]
    [InlineData("--capcity", "--capacity", "1MiB", "--capcity", "1MiB")]
    public void Create_refuses_what_cannot_be_with_the_value_and_the_limit(string part, params string[] args)
    {
        string name = ScratchStore.NewName();
        CliRun.Of(["create", "-s", name, .. args]).Fails(2, part, "fastplasma create");
        Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{name}*"));
    }

    [Theory]
    [InlineData("a/b")]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData(".hidden")]
    [InlineData("with space")]
    public void A_store_name_that_is_none_is_refused_by_every_command(string name)
    {
        string file = _files.File("f", [1]);
        foreach (string[] command in (string[][])[["create", "--capacity", "1MiB"], ["ls"], ["put", file], ["get", "x"], ["verify"], ["destroy", "--yes"]])
            CliRun.Of([.. command, "--store", name]).Fails(2, $"'{name}' is no store name", "1 to 128 letters");
    }

    [Fact]
    public void A_missing_store_or_directory_is_named_by_every_command()
    {
        string missing = ScratchStore.NewName(), file = _files.File("f", [1]);
        foreach (string[] command in (string[][])[
            ["ls"], ["stat"], ["put", file], ["get", "x"], ["cat", "x"], ["rm", "x"], ["wait", "x"], ["evict", "1"], ["verify"], ["top", "-n", "1"], ["admit", "--reader", "1"], ["destroy", "--yes"]])
        {
            CliRun.Of([.. command, "-s", missing]).Fails(3, missing, "does not exist");
            CliRun.Of([.. command, "-s", missing, "-d", "/no/where"]).Fails(3, "/no/where");
        }
        CliRun.Of("stores", "-d", "/no/where").Fails(3, "/no/where");
        CliRun.Of("ls", "-s", missing, "--json").Fails(3, "\"status\":\"StoreMissing\"");
    }

    [Fact]
    public void Destroy_wants_a_yes_and_removes_every_file()
    {
        Fp("destroy").Fails(2, "--yes");
        CliRun run = Fp("destroy", "--yes", "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### create, destroy, stores")[1], run.Json);
        Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{_store}*"));
        Fp("destroy", "--yes").Fails(3, _store);
    }

    [Fact]
    public void Stores_lists_those_that_cannot_be_opened_with_the_reason()
    {
        using var folder = new ScratchDirectory();
        CliRun.Of("create", "-s", "good", "-d", folder.Path, "--capacity", "2MiB").Ok();
        File.WriteAllText(Path.Combine(folder.Path, "fastplasma.bad"), "no store");
        File.SetUnixFileMode(Path.Combine(folder.Path, "fastplasma.bad"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        JsonElement stores = CliRun.Of("stores", "-d", folder.Path, "--json").Ok().Json;
        CliDocumentation.AssertShape(CliDocumentation.Under("### create, destroy, stores")[2], stores);
        Assert.Equal(["bad", "good"], stores.EnumerateArray().Select(static store => store.GetProperty("name").GetString()));
        Assert.Contains("too short", stores[0].GetProperty("problem").GetString(), StringComparison.Ordinal);
        Assert.Equal(0, stores[1].GetProperty("participantCount").GetInt32());
        Assert.Contains(CliRun.Of("stores", "-d", folder.Path).Ok().Lines, static line => line.StartsWith("good", StringComparison.Ordinal) && line.Contains("2 MiB", StringComparison.Ordinal));
        CliRun.Of("ls", "-s", "bad", "-d", folder.Path).Fails(3, "fastplasma.bad", "too short");
        CliRun.Of("destroy", "-s", "bad", "-d", folder.Path, "--yes").Ok();
        Assert.DoesNotContain(Directory.GetFiles(folder.Path), static path => path.Contains("bad", StringComparison.Ordinal));

        // What is refused as a store can still be removed as one; the target of a link stays.
        File.CreateSymbolicLink(Path.Combine(folder.Path, "fastplasma.link"), _files.File("target", [1]));
        CliRun.Of("ls", "-s", "link", "-d", folder.Path).Fails(3, "symbolic link");
        CliRun.Of("destroy", "-s", "link", "-d", folder.Path, "--yes").Ok();
        Assert.False(Path.Exists(Path.Combine(folder.Path, "fastplasma.link")));
        Assert.True(File.Exists(Path.Combine(_files.Path, "target")));
    }

    // ---- put ---------------------------------------------------------------------------------------------------------------

    [Fact]
    public void Put_takes_the_files_name_and_copies_nothing_in_user_space()
    {
        byte[] content = Bytes(3_000_000);
        string file = _files.File("model.bin", content);
        CliRun run = Fp("put", file, "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### put")[0], run.Json);
        JsonElement put = run.Json[0];
        Assert.Equal(ObjectId.FromName("model.bin").ToString(), put.GetProperty("id").GetString());
        Assert.Equal(file, put.GetProperty("file").GetString());
        Assert.Equal(3_000_000, put.GetProperty("sizeBytes").GetInt64());
        Assert.Equal(0, put.GetProperty("copiedBytes").GetInt64());
        Assert.Equal(content, Fp("cat", "model.bin").Ok().Payload);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4095)]
    [InlineData(131073)]
    [InlineData(5_000_000)]
    public void Put_and_cat_give_back_every_byte_of_any_size(int bytes)
    {
        byte[] content = Bytes(bytes);
        Fp("put", _files.File("f", content)).Ok();
        Assert.Equal(content, Fp("cat", "f").Ok().Payload);
        Fp("verify").Ok();
    }

    [Fact]
    public void Put_takes_an_id_or_a_name_of_choice()
    {
        string file = _files.File("f", [7]), id = ObjectId.NewRandom().ToString();
        Fp("put", "--id", id, file).Ok();
        Fp("put", "--name", "other name", file).Ok();
        Assert.Equal([7, 7], Fp("cat", id, "other name").Ok().Payload);
        Fp("put", "--id", id, "--name", "n", file).Fails(2, "exclude each other");
        Fp("put", "--id", "12", file).Fails(2, "'12'", "56 hexadecimal digits", "got 2 characters");
        Fp("put", "--name", "", file).Fails(2, "at least one character");
        Fp("put", "--name", "n", file, file).Fails(2, "one FILE", "2 were given");
        Fp("put", "--name", new string('x', 5000), file).Fails(2, "5000 bytes", "4096");
        Fp("put").Fails(2, "'FILE'");
        Fp("put", file, "--timeout", "soon").Fails(2, "'soon' is no duration", "at most 24d");
    }

    [Fact]
    public void Put_of_what_is_there_names_file_and_store_and_changes_nothing()
    {
        Put("f", 10);
        Fp("put", _files.File("f", Bytes(20))).Fails(1, Path.Combine(_files.Path, "f"), _store, "exists already");
        Assert.Equal(10, Fp("cat", "f").Payload.Length);
        CliRun run = Fp("put", "--json", Path.Combine(_files.Path, "f"));
        Assert.Equal(1, run.ExitCode);
        Assert.Equal("Exists", JsonDocument.Parse(run.Error).RootElement.GetProperty("status").GetString());
    }

    [Fact]
    public void Put_of_several_files_puts_those_it_can_and_returns_the_first_failure()
    {
        string a = _files.File("a", [1]), b = _files.File("b", [2]), missing = Path.Combine(_files.Path, "missing");
        CliRun run = Fp("put", a, missing, _files.Path, b, a, "--json");
        Assert.Equal(5, run.ExitCode);
        string[] errors = run.Error.TrimEnd().Split('\n');
        Assert.Equal(3, errors.Length);
        Assert.Contains("no such file", errors[0], StringComparison.Ordinal);
        Assert.Contains("directory", errors[1], StringComparison.Ordinal);
        Assert.Contains("exists already", errors[2], StringComparison.Ordinal);
        Assert.Equal(["a", "b"], run.Json.EnumerateArray().Select(static put => put.GetProperty("name").GetString()));
        Fp("put", _files.Path + "/").Fails(2, "names a directory");
    }

    [Fact]
    public void Put_reads_files_that_say_to_be_empty()
    {
        Fp("put", "/proc/version").Ok();
        Assert.Equal(File.ReadAllBytes("/proc/version"), Fp("cat", "version").Ok().Payload);
    }

    [Fact]
    public void Put_into_a_full_store_says_who_holds_what()
    {
        Put("most", 15 << 20);
        CliRun run = Fp("put", _files.File("more", Bytes(3 << 20)), "--json");
        Assert.Equal(4, run.ExitCode);
        JsonElement error = JsonDocument.Parse(run.Error).RootElement;
        Assert.Equal("StoreFull", error.GetProperty("status").GetString());
        Assert.Equal(3 << 20, error.GetProperty("report").GetProperty("requestedBytes").GetInt64());
        Assert.Equal(JsonValueKind.Null, error.GetProperty("report").GetProperty("reservationError").ValueKind);
        Fp("put", _files.File("more", Bytes(3 << 20)), "--timeout", "50ms").Fails(4, "no room for 3145728 bytes", "waited");
        Fp("put", _files.File("never", Bytes(17 << 20))).Fails(4, "never", "17825792 bytes can never fit", "16777216");
        Assert.Equal(0, Stat().GetProperty("creatingCount").GetInt32());
    }

    // ---- get, cat ----------------------------------------------------------------------------------------------------------

    [Fact]
    public void Get_writes_a_file_in_one_step()
    {
        byte[] content = Put("f", 5_000_000);
        string file = Path.Combine(_files.Path, "out");
        File.WriteAllText(file, "old");
        CliRun run = Fp("get", "f", "-o", file, "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### get, cat")[0], run.Json);
        Assert.Equal(content, File.ReadAllBytes(file));
        Assert.Equal(content, Fp("get", "f").Ok().Payload);
        Fp("get", "f", "--output", "/dev/null").Ok();
        Assert.True(File.Exists("/dev/null") && new FileInfo("/dev/null").Length == 0);
        Assert.Equal(2, Directory.GetFiles(_files.Path).Length);
    }

    [Fact]
    public void Get_that_fails_leaves_the_older_file_and_no_half_one()
    {
        Put("f", 3 << 20);
        using var mount = new TempMount("tmpfs", "size=1m");
        string file = Path.Combine(mount.Path, "out");
        File.WriteAllText(file, "old");
        Fp("get", "f", "-o", file).Fails(5, file);
        Assert.Equal("old", File.ReadAllText(file));
        Assert.Equal(file, Assert.Single(Directory.GetFileSystemEntries(mount.Path)));
        Fp("get", "absent", "-o", Path.Combine(mount.Path, "new")).Fails(1, "'absent'");
        Assert.False(File.Exists(Path.Combine(mount.Path, "new")));
        Fp("get", "f", "-o", mount.Path).Fails(5, "it is a directory");
        Fp("get", "f", "-o", "/no/where/x").Fails(5, "/no/where/x", "no such directory");
    }

    [Fact]
    public void Get_through_a_link_keeps_the_link()
    {
        Put("f", 10);
        string target = _files.File("target", []), link = Path.Combine(_files.Path, "link");
        File.CreateSymbolicLink(link, target);
        Fp("get", "f", "-o", link).Ok();
        Assert.Equal(target, new FileInfo(link).LinkTarget);
        Assert.Equal(10, new FileInfo(target).Length);
    }

    [Fact]
    public void Get_and_cat_say_what_is_missing()
    {
        Put("f", 1);
        Fp("get", "absent").Fails(1, "'absent'", ObjectId.FromName("absent").ToString(), _store);
        Fp("get", "absent", "--timeout", "20ms").Fails(1, "'absent'", "was not sealed", "20 ms");
        Fp("get", "id:12").Fails(2, "'12'");
        Fp("get").Fails(2, "ID|NAME");
        Fp("get", "f", "g").Fails(2, "'g'");
        CliRun run = Fp("cat", "f", "absent", "f");
        Assert.Equal(1, run.ExitCode);
        Assert.Equal(2, run.Payload.Length);
    }

    // ---- ls, stat, top, wait -----------------------------------------------------------------------------------------------

    [Fact]
    public void Ls_lists_oldest_first_with_holders_and_escapes_what_a_terminal_would_obey()
    {
        Assert.Single(Fp("ls").Ok().Lines);
        Put("first", 1000);
        Put("bell\u0007\u001b[31m", 20);
        using PlasmaStore store = PlasmaStore.Open(_store);
        Assert.True(store.TryGet(ObjectId.FromName("first"), out PlasmaObject held));
        using (held)
        {
            CliRun run = Fp("ls").Ok();
            Assert.DoesNotContain('\u001b', run.Output);
            Assert.Contains("bell\\x07\\x1b[31m", run.Output, StringComparison.Ordinal);
            Assert.Contains($"[{Environment.ProcessId}] ×1", run.Output, StringComparison.Ordinal);
            JsonElement objects = Fp("ls", "--json").Ok().Json;
            CliDocumentation.AssertShape(CliDocumentation.Under("### ls")[0], objects);
            JsonElement first = objects.EnumerateArray().Single(static o => o.GetProperty("name").GetString() == "first");
            Assert.Equal(1, first.GetProperty("pins").GetInt32());
            Assert.Equal(Environment.ProcessId, first.GetProperty("holders")[0].GetProperty("processId").GetInt32());
            Assert.Equal("Sealed", first.GetProperty("state").GetString());
        }
    }

    [Fact]
    public void Stat_counts_the_copies_of_each_operation()
    {
        using (PlasmaStore store = PlasmaStore.Open(_store))
            store.Put(ObjectId.FromName("copied"), new byte[1000]);
        Put("in place", 500);
        Fp("cat", "copied").Ok();
        JsonElement json = Fp("stat", "--json").Ok().Json;
        CliDocumentation.AssertShape(CliDocumentation.Under("### stat")[0], json);
        Dictionary<string, JsonElement> copies = json.GetProperty("copies").EnumerateArray().ToDictionary(static row => row.GetProperty("operation").GetString()!);
        Assert.Equal((1000, 1.0), (copies["put"].GetProperty("copiedBytes").GetInt64(), copies["put"].GetProperty("copiesPerObject").GetDouble()));
        Assert.Equal((500, 0.0), (copies["create+seal"].GetProperty("payloadBytes").GetInt64(), copies["create+seal"].GetProperty("copiesPerObject").GetDouble()));
        Assert.Equal((1, 0), (copies["get"].GetProperty("count").GetInt64(), copies["get"].GetProperty("copiedBytes").GetInt64()));
        CliRun text = Fp("stat").Ok();
        Assert.Contains(text.Lines, static line => line.StartsWith("objects", StringComparison.Ordinal) && line.Contains("2 sealed", StringComparison.Ordinal));
        Assert.Contains($"{Environment.ProcessId} (this)", text.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Top_prints_an_interval_per_line()
    {
        CliRun run = Fp("top", "--count", "2", "--interval", "20ms", "--json").Ok();
        Assert.Equal(2, run.Lines.Length);
        foreach (string line in run.Lines)
            CliDocumentation.AssertShape(CliDocumentation.Under("### top")[0], JsonDocument.Parse(line).RootElement);
        Assert.Contains("create+seal", Fp("top", "-n", "1", "-i", "10ms").Ok().Output, StringComparison.Ordinal);
        Fp("top", "--count", "0").Fails(2, "--count is 0", "at least 1");
        Fp("top", "--interval", "1ms").Fails(2, "--interval is 1 ms", "10 ms");
    }

    [Fact]
    public void Wait_ends_when_enough_are_sealed_or_at_the_deadline()
    {
        Put("a", 1);
        CliRun run = Fp("wait", "a", "b", "--count", "1", "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### wait")[0], run.Json);
        Assert.Equal([true, false], run.Json.GetProperty("objects").EnumerateArray().Select(static o => o.GetProperty("ready").GetBoolean()));
        run = Fp("wait", "a", "b", "--timeout", "30ms");
        Assert.Equal(["sealed   a", "missing  b"], run.Lines);
        run.Fails(1, "1 of 2 objects", "2 were waited for", "30 ms");
        Fp("wait", "a", "--count", "2").Fails(2, "--count is 2", "from 1 to 1");
        Fp("wait", "a", "--timeout", "30d").Fails(2, "'30d' is no duration");
        Fp("wait").Fails(2, "ID|NAME");
    }

    // ---- rm, evict, admit, verify ------------------------------------------------------------------------------------------

    [Fact]
    public void Rm_deletes_what_there_is_and_names_what_there_is_not()
    {
        Put("a", 1);
        Put("b", 1);
        Assert.Equal("", Fp("rm", "a").Ok().Output);
        using PlasmaStore store = PlasmaStore.Open(_store);
        using ObjectWriter writer = store.Create(ObjectId.FromName("c"), 10);
        CliRun run = Fp("rm", "a", "b", "c", "--json");
        Assert.Equal(1, run.ExitCode);
        CliDocumentation.AssertShape(CliDocumentation.Under("### rm, evict")[0], run.Json);
        Assert.Equal(["NotFound", "Ok", "NotSealed"], run.Json.EnumerateArray().Select(static o => o.GetProperty("status").GetString()));
        Assert.Equal(2, run.Error.TrimEnd().Split('\n').Length);
    }

    [Fact]
    public void Evict_frees_evictable_objects_only()
    {
        Fp("put", "--evictable", _files.File("may go", Bytes(1 << 20))).Ok();
        Put("stays", 1 << 20);
        CliRun run = Fp("evict", "1MiB", "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### rm, evict")[1], run.Json);
        Assert.True(run.Json.GetProperty("freedBytes").GetInt64() >= 1 << 20);
        Assert.Equal(1, Fp("evict", "1MiB").ExitCode);
        Fp("get", "may go").Fails(1, "'may go'");
        Fp("cat", "stays").Ok();
        Fp("evict", "0").Fails(2, "SIZE is 0 bytes", "more than 0");
        Fp("evict", "lots").Fails(2, "'lots' is no size");
    }

    [Fact]
    public void Admit_lets_users_in_and_refuses_who_is_no_user()
    {
        CliRun run = Fp("admit", "--reader", "4242", "--reader", "4243", "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### admit")[0], run.Json);
        Fp("admit", "--reader", "4242").Ok();
        Assert.Single(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{_store}.*.pins.4242"));
        Fp("admit", "--reader", "no-such-user").Fails(2, "no-such-user");
        Fp("admit", "--reader", "0").Fails(2, "owns the store");
        Fp("admit").Fails(2, "--reader");
    }

    [Fact]
    public void Verify_is_content_with_a_good_store()
    {
        Fp("put", "--checksum", _files.File("a", Bytes(5000)), _files.File("b", Bytes(500_000))).Ok();
        CliRun run = Fp("verify", "--json").Ok();
        CliDocumentation.AssertShape(CliDocumentation.Under("### verify")[0], run.Json);
        Assert.Equal((true, 2, 505_000), (run.Json.GetProperty("ok").GetBoolean(), run.Json.GetProperty("checksumsVerified").GetInt32(), run.Json.GetProperty("payloadBytes").GetInt32()));
        Assert.StartsWith("ok: 2 objects", Fp("verify").Ok().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Verify_finds_a_flipped_payload_byte()
    {
        byte[] content = Bytes(5000);
        Fp("put", "--checksum", _files.File("sum", content)).Ok();
        Fp("put", _files.File("no sum", Bytes(6000))).Ok();
        string data = Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{_store}.*.data").Single();
        using (var file = new FileStream(data, FileMode.Open, FileAccess.ReadWrite))
        {
            byte[] all = new byte[file.Length];
            file.ReadExactly(all);
            int at = all.AsSpan().IndexOf(content);
            Assert.True(at >= 0, "the payload is not in the data file");
            file.Position = at + 4321;
            file.WriteByte((byte)(content[4321] ^ 0x10));
        }
        CliRun run = Fp("verify");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains(ObjectId.FromName("sum").ToString(), run.Lines[0], StringComparison.Ordinal);
        Assert.Contains("Checksum", run.Lines[0], StringComparison.Ordinal);
        Assert.StartsWith("broken: 1 problems", run.Lines[1], StringComparison.Ordinal);
        Fp("verify", "--no-checksums").Ok();
    }

    [Theory]
    [InlineData("index word gone", "has 0 index words")]
    [InlineData("index word of another generation", "I1: index word")]
    [InlineData("index word of no entry", "names entry")]
    [InlineData("block word gone", "E1: block word 0")]
    [InlineData("block word of another object", "B1: block")]
    [InlineData("block in an unused chunk", "in a chunk that has no such block")]
    [InlineData("payload outside", "outside the")]
    [InlineData("chunk state", "which does not exist")]
    public unsafe void Verify_finds_a_damaged_word(string damage, string expected)
    {
        Put("victim", 5000);
        Put("other", 5000);
        using PlasmaStore store = PlasmaStore.Open(_store);
        ObjectId id = ObjectId.FromName("victim");
        ulong hash = store.Index.HashOf(id);
        Index.ObjectIndex.CandidateWalk walk = store.Index.Walk(hash);
        Assert.True(walk.Next(out Format.IndexWord word, out ulong* place));
        Format.ObjectEntry* entry = store.Memory.Entry(word.Entry);
        Assert.Equal(id, entry->Id);
        ulong* block = store.Memory.Chunks.Word((long)entry->Block.Index);
        switch (damage)
        {
            case "index word gone": *place = 0; break;
            case "index word of another generation": *place = new Format.IndexWord(hash, word.Generation + 1, word.Entry).Value; break;
            case "index word of no entry": *place = new Format.IndexWord(hash, word.Generation, 9_999_999).Value; break;
            case "block word gone": *block = 0; break;
            case "block word of another object": block[1] = *block; break;
            case "block in an unused chunk": entry->Block.Index = 0; break;
            case "payload outside": entry->DataOffset = store.CapacityBytes - 100; break;
            case "chunk state": store.Memory.Chunks.Record(0)->Word = 15; break;
        }
        CliRun run = Fp("verify", "--json");
        Assert.Equal(1, run.ExitCode);
        Assert.False(run.Json.GetProperty("ok").GetBoolean());
        Assert.Contains(run.Json.GetProperty("problems").EnumerateArray(), problem => problem.GetString()!.Contains(expected, StringComparison.Ordinal));
    }

    // ---- all commands ------------------------------------------------------------------------------------------------------

    [Fact]
    public void Unknown_commands_and_no_command_are_usage_errors()
    {
        CliRun.Of("lss").Fails(2, "there is no command 'lss'");
        CliRun.Of("--lss").Fails(2, "there is no option '--lss'");
        CliRun help = CliRun.Of();
        Assert.Equal(2, help.ExitCode);
        Assert.Contains("Exit codes:", help.Output, StringComparison.Ordinal);
        CliRun.Of("--help").Ok();
    }

    [Fact]
    public void Every_command_has_an_example_and_its_exit_codes_in_its_help()
    {
        foreach (string command in (string[])["create", "destroy", "stores", "put", "get", "cat", "ls", "stat", "top", "wait", "rm", "evict", "admit", "verify"])
        {
            string help = CliRun.Of(command, "--help").Ok().Output;
            Assert.Contains($"  fastplasma {command}", help, StringComparison.Ordinal);
            Assert.Contains("Exit codes:", help, StringComparison.Ordinal);
            Assert.DoesNotContain("[default: Never]", help, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_cancelled_command_ends_with_130()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        CliRun.Of(cancelled.Token, "wait", "never", "-s", _store).Fails(130, "canceled");
    }

    [Fact]
    public void Errors_as_json_are_one_object_on_one_line()
    {
        JsonElement error = JsonDocument.Parse(Fp("get", "absent", "--json").Fails(1).Error).RootElement;
        Assert.Equal(["error", "status"], error.EnumerateObject().Select(static property => property.Name));
        Assert.Equal("NotFound", error.GetProperty("status").GetString());
        Assert.Equal("Usage", JsonDocument.Parse(Fp("get", "--json").Fails(2).Error).RootElement.GetProperty("status").GetString());
    }

    private CliRun Fp(params string[] args) => CliRun.Of([.. args, "--store", _store]);

    private JsonElement Stat() => Fp("stat", "--json").Ok().Json.GetProperty("stats");

    private byte[] Put(string name, int bytes)
    {
        byte[] content = Bytes(bytes);
        Fp("put", "--name", name, _files.File("payload", content)).Ok();
        return content;
    }

    private static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }
}
