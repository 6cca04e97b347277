using FastPlasma.Native;

namespace FastPlasma.Tests.Interop;

/// <summary>The system calls that the library makes by itself, because no helper library can be found from a foreign process.</summary>
public sealed class InteropSystemCallTests : StoreTest
{
    [Fact]
    public void Facts_of_a_file_are_those_that_the_runtime_sees()
    {
        string folder = NewFolder();
        using SharedFile file = SharedFile.Create(folder, "file", 0x180);
        file.SetSize(100_000);
        file.Reserve(0, 100_000);
        file.SetMode(0x1A4);
        FileFacts facts = file.Facts();
        var info = new FileInfo(Path.Combine(folder, "file"));
        Assert.Equal((true, info.Length, (uint)info.UnixFileMode, 1ul), (facts.IsRegular, facts.SizeBytes, facts.Mode, facts.LinkCount));
        Assert.Equal((OsIdentity.EffectiveUid, 100_000L), (facts.OwnerUid, facts.SizeBytes));
        Assert.InRange(facts.AllocatedBytes, 100_000, 200_000);
        Assert.True(SharedFile.TryLink(folder, "file", "second"));
        Assert.False(SharedFile.TryLink(folder, "file", "second"));
        Assert.Equal(2ul, file.Facts().LinkCount);
        Assert.True(SharedFile.TryUnlink(folder, "second"));
        Assert.False(SharedFile.TryUnlink(folder, "second"));
        Assert.Equal(1ul, file.Facts().LinkCount);
    }

    [Fact]
    public void Owner_of_a_link_is_its_own_and_of_nothing_is_null()
    {
        string folder = NewFolder(), link = Path.Combine(folder, "link");
        File.CreateSymbolicLink(link, "/nowhere");
        Assert.Equal(OsIdentity.EffectiveUid, SharedFile.OwnerOf(link));
        Assert.Null(SharedFile.OwnerOf(Path.Combine(folder, "nothing")));
    }

    [Fact]
    public void Names_of_users_and_groups_are_looked_up_and_missing_ones_are_said()
    {
        Assert.Equal((0u, 0u, 4711u), (OsIdentity.UidOf("root"), OsIdentity.GidOf("root"), OsIdentity.UidOf("4711")));
        Assert.Contains("no such user here", Assert.Throws<ArgumentException>(static () => OsIdentity.UidOf("no such user here")).Message, StringComparison.Ordinal);
        Assert.Contains("no such group here", Assert.Throws<ArgumentException>(static () => OsIdentity.GidOf("no such group here")).Message, StringComparison.Ordinal);
        Assert.Equal(Environment.ProcessId, OsIdentity.ProcessId);
    }

    [Theory]
    [InlineData(Libc.ENOSPC, "ENOSPC (No space left on device)")]
    [InlineData(Libc.EACCES, "EACCES (Permission denied)")]
    [InlineData(Libc.EOPNOTSUPP, "EOPNOTSUPP (Operation not supported)")]
    [InlineData(4711, "errno 4711")]
    public void Error_numbers_are_shown_with_name_and_text(int errno, string text) => Assert.Equal(text, OsException.Describe(errno));
}
