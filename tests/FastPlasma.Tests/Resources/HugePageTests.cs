using System.Text.Json;
using FastPlasma.Allocator;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>What the store reports of huge pages is what the kernel gave, on every kind of memory. One class, so that the tests with the machine's page pool run one after the other.</summary>
public sealed unsafe class HugePageTests
{
    private const string PoolFile = "/proc/sys/vm/nr_hugepages", FreeFile = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    private const int ObjectBytes = 8 << 20;

    [Theory]
    [InlineData("advise")]
    [InlineData("within_size")]
    [InlineData("always")]
    [InlineData("never")]
    public void Auto_on_a_tmpfs_gives_and_reports_what_the_kernel_gives(string huge)
    {
        using var mount = new TempMount("tmpfs", $"size=64m,huge={huge}");
        CheckAuto(mount.Path);
    }

    [Fact]
    public void Auto_on_dev_shm_gives_and_reports_what_the_kernel_gives() => CheckAuto(null);

    [Fact]
    public void Never_reports_no_huge_pages()
    {
        using var scratch = new ScratchStore(16 << 20, options: new PlasmaOptions { HugePages = HugePages.Never });
        Fill(scratch.Store, ObjectId.NewRandom());
        Assert.Equal(0, scratch.Store.Stats().HugePageBytes);
        Assert.Equal(HugePages.Never, scratch.Store.Stats().HugePagesAsked);
    }

    [Fact]
    public void Require_on_dev_shm_gives_huge_pages_or_an_error_that_says_why_not()
    {
        bool possible = KernelGives(SharedFile.SharedMemoryDirectory, collapse: true);
        using var scratch = new ScratchStore(16 << 20, options: new PlasmaOptions { HugePages = HugePages.Require });
        if (possible)
        {
            Fill(scratch.Store, ObjectId.NewRandom());
            Assert.True(scratch.Store.Stats().HugePageBytes >= ObjectBytes);
            return;
        }
        StoreFullException e = Assert.Throws<StoreFullException>(() => scratch.Store.Create(ObjectId.NewRandom(), ObjectBytes));
        Assert.Contains("2 MiB pages for", e.Report.ReservationError, StringComparison.Ordinal);
        Assert.Equal(0, scratch.Store.Stats().BackedBytes);
    }

    [Fact]
    public void Require_on_hugetlbfs_takes_pages_of_the_pool_and_fails_clearly_when_it_is_empty()
    {
        using var pool = new PagePool(16);
        using var mount = new TempMount("hugetlbfs", "pagesize=2M");
        using var scratch = new ScratchStore(64 << 20, mount.Path, new PlasmaOptions { HugePages = HugePages.Require });
        PlasmaStore store = scratch.Store;
        ObjectId id = ObjectId.NewRandom();
        Fill(store, id);
        StoreStats stats = store.Stats();
        Assert.True(stats.HugePageBytes >= ObjectBytes, $"{stats.HugePageBytes} bytes in huge pages");
        Assert.Equal(ObjectBytes, stats.BackedBytes);

        // The store may take 64 MiB, the pool has 32.
        StoreFullException e = Assert.Throws<StoreFullException>(() => store.Create(ObjectId.NewRandom(), 48 << 20));
        Assert.Contains("ENOSPC", e.Report.ReservationError, StringComparison.Ordinal);
        Assert.Contains(mount.Path, e.Message, StringComparison.Ordinal);
        Fill(store, ObjectId.NewRandom());

        // Content is shared, deletes give pages back to the pool.
        using (PlasmaStore other = PlasmaStore.Open(scratch.Name, new PlasmaOptions { Access = StoreAccess.ReadOnly }))
        {
            Assert.True(other.TryGet(id, out PlasmaObject found));
            using (found)
                Assert.Equal(42, found.GetSpan(0, 1)[0]);
        }
        int free = PagePool.Free;
        store.Delete(id);
        Assert.True(store.Trim() >= ObjectBytes);
        Assert.True(PagePool.Free >= free + ObjectBytes / ChunkMap.ChunkBytes);
    }

    [Fact]
    public void Destroying_a_store_by_name_alone_gives_its_huge_pages_back()
    {
        using var pool = new PagePool(4);
        using var mount = new TempMount("hugetlbfs", "pagesize=2M");
        string name = ScratchStore.NewName();
        try
        {
            using (PlasmaStore store = PlasmaStore.Create(name, new PlasmaOptions { CapacityBytes = 8 << 20, Directory = mount.Path, HugePages = HugePages.Require }))
                store.Put(ObjectId.NewRandom(), new byte[1000]);
            Assert.Single(Directory.GetFiles(mount.Path));
            Assert.True(PlasmaStore.Destroy(name));
            Assert.Empty(Directory.GetFiles(mount.Path));
            Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{name}*"));
        }
        finally
        {
            PlasmaStore.Destroy(name, mount.Path);
        }
    }

