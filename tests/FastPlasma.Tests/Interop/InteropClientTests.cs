using System.Globalization;

namespace FastPlasma.Tests.Interop;

/// <summary>The examples of clients/c, compiled without a warning, beside .NET processes that use the same store, and under valgrind; and the package, as who unpacks it would use it.</summary>
[Collection(CollectionOfInterop.Name)]
public sealed class InteropClientTests(CLibrary library) : StoreTest
{
    [Theory]
    [InlineData("example.c", "from-c", "hello from C")]
    [InlineData("example.cpp", "from-cpp", "hello from C++")]
    public void Example_shares_objects_with_dotnet_processes_that_work_at_the_same_time(string example, string put, string text)
    {
        string program = library.Build(Path.Combine(CLibrary.Clients, "examples", example));
        PlasmaStore store = Named(out string name);
        WorkerProcess busy = StartWorker(name), reader = StartWorker(name), writer = StartWorker(name);
        busy.Call("bg churn churn noise 1000000000");
        reader.Call($"bg text get {put} 20000");
        reader.Call($"bg in-place get {put}-in-place 20000");
        Eventually.Run run = Eventually.Start(() => AssertPrinted(CLibrary.Run(program, name), Pattern.Of(7, 300_000)));
        using (store.Get(Id(put), Eventually.Patience)) // The example is at work: it waits for the next.
            Assert.Equal("Ok", writer.Call("put from-elsewhere 300000 7"));
        run.Join();
        Assert.Equal($"Ok {WorkerProcess.Describe(System.Text.Encoding.UTF8.GetBytes(text))}", reader.Call("join text"));
        byte[] counted = new byte[1_000_000];
        for (int i = 0; i < counted.Length; i++)
            counted[i] = (byte)i;
        Assert.Equal($"Ok {WorkerProcess.Describe(counted)}", reader.Call("join in-place"));

        // The process is gone, its objects are there.
        using PlasmaObject left = store.Get(Id(put), TimeSpan.Zero);
        Assert.Equal((put, "text/plain"), (left.Name, left.ContentType));
        busy.Kill();
        store.Maintain();
    }

    [Fact]
    public void Dotnet_and_c_see_the_same_events_deletes_and_counts()
    {
        PlasmaStore store = Named(out string name);
        string program = library.Program("beside");
        PlasmaSubscription events = store.Subscribe();
        store.Put(Id("given"), Pattern.Of(3, 5000), new ObjectOptions { Metadata = "meta"u8, Checksum = true });
        string said = CLibrary.Run(program, name);
        Assert.Equal("given: 5000 bytes, metadata meta, checksum right\nparticipants: 2\n", said);
        Assert.False(store.Contains(Id("given")));
        var kinds = new List<string>();
        while (events.TryRead(out PlasmaEvent e))
            kinds.Add(string.Create(CultureInfo.InvariantCulture, $"{e.Kind} {e.PayloadBytes}"));
        Assert.Equal(["Sealed 5000", "Sealed 9", "Deleted 5000"], kinds);
        using PlasmaObject made = store.Get(Id("made"), TimeSpan.Zero);
        Same("nine more"u8, made.Span);
        Assert.Equal(2, store.Stats().Store.Puts);
    }

    [Fact]
    public void C_process_that_is_killed_leaves_nothing_behind()
    {
        PlasmaStore store = Named(out string name);
        var start = new System.Diagnostics.ProcessStartInfo(library.Program("beside"), [name, "hold"]) { RedirectStandardOutput = true, WorkingDirectory = "/" };
        store.Put(Id("given"), Pattern.Of(3, 5000));
        using var process = System.Diagnostics.Process.Start(start)!;
        Assert.Equal("held", process.StandardOutput.ReadLine());
        Assert.Equal((1, 1), (store.Stats().CreatingCount, store.List().Single(static o => o.State == ObjectState.Sealed).Holders.Count));
        process.Kill();
        Assert.True(process.WaitForExit(Eventually.Patience));
        store.Maintain();
        Assert.Equal((0, 0), (store.Stats().CreatingCount, store.List().Single().Holders.Count));
    }

