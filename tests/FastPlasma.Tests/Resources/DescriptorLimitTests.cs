using System.Runtime.InteropServices;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>Tests that take something from the whole process run alone.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneInTheProcess
{
    internal const string Name = "alone in the process";
}

/// <summary>A process without free descriptors gets an error with EMFILE, at whichever file it happens, and everything works again once there are some.</summary>
[Collection(AloneInTheProcess.Name)]
public sealed partial class DescriptorLimitTests
{
    private const int DescriptorLimit = 7, FreeMax = 16;

    // A thread needs a descriptor too while it is started; the one that maintains stores is, unless another store of this process is open or was a moment ago.
    private const string Refusal = "EMFILE|Too many open files|refuses a thread";

    [Fact]
    public void Creating_with_too_few_descriptors_says_EMFILE_and_leaves_nothing()
    {
        (int refused, int created) = ForEachCount(free =>
        {
            string name = ScratchStore.NewName();
            try
            {
                Exception? error = WithFreeDescriptors(free, () => PlasmaStore.Create(name, new PlasmaOptions { CapacityBytes = 2 << 20 }).Dispose());
                if (error is null)
                    return true;
                Assert.Matches(Refusal, error.Message);
                Assert.Empty(Directory.GetFiles(SharedFile.SharedMemoryDirectory, $"fastplasma.{name}*"));
                return false;
            }
            finally
            {
                PlasmaStore.Destroy(name);
            }
        });
        Assert.True(refused >= 5 && created > 0, $"{refused} refused, {created} created");
    }

    [Fact]
    public void Opening_with_too_few_descriptors_says_EMFILE_and_harms_nothing()
    {
        using var scratch = new ScratchStore();
        (int refused, int opened) = ForEachCount(free =>
        {
            Exception? error = WithFreeDescriptors(free, () => PlasmaStore.Open(scratch.Name).Dispose());
            Assert.Matches(Refusal, error?.Message ?? "EMFILE");
            return error is null;
        });
        Assert.True(refused >= 5 && opened > 0, $"{refused} refused, {opened} opened");
        Assert.Single(scratch.Store.Stats().Participants);
        PutAndGet(scratch.Name);
    }

    [Fact]
    public void Reading_and_writing_objects_needs_no_descriptor()
    {
        LoadTheCode();
        using var scratch = new ScratchStore();
        ObjectId id = ObjectId.NewRandom();
        Assert.Null(WithFreeDescriptors(0, () =>
        {
            scratch.Store.Put(id, new byte[3 << 20]);
            if (scratch.Store.TryGet(id, out PlasmaObject found))
                found.Dispose();
            scratch.Store.Delete(id);
        }));
        Assert.Equal(0, scratch.Store.Stats().SealedCount);
    }

    private static (int No, int Yes) ForEachCount(Func<int, bool> attempt)
    {
        LoadTheCode();
        int no = 0, yes = 0;
        for (int free = 0; free <= FreeMax; free++)
        {
            if (attempt(free))
                yes++;
            else
                no++;
        }
        return (no, yes);
    }

    /// <summary>Assemblies are loaded at first use, which takes descriptors, and a load that failed once fails for ever.</summary>
    private static void LoadTheCode()
    {
        using (var scratch = new ScratchStore())
        {
            PutAndGet(scratch.Name);
            scratch.Store.Stats();
            scratch.Store.Delete(ObjectId.NewRandom());
        }
        Assert.Throws<OsException>(() => SharedFile.Open("/nowhere", "x", writable: false));
        Assert.Throws<IOException>(() => WithFreeDescriptors(0, () => throw new IOException()) is { } e ? throw e : 0);
        Assert.Matches("a|b", "a");
    }

    private static void PutAndGet(string name)
    {
        using PlasmaStore store = PlasmaStore.Open(name);
        ObjectId id = ObjectId.NewRandom();
        store.Put(id, [1, 2, 3]);
        Assert.True(store.TryGet(id, out PlasmaObject found));
        found.Dispose();
    }

    /// <summary>Runs the body while the process can open only <paramref name="free"/> more descriptors. Returns what it threw.</summary>
    private static Exception? WithFreeDescriptors(int free, Action body)
    {
        var ballast = new List<SharedFile>();
        Assert.Equal(0, getrlimit(DescriptorLimit, out Limit before));
        try
        {
            // The limit is on the number: from the highest in use on, every number below it is taken.
            ulong highest = Directory.GetFileSystemEntries("/proc/self/fd").Max(static path => ulong.Parse(Path.GetFileName(path)));
            var limit = new Limit { Soft = highest + FreeMax + 8, Hard = before.Hard };
            Assert.Equal(0, setrlimit(DescriptorLimit, in limit));
            try
            {
                while (true) // Ends with the limit.
                    ballast.Add(SharedFile.TryOpen("/dev", "null", writable: false)!);
            }
            catch (OsException e) when (e.ErrorNumber == 24)
            {
                for (int i = 0; i < free; i++)
                {
                    ballast[^1].Dispose();
                    ballast.RemoveAt(ballast.Count - 1);
                }
            }
            try
            {
                body();
                return null;
            }
            catch (Exception e) when (e is IOException or OutOfMemoryException)
            {
                return e;
            }
        }
        finally
        {
            setrlimit(DescriptorLimit, in before);
            ballast.ForEach(static file => file.Dispose());
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, out Limit limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, in Limit limit);
}
