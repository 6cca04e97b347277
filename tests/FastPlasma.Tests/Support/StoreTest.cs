using System.Globalization;
using Mono.Unix.Native;
using Xunit.v3;

[assembly: AssemblyFixture(typeof(FastPlasma.Tests.Leftovers))]

namespace FastPlasma.Tests;

/// <summary>What a test of stores needs and must leave as it found it: stores, workers, names. Every store that is still open at the end must pass its own verification.</summary>
public abstract class StoreTest : IDisposable
{
    private static int s_names;

    private readonly List<PlasmaStore> _stores = [];
    private readonly List<WorkerProcess> _workers = [];
    private readonly List<string> _names = [];
    private readonly List<string> _folders = [];

    /// <summary>Whether stores that are open at the end are verified; tests that break one on purpose say false.</summary>
    private protected bool VerifyAtEnd { get; set; } = true;

    private protected static PlasmaOptions Small { get; } = new() { CapacityBytes = 16 << 20, ObjectCountMax = 1024 };

    private protected static TimeSpan Ms(int ms) => TimeSpan.FromMilliseconds(ms);

    private protected static ObjectId Id(string name) => ObjectId.FromName(name);

    private protected static ObjectOptions Evictable => new() { Retention = Retention.Evictable };

    private protected static void Same(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual) => Assert.True(expected.SequenceEqual(actual), $"{expected.Length} bytes were expected, {actual.Length} read, they differ.");

    private protected string NewName()
    {
        string name = $"{Leftovers.Prefix}{Interlocked.Increment(ref s_names).ToString(CultureInfo.InvariantCulture)}";
        _names.Add(name);
        return name;
    }

    /// <summary>An empty folder that is removed at the end.</summary>
    private protected string NewFolder()
    {
        string folder = Directory.CreateTempSubdirectory(Leftovers.Prefix).FullName;
        _folders.Add(folder);
        return folder;
    }

    private protected PlasmaStore Anonymous(PlasmaOptions? options = null) => Keep(PlasmaStore.CreateAnonymous(options ?? Small));

    private protected PlasmaStore Named(out string name, PlasmaOptions? options = null) => Keep(PlasmaStore.Create(name = NewName(), options ?? Small));

    private protected PlasmaStore Open(string name, StoreAccess access = StoreAccess.ReadWrite) => Keep(PlasmaStore.Open(name, Small with { Access = access }));

    private protected PlasmaStore Keep(PlasmaStore store)
    {
        _stores.Add(store);
        return store;
    }

    /// <summary>A worker that has the store open.</summary>
    private protected WorkerProcess StartWorker(string name, string options = "")
    {
        WorkerProcess worker = StartWorker(null, uid: null);
        worker.Call($"open {name} {options}");
        return worker;
    }

    private protected WorkerProcess StartWorker(string? folder, uint? uid, string[]? wrapper = null)
    {
        WorkerProcess worker = WorkerProcess.Start(folder, uid, wrapper);
        _workers.Add(worker);
        return worker;
    }

    /// <summary>A worker of another user.</summary>
    private protected WorkerProcess StartAs(uint uid) => StartWorker(PublicWorkerFolder(), uid);

    /// <summary>A copy of the worker where everybody can read it, wherever the build output lies.</summary>
    private protected string PublicWorkerFolder()
    {
        string folder = NewFolder();
        Assert.Equal(0, Syscall.chmod(folder, (FilePermissions)0x1ED));
        foreach (string source in Directory.EnumerateFileSystemEntries(WorkerProcess.Folder, "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(folder, Path.GetRelativePath(WorkerProcess.Folder, source));
            if (Directory.Exists(source))
                Directory.CreateDirectory(copy);
            else
                File.Copy(source, copy);
            Assert.Equal(0, Syscall.chmod(copy, (FilePermissions)0x1ED));
        }
        return folder;
    }

    public virtual void Dispose()
    {
        GC.SuppressFinalize(this);
        var problems = new List<string>();
        _workers.ForEach(worker => Do(problems, worker.Dispose));
        foreach (PlasmaStore store in _stores)
        {
            if (VerifyAtEnd && !store.IsClosing)
                Do(problems, () => problems.AddRange(store.Verify().Problems));
            Do(problems, store.Dispose);
        }
        foreach (string name in _names)
        {
            Do(problems, () => PlasmaStore.Destroy(name));
            foreach (string file in (string[])[.. Directory.GetFiles("/dev/shm", $"fastplasma.{name}"), .. Directory.GetFiles("/dev/shm", $"fastplasma.{name}.*")])
            {
                problems.Add($"{file} is left over.");
                Do(problems, () => File.Delete(file)); // Told once, by the test that left it.
            }
        }
        _folders.ForEach(folder => Do(problems, () => Directory.Delete(folder, recursive: true)));
        Assert.Empty(problems);
    }

    /// <summary>One step of the clean-up; a failure must not keep the others from being done.</summary>
    private static void Do(List<string> problems, Action step)
    {
        try
        {
            step();
        }
#pragma warning disable CA1031 // Reported with the rest.
        catch (Exception e)
#pragma warning restore CA1031
        {
            problems.Add(e.ToString());
        }
    }
}

/// <summary>After the last test: nothing with the prefix of this run is left in shared memory, and no worker lives.</summary>
public sealed class Leftovers : IDisposable
{
    internal static readonly string Prefix = string.Create(CultureInfo.InvariantCulture, $"t{Environment.ProcessId}-");

    public void Dispose()
    {
        List<string> left = DeleteStores(Prefix);
        left.AddRange(Directory.EnumerateFileSystemEntries(Path.GetTempPath(), $"{Prefix}*"));
        left.AddRange(Children().Select(static id => $"process {id}"));
        Assert.Empty(left);
    }

    /// <summary>Removes the files of all stores whose names begin so, and returns their paths.</summary>
    internal static List<string> DeleteStores(string prefix)
    {
        var files = Directory.EnumerateFiles("/dev/shm", $"fastplasma.{prefix}*").ToList();
        files.ForEach(File.Delete);
        return files;
    }

    private static List<string> Children() =>
        [.. Directory.EnumerateDirectories("/proc").Where(static p => int.TryParse(Path.GetFileName(p), CultureInfo.InvariantCulture, out _)).Where(IsWorkerOfOurs)];

    private static bool IsWorkerOfOurs(string folder)
    {
        try
        {
            string stat = File.ReadAllText(Path.Combine(folder, "stat"));
            return stat.Contains("(FastPlasma.", StringComparison.Ordinal) && stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1] == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return false; // It has ended meanwhile.
        }
    }
}