    [Theory]
    [InlineData("example.c")]
    [InlineData("example.cpp")]
    public void Valgrind_finds_no_error_in_the_example(string example)
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("from-elsewhere"), Pattern.Of(7, 300_000));
        CLibrary.Run(
            "valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite,possible", "--errors-for-leak-kinds=definite,possible",
            $"--suppressions={Path.Combine(CLibrary.Clients, "valgrind.supp")}", library.Build(Path.Combine(CLibrary.Clients, "examples", example)), name);
    }

    [Fact]
    public void Ids_of_contents_of_any_length_are_those_of_dotnet()
    {
        string[] ids = CLibrary.Run(library.Program("hashes")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        byte[] content = new byte[1_000_003];
        for (int i = 0; i < content.Length; i++)
            content[i] = (byte)(i * 7 + i / 256);
        Assert.Equal(302, ids.Length);
        for (int length = 0; length <= 300; length++)
            Assert.Equal(ObjectId.FromContent(content.AsSpan(0, length)).ToString(), ids[length]);
        Assert.Equal(ObjectId.FromContent(content).ToString(), ids[^1]);
    }

    [Fact]
    public void Cpp_wraps_every_function_and_its_owners_give_back_what_they_hold() => CLibrary.Run(Owners, NewName());

    [Theory]
    [InlineData("event")]
    [InlineData("get")]
    public void Exception_that_leaves_a_cpp_callback_of_a_library_thread_ends_the_program(string callback) => Assert.Equal("terminated\n", CLibrary.Run(Owners, NewName(), callback));

    [Fact]
    public void Cpp_header_names_every_function_of_the_c_header()
    {
        string cpp = File.ReadAllText(Path.Combine(CLibrary.Clients, "include", "fastplasma.hpp"));
        foreach (string function in InteropHeaderTests.Declared().Where(static f => !f.EndsWith("_init_sized", StringComparison.Ordinal) && f != "fp_release_many")) // Each object releases itself.
            Assert.True(cpp.Contains(function, StringComparison.Ordinal), $"{function} is not in fastplasma.hpp.");
    }

    private string Owners => library.Build(Path.Combine(Repository.Folder, "tests", "FastPlasma.Tests", "Interop", "owners.cpp"));

    /// <summary>Instructions, not times, as in the counts of the .NET API: they are the same on a busy machine. The bound on times, four times, has room for what instructions do not show.</summary>
    [Fact]
    public void Try_get_and_release_take_at_most_twice_the_instructions_of_dotnet()
    {
        const int few = 1000, many = 51_000;
        double pair = (double)(InstructionsOf(many) - InstructionsOf(few)) / (many - few);
        string baseline = Assert.Single(File.ReadLines(Path.Combine(Repository.Folder, "tests", "FastPlasma.Counted", "baseline.txt")), static l => l.StartsWith("get-hit ", StringComparison.Ordinal));
        double dotnet = double.Parse(baseline.Split(' ')[1], CultureInfo.InvariantCulture);
        Assert.True(pair > dotnet / 2 && pair <= 2 * dotnet, $"fp_try_get and fp_release take {pair} instructions, TryGet and Dispose {dotnet}.");
    }

    private long InstructionsOf(int pairs)
    {
        string counts = library.PathOf($"counts{pairs}");
        CLibrary.Run("valgrind", "--quiet", "--tool=callgrind", "--separate-threads=yes", $"--callgrind-out-file={counts}", library.Program("pairs"), pairs.ToString(CultureInfo.InvariantCulture));
        string totals = Assert.Single(File.ReadLines(counts + "-01"), static l => l.StartsWith("totals: ", StringComparison.Ordinal)); // The thread that calls.
        return long.Parse(totals.AsSpan("totals: ".Length), CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Benchmark_of_the_hot_calls_answers_each_line_and_finds_other_bytes_than_were_put()
    {
        string program = library.Build(Path.Combine(CLibrary.Clients, "bench", "hot_calls.c"));
        PlasmaStore store = Named(out string name);
        byte[] pattern = [.. Enumerable.Range(0, 1024).Select(static i => (byte)((i * 7) + (i >> 8)))];
        store.Put(ObjectId.FromName("hot"), pattern);
        store.Put(ObjectId.FromName("other"), pattern.AsSpan(0, 1023));
        string[] asked = ["take 1024 1 hot", "empty 0 10", "empty-pair 0 10", "get-release 0 10", "contains 0 10", "put 1024 10", "get 1024 10", "delete 1024 10", "copy 1024 10", "give 4099 1 from-C"];
        string[] answers = Ask([.. asked, "exit"], "").TrimEnd().Split('\n');
        Assert.Equal(asked.Length, answers.Length);
        Assert.All(answers, static answer => Assert.StartsWith("{\"Operations\": 1", answer, StringComparison.Ordinal));
        using (PlasmaObject given = store.Get(ObjectId.FromName("from-C"), TimeSpan.Zero))
            Assert.Equal(4099, given.Length);
        Assert.StartsWith("{\"Error\": \"other: it has another size", Ask(["take 1024 1 other"], " || test $? = 1"), StringComparison.Ordinal);

        string Ask(string[] lines, string after) =>
            CLibrary.Run("sh", "-c", $"printf '%s\\n' {string.Join(' ', lines.Select(static line => $"'{line}'"))} | \"$0\" \"$1\" /dev/shm{after}", program, name);
    }

    [Fact]
    public void Package_is_found_by_pkg_config_and_cmake_wherever_it_is_unpacked()
    {
        string folder = NewFolder();
        string package = CLibrary.Run(Path.Combine(Repository.Folder, "eng", "package"), "--published", folder).Trim();
        Assert.Equal(Path.Combine(folder, "fastplasma-0.1.0-linux-x64.tar.gz"), package);
        string again = CLibrary.Run(Path.Combine(Repository.Folder, "eng", "package"), "--published", Path.Combine(folder, "again")).Trim();
        Assert.Equal(File.ReadAllBytes(package), File.ReadAllBytes(again));
        string elsewhere = Path.Combine(folder, "some where");
        Directory.CreateDirectory(elsewhere);
        CLibrary.Run("tar", "xf", package, "-C", elsewhere);
        string root = Path.Combine(elsewhere, "fastplasma-0.1.0-linux-x64"), examples = Path.Combine(root, "share", "doc", "fastplasma", "examples");
        Assert.Equal("libfastplasma.so.0", new FileInfo(Path.Combine(root, "lib", "libfastplasma.so")).LinkTarget);
        Assert.Equal("libfastplasma.so.0.1.0", new FileInfo(Path.Combine(root, "lib", "libfastplasma.so.0")).LinkTarget);
        Assert.True(File.Exists(Path.Combine(root, "share", "doc", "fastplasma", "dotnet-LICENSE.TXT"))); // The .NET runtime is inside.
        PlasmaStore store = Named(out string name);
        store.Put(Id("from-elsewhere"), Pattern.Of(7, 3000));

        // pkg-config quotes what the shell would take apart.
        var paths = new Dictionary<string, string> { ["PKG_CONFIG_PATH"] = Path.Combine(root, "lib", "pkgconfig"), ["LD_LIBRARY_PATH"] = Path.Combine(root, "lib"), ["HERE"] = examples, ["OUT"] = folder };
        Assert.Equal("0.1.0", CLibrary.Run(paths, "pkg-config", "--modversion", "fastplasma").Trim());
        CLibrary.Run(paths, "sh", "-c", "eval cc -Wall -Werror '\"$HERE/example.c\"' $(pkg-config --cflags --libs fastplasma) -o '\"$OUT/by-pkg-config\"'");
        AssertPrinted(CLibrary.Run(paths, Path.Combine(folder, "by-pkg-config"), name), Pattern.Of(7, 3000));

        string build = Path.Combine(folder, "build");
        CLibrary.Run("cmake", "-S", examples, "-B", build, $"-DCMAKE_PREFIX_PATH={root}");
        CLibrary.Run("cmake", "--build", build);
        AssertPrinted(CLibrary.Run(Path.Combine(build, "example-c"), name), Pattern.Of(7, 3000));
        AssertPrinted(CLibrary.Run(Path.Combine(build, "example-cpp"), name), Pattern.Of(7, 3000));
        string needed = CLibrary.Run("objdump", "-p", Path.Combine(build, "example-c"));
        Assert.Contains("libfastplasma.so.0\n", needed, StringComparison.Ordinal);
        Assert.DoesNotContain("libfastplasma.so\n", needed, StringComparison.Ordinal);
    }

    private static void AssertPrinted(string printed, byte[] payload)
    {
        long sum = payload.Sum(static b => (long)b);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"from-elsewhere: {payload.Length} bytes, sum {sum}\n"), printed, StringComparison.Ordinal);
        Assert.Contains("copied by gets: 0 bytes", printed, StringComparison.Ordinal);
    }
}