    [Fact]
    public void A_view_of_hugetlbfs_needs_no_page_until_one_is_reserved()
    {
        using var pool = new PagePool(2);
        using var mount = new TempMount("hugetlbfs", "pagesize=2M");
        using var scratch = new ScratchStore(1 << 30, mount.Path, new PlasmaOptions { HugePages = HugePages.Require, ObjectCountMax = 64 });
        scratch.Store.Put(ObjectId.NewRandom(), new byte[1 << 20]);
        Assert.Equal(PlasmaStatus.StoreFull, scratch.Store.TryPut(ObjectId.NewRandom(), new byte[6 << 20]));
    }

    private static void CheckAuto(string? directory)
    {
        bool possible = KernelGives(directory ?? SharedFile.SharedMemoryDirectory, collapse: false);
        using var scratch = new ScratchStore(32 << 20, directory); // It is the default.
        Fill(scratch.Store, ObjectId.NewRandom());
        StoreStats stats = scratch.Store.Stats();
        Assert.Equal(HugePages.Auto, stats.HugePagesAsked);
        Assert.Equal(possible ? ObjectBytes : 0, stats.HugePageBytes);

        // The second view shows the same pages and does not count again; another process that looks sees them too.
        foreach (ObjectInfo info in scratch.Store.List())
        {
            Assert.True(scratch.Store.TryGet(info.Id, out PlasmaObject found));
            using (found)
                Assert.Equal(-1, found.GetSpan(0, ObjectBytes).IndexOfAnyExcept((byte)42));
        }
        Assert.Equal(possible ? ObjectBytes : 0, scratch.Store.Stats().HugePageBytes);
        string[] where = directory is null ? [] : ["-d", directory];
        (int exitCode, string output, string error) = CliProcess.Run(null, ["stat", "--json", "--store", scratch.Name, .. where]);
        Assert.True(exitCode == 0, error);
        Assert.Equal(possible ? ObjectBytes : 0, JsonDocument.Parse(output).RootElement.GetProperty("stats").GetProperty("hugePageBytes").GetInt64());
    }

    private static void Fill(PlasmaStore store, ObjectId id)
    {
        using ObjectWriter writer = store.Create(id, ObjectBytes);
        writer.GetSpan(0, ObjectBytes).Fill(42);
        writer.Seal();
    }

    /// <summary>Whether 2 MiB of a file in this folder become a huge page by faults of a mapping that asks for it, or by a collapse: asked apart from the store's code.</summary>
    private static bool KernelGives(string directory, bool collapse)
    {
        const int Bytes = 2 << 20;
        string name = $"fptest-thp-{Guid.NewGuid():N}";
        using SharedFile file = SharedFile.Create(directory, name, 0x180);
        File.Delete(file.Path);
        file.SetSize(Bytes);
        using MappedView view = MappedView.Map(file, 0, Bytes, writable: true, hugeAligned: true);
        _ = Libc.madvise((nint)view.Pointer, Bytes, Libc.MADV_HUGEPAGE);
        new Span<byte>(view.Pointer, Bytes).Fill(1);
        if (collapse)
            _ = Libc.madvise((nint)view.Pointer, Bytes, Libc.MADV_COLLAPSE);
        bool ours = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (line.Contains(name, StringComparison.Ordinal))
                ours = true;
            else if (ours && line.StartsWith("ShmemPmdMapped:", StringComparison.Ordinal))
                return !line.Contains(" 0 kB", StringComparison.Ordinal);
        }
        return false;
    }

    /// <summary>Huge pages in the machine's pool while a test runs; the number of before at the end.</summary>
    private sealed class PagePool : IDisposable
    {
        private readonly string _before;

        internal PagePool(int pages)
        {
            Assert.True(File.Exists(PoolFile) && File.Exists(FreeFile), $"{PoolFile} is missing: these tests need a kernel with CONFIG_HUGETLBFS.");
            _before = File.ReadAllText(PoolFile).Trim();
            int used = int.Parse(_before) - Free;
            try
            {
                File.WriteAllText(PoolFile, $"{used + pages}");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Assert.Fail($"{PoolFile} cannot be written ({e.Message}). These tests need the right to set the number of huge pages: run them as root on a machine (or in a container with /proc/sys writable: --privileged).");
            }
            if (Free >= pages)
                return;
            int got = Free;
            Dispose();
            Assert.Fail($"the kernel found only {got} of {pages} huge pages of 2 MiB; free some memory for this test.");
        }

        internal static int Free => int.Parse(File.ReadAllText(FreeFile));

        public void Dispose() => File.WriteAllText(PoolFile, _before);
    }
}
