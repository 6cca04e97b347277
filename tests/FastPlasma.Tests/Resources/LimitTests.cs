using System.Globalization;
using System.Runtime.InteropServices;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>Limits that the system sets to a process, and those that the store sets: an error that names them, and nothing left behind.</summary>
public sealed partial class LimitTests : StoreTest
{
    private const int FileSize = 1, LockedMemory = 8, AddressSpace = 9;

    [Fact]
    public void File_size_limit_is_an_error_and_not_a_signal()
    {
        string name = NewName();
        WorkerProcess worker = StartWorker(null, uid: null);
        SetLimit(worker, FileSize, 1 << 20);
        string refusal = Assert.Throws<WorkerException>(() => worker.Call($"make {name}")).Message;
        Assert.Contains("EFBIG", refusal, StringComparison.Ordinal);
        Assert.Contains("RLIMIT_FSIZE is 1048576", refusal, StringComparison.Ordinal);
        Assert.Empty(Files(name));

        // Who attaches makes no file longer, and backs memory all the same.
        PlasmaStore.Create(name, Small).Dispose();
        worker.Call($"open {name}");
        Assert.Equal("Ok", worker.Call("put a 5000000 1"));
    }

    [Fact]
    public void Limit_of_locked_memory_does_not_matter()
    {
        string name = NewName();
        WorkerProcess worker = StartWorker(null, uid: null);
        SetLimit(worker, LockedMemory, 0);
        worker.Call($"make {name}");
        Assert.Equal("Ok", worker.Call("put a 5000000 1"));
        Assert.Equal("Ok " + WorkerProcess.Describe(Pattern.Of(1, 5_000_000)), worker.Call("get a 1000"));
    }

    [Fact]
    public void At_every_limit_of_address_space_an_attach_works_or_is_refused_without_a_trace()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(null, uid: null);
        worker.Call($"open {name}"); // Loads the code.
        worker.Call("put a 1000 1");
        worker.Call("close");
        worker.Call($"open-many {name} 1");
        worker.Call("close-one");
        SetLimit(worker, AddressSpace, (ulong)AddressSpaceOf(worker.Id));
        Assert.Contains("ENOMEM", worker.Call($"open-many {name} 1"), StringComparison.Ordinal);
        SetLimit(worker, AddressSpace, ulong.MaxValue);
        int descriptors = int.Parse(worker.Call("descriptors"), CultureInfo.InvariantCulture), refused = 0, opened = 0;
        for (long megabytes = 0; megabytes < 400; megabytes += 8)
        {
            long before = AddressSpaceOf(worker.Id);
            SetLimit(worker, AddressSpace, (ulong)(before + (megabytes << 20)));
            string answer = worker.Call($"open-many {name} 1");
            SetLimit(worker, AddressSpace, ulong.MaxValue);
            if (answer == "1")
            {
                opened++;
                worker.Call("close-one");
            }
            else
            {
                refused++;
                Assert.Contains("ENOMEM", answer, StringComparison.Ordinal);
            }
            Assert.Equal(descriptors, int.Parse(worker.Call("descriptors"), CultureInfo.InvariantCulture));
            Assert.InRange(AddressSpaceOf(worker.Id) - before, long.MinValue, 4 << 20); // A heap may grow; a view of the store would be more.
            Assert.Single(store.Stats().Participants);
        }
        Assert.True(refused > 5 && opened > 5, $"{refused} refused, {opened} opened: the limits do not cover both");
    }

    [Fact]
    public void Participant_after_the_last_place_is_refused_and_a_place_that_is_freed_serves_again()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess first = StartWorker(null, uid: null), second = StartWorker(null, uid: null);
        Assert.Equal("200", first.Call($"open-many {name} 200"));
        string answer = second.Call($"open-many {name} 56");
        Assert.StartsWith("55 PlasmaException All 256 participants of domain 0 are taken", answer, StringComparison.Ordinal);
        Assert.Equal(256, store.Stats().Participants.Count);
        PlasmaException refusal = Assert.Throws<PlasmaException>(() => PlasmaStore.Open(name));
        Assert.Equal(PlasmaStatus.TooManyPins, refusal.Status);
        Assert.Contains(name, refusal.Message, StringComparison.Ordinal);

        first.Call("close-one"); // A place that was left.
        Open(name).Put(Id("a"), [1]);
        Assert.StartsWith("55 PlasmaException", second.Call($"open-many {name} 1"), StringComparison.Ordinal);
        first.Kill(); // Places of the dead.
        Assert.Equal("155", second.Call($"open-many {name} 100"));
        Eventually.True(() => store.Maintain() >= 0 && store.Stats().Participants.Count == 157, "the rest of the dead is recovered");
    }

    [Fact]
    public void Reader_after_the_last_place_of_its_user_is_refused_and_writers_are_not()
    {
        PlasmaStore store = Named(out string name);
        store.AdmitReader("65534");
        store.Put(Id("a"), Pattern.Of(1, 1000));
        WorkerProcess first = StartWorker(PublicWorkerFolder(), 65534), second = StartWorker(PublicWorkerFolder(), 65534);
        Assert.Equal("60", first.Call($"open-many {name} 60 ro"));
        Assert.StartsWith("4 PlasmaException All 64 participants of domain 1 are taken", second.Call($"open-many {name} 5 ro"), StringComparison.Ordinal);
        Assert.Equal(65, store.Stats().Participants.Count(static p => p.Alive));
        Open(name).Put(Id("b"), [1]);
        first.Call("close-one");
        Assert.Equal("5", second.Call($"open-many {name} 1 ro"));
        first.Kill();
        Assert.Equal("64", second.Call($"open-many {name} 59 ro"));
    }

    private static string[] Files(string name) => Directory.GetFiles("/dev/shm", $"fastplasma.{name}*");

    private static long AddressSpaceOf(int process) => long.Parse(File.ReadAllText($"/proc/{process}/statm").Split(' ')[0], CultureInfo.InvariantCulture) * 4096;

    private static void SetLimit(WorkerProcess worker, int resource, ulong soft)
    {
        ulong[] limit = [soft, ulong.MaxValue];
        ulong[] before = [0, 0];
        Assert.Equal(0, prlimit(worker.Id, resource, null, before));
        limit[1] = before[1];
        if (prlimit(worker.Id, resource, limit, null) != 0)
            Assert.Fail($"prlimit {resource} {soft}: {OsException.Describe(Marshal.GetLastPInvokeError())}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prlimit(int process, int resource, [In] ulong[]? to, [Out] ulong[]? from);
}
