using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>What <see cref="CgroupMemory"/> makes of the files of both control-group versions.</summary>
public sealed class CgroupMemoryTests : IDisposable
{
    private readonly ScratchDirectory _root = new();

    public void Dispose() => _root.Dispose();

    [Fact]
    public void Without_groups_there_is_no_limit()
    {
        Assert.Equal(long.MaxValue, Headroom("0::/a\n"));
        Assert.Empty(CgroupMemory.FindGroups(Path.Combine(_root.Path, "absent"), _root.Path));
    }

    [Fact]
    public void The_tightest_group_on_the_way_up_decides()
    {
        Write("memory.max", "max");
        Write("a/memory.max", "1000");
        Write("a/memory.current", "900");
        Write("a/b/memory.max", "5000");
        Write("a/b/memory.current", "100");
        Assert.Equal(100, Headroom("0::/a/b\n"));
        Assert.Equal(long.MaxValue, Headroom("0::/\n"));
    }

    [Fact]
    public void A_container_finds_its_group_at_the_root_of_the_mount()
    {
        Write("memory.max", "3000");
        Write("memory.current", "1000");
        Assert.Equal(2000, Headroom("0::/outside/path/of/the/host\n"));
    }

    [Fact]
    public void Reclaimable_file_cache_counts_as_free()
    {
        Write("memory.max", "3000");
        Write("memory.current", "2500");
        Write("memory.stat", "anon 1\ninactive_file_not 9999\ninactive_file 700\nactive_file 5\n");
        Assert.Equal(1200, Headroom("0::/\n"));
    }

    [Fact]
    public void More_used_than_allowed_is_no_headroom()
    {
        Write("memory.max", "3000");
        Write("memory.current", "5000");
        Assert.Equal(0, Headroom("0::/\n"));
    }

    [Fact]
    public void Version_1_is_read_from_its_memory_controller()
    {
        Write("memory/x/memory.limit_in_bytes", "4096");
        Write("memory/x/memory.usage_in_bytes", "96");
        Write("memory/memory.limit_in_bytes", "9223372036854771712");
        Write("memory/memory.usage_in_bytes", "1");
        Assert.Equal(4000, Headroom("11:cpu,cpuacct:/x\n5:memory:/x\n1:name=systemd:/x\n"));
    }

    [Fact]
    public void A_limit_that_cannot_be_read_is_none()
    {
        Write("memory.max", "lots");
        Write("memory.current", "1");
        Assert.Equal(long.MaxValue, Headroom("0::/\nnonsense\n"));
    }

    private long Headroom(string membership)
    {
        Write("membership", membership);
        return CgroupMemory.HeadroomBytes(CgroupMemory.FindGroups(Path.Combine(_root.Path, "membership"), _root.Path));
    }

    private void Write(string file, string content)
    {
        string path = Path.Combine(_root.Path, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
    }
}
