using System.Diagnostics;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>Promises about readers of another user. Only root can act as another user, so these tests need root.</summary>
public sealed class RightsTests : StoreTest
{
    private const uint Nobody = 65534, Daemon = 1;

    private static bool CanActAsNobody
    {
        get
        {
            if (Syscall.geteuid() == 0)
                return true;
            Assert.Fail("Only root can act as another user: run the tests as root.");
            return false;
        }
    }

    private static int ModeOf(string file)
    {
        Assert.Equal(0, Syscall.stat(file, out Stat stat));
        return (int)(stat.st_mode & FilePermissions.ALLPERMS);
    }

    private WorkerProcess StartAsNobody() => StartAs(Nobody);

    [Fact]
    public void User_that_is_not_admitted_is_refused_and_told_so()
    {
        if (!CanActAsNobody)
            return;
        Named(out string name);
        WorkerProcess worker = StartAsNobody();
        foreach (string access in (string[])["", "ro"])
        {
            string message = Assert.Throws<WorkerException>(() => worker.Call($"open {name} {access}")).Message;
            Assert.Contains("UnauthorizedAccessException", message, StringComparison.Ordinal);
            Assert.Contains("neither a writer of the store nor admitted as reader", message, StringComparison.Ordinal);
        }
        Assert.Equal("", worker.Call($"writable {name}"));
    }

    [Fact]
    public void Admitted_user_reads_and_waits_and_holds_nothing_writable_of_payload_or_metadata()
    {
        if (!CanActAsNobody)
            return;
        PlasmaStore store = Named(out string name);
        store.AdmitReader("65534");
        store.AdmitReader("65534"); // Again changes nothing.
        store.Put(Id("a"), Pattern.Of(1, 100_000));
        WorkerProcess worker = StartAsNobody();
        string refusal = Assert.Throws<WorkerException>(() => worker.Call($"open {name}")).Message;
        Assert.Contains("reader only", refusal, StringComparison.Ordinal);
        worker.Call($"open {name} ro");
        Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(1, 100_000))}", worker.Call("get a 0"));

        worker.Call("bg g get late 25000");
        store.Put(Id("late"), Pattern.Of(2, 10));
        Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(2, 10))}", worker.Call("join g"));

        string[] maps = worker.Call("maps").Split(';');
        Assert.Contains($"r--s fastplasma.{name}", maps);
        Assert.Contains(maps, static m => m.StartsWith("r--s", StringComparison.Ordinal) && m.EndsWith(".data", StringComparison.Ordinal));
        Assert.All(maps.Where(static m => m[1] == 'w'), static m => Assert.EndsWith(".pins.65534", m, StringComparison.Ordinal));
        string[] writable = worker.Call($"writable {name}").Split(';');
        Assert.Equal(2, writable.Length);
        Assert.All(writable, static f => Assert.EndsWith(".65534", f, StringComparison.Ordinal));
        Assert.Contains("InvalidOperationException", Assert.Throws<WorkerException>(() => worker.Call("fault")).Message, StringComparison.Ordinal);
        ParticipantInfo reader = store.Stats().Participants.Single(static p => p.Uid == Nobody);
        Assert.Equal((worker.Id, StoreAccess.ReadOnly), (reader.ProcessId, reader.Access));
        Assert.Equal(2, store.Stats().Store.Gets);
    }

    [Fact]
    public void Members_of_the_stores_group_are_writers()
    {
        if (!CanActAsNobody)
            return;
        PlasmaStore store = Named(out string name, Small with { Mode = (UnixFileMode)0x1B0, Group = "65534" });
        WorkerProcess worker = StartAsNobody();
        worker.Call($"open {name}");
        Assert.Equal("Ok", worker.Call("put a 1000 4"));
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        Same(Pattern.Of(4, 1000), obj.Span);
        Assert.Equal("Ok", worker.Call("create w unfinished 10"));
        worker.Kill();
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("unfinished"), [1]));
    }

    [Fact]
    public void Files_of_a_store_have_the_rights_asked_for_whatever_the_mask()
    {
        FilePermissions mask = Syscall.umask(0);
        try
        {
            Named(out string name);
            Assert.All(Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}*"), static f => Assert.Equal(0x180, ModeOf(f)));
        }
        finally
        {
            Syscall.umask(mask);
        }
    }

    [Fact]
    public void Pins_of_an_admitted_user_count_until_it_releases_them_or_dies()
    {
        if (!CanActAsNobody)
            return;
        PlasmaStore store = Named(out string name);
        store.AdmitReader("65534");
        store.Put(Id("a"), Pattern.Of(1, 12 << 20), Evictable);
        WorkerProcess worker = StartAsNobody();
        worker.Call($"open {name} ro");
        worker.Call("hold h a 0");
        Assert.Equal(worker.Id, store.List().Single().Holders.Single().ProcessId);
        Assert.Equal(0, store.Evict(1));
        store.Delete(Id("a"));
        Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("b"), new byte[8 << 20]));
        Assert.Equal(WorkerProcess.Describe(Pattern.Of(1, 12 << 20)), worker.Call("read h"));
        Eventually.Run putter = Eventually.Start(() => store.Put(Id("b"), new byte[8 << 20], new ObjectOptions { Timeout = Eventually.Patience }));
        worker.Call("release h");
        putter.Join();

        worker.Call("hold h2 b 0");
        store.Delete(Id("b"));
        Assert.Equal(1, store.Stats().CondemnedCount);
        worker.Kill();
        Eventually.True(() => store.Stats() is { CondemnedCount: 0, Participants.Count: 1 }, "the dead reader is recovered");
    }

    [Fact]
    public void Pins_file_that_its_user_damages_harms_nobody()
    {
        if (!CanActAsNobody)
            return;
        PlasmaStore store = Named(out string name);
        store.AdmitReader("65534");
        WorkerProcess worker = StartAsNobody();
        worker.Call($"open {name} ro");
        store.Put(Id("a"), Pattern.Of(1, 1000));
        worker.Call("hold h a 0");
        string pins = Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*.pins.65534").Single();
        worker.Stop();

        // Whatever its user can do to the file: random words, then no file at all. The writers go on.
        byte[] noise = Pattern.Of(9, 64 << 10);
        for (int round = 0; round < 3; round++)
        {
            using (FileStream file = File.Open(pins, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
            {
                if (round == 0)
                {
                    file.Position = 4096 + 8192;
                    file.Write(noise);
                }
                else if (round == 1)
                {
                    file.Position = 0;
                    file.Write(noise);
                    file.Write(noise);
                }
                else
                {
                    file.SetLength(0);
                }
            }
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < 50; i++)
            {
                store.Put(Id($"{i}"), Pattern.Of(i, 10_000));
                using (PlasmaObject obj = store.Get(Id($"{i}"), TimeSpan.Zero))
                    Same(Pattern.Of(i, 10_000), obj.Span);
                Assert.Equal(PlasmaStatus.Ok, store.Delete(Id($"{i}")));
            }
            store.Put(Id("evictable"), new byte[1000], Evictable);
            store.Evict(1000);
            store.Delete(Id("evictable"));
            store.Stats();
            store.List();
            store.Maintain();
            Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(10));
        }
        Assert.True(store.Contains(Id("a")));
        worker.Kill();
        store.Maintain();
    }

    [Fact]
    public void Pins_of_a_reader_whom_root_admitted_hold_the_memory_of_another_users_store()
    {
        if (!CanActAsNobody)
            return;
        string name = NewName();
        WorkerProcess owner = StartAsNobody(), reader = StartAs(Daemon);
        owner.Call($"make {name}");
        Open(name).AdmitReader($"{Daemon}");
        string files = $"fastplasma.{name}.";
        Assert.All(Directory.EnumerateFiles("/dev/shm", $"{files}*.{Daemon}"), static file =>
        {
            Assert.Equal(0, Syscall.stat(file, out Stat stat));
            Assert.Equal(Nobody, stat.st_uid);
        });
        reader.Call($"open {name} ro");
        owner.Call("put a 1000000 3");
        reader.Call("hold h a 0");
        Assert.Equal("Ok", owner.Call("delete a"));
        Assert.Equal("0 0 1 3", owner.Call("stats"));
        Assert.Equal("Ok", owner.Call("put other 1000000 4"));
        Assert.Equal(WorkerProcess.Describe(Pattern.Of(3, 1_000_000)), reader.Call("read h"));
        reader.Call("release h");
        owner.Call("maintain");
        Assert.Equal("1 0 0 3", owner.Call("stats"));
    }

    [Fact]
    public void Memory_that_may_be_pinned_in_a_file_that_cannot_be_read_is_not_used_again()
    {
        if (!CanActAsNobody)
            return;
        string name = NewName();
        WorkerProcess owner = StartAsNobody();
        owner.Call($"make {name}");
        using (PlasmaStore root = PlasmaStore.Open(name, Small))
            root.AdmitReader($"{Daemon}");
        string pins = Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*.pins.{Daemon}").Single();
        Assert.Equal(0, Syscall.chown(pins, 0, 0));
        Assert.Equal(0, Syscall.chmod(pins, FilePermissions.S_IRUSR));

        // Nobody knows what this reader pins: the delete works, but the memory stays, and the store goes on with the rest.
        WorkerProcess late = StartAsNobody();
        late.Call($"open {name}");
        late.Call("put a 9000000 3");
        Assert.Equal("Ok", late.Call("delete a"));
        Assert.Equal("NotFound", late.Call("get a 0"));
        late.Call("maintain");
        Assert.Equal("0 0 1 2", late.Call("stats"));
        Assert.Equal("StoreFull", late.Call("put b 9000000 4"));
        Assert.Equal("Ok", late.Call("put c 1000000 4"));

        // With the file back in order, what was kept is free.
        Assert.Equal(0, Syscall.chown(pins, Nobody, Nobody));
        Assert.Equal(0, Syscall.chmod(pins, (FilePermissions)0x1B0));
        late.Call("maintain");
        Assert.Equal("1 0 0 2", late.Call("stats"));
        Assert.Equal("Ok", late.Call("put b 9000000 4"));
    }

    [Fact]
    public void Admission_needs_a_user_that_is_not_the_owner_and_a_store_with_a_name()
    {
        PlasmaStore store = Named(out _);
        Assert.Contains("no user 'nobody-of-that-name'", Assert.Throws<ArgumentException>(() => store.AdmitReader("nobody-of-that-name")).Message, StringComparison.Ordinal);
        Assert.Contains("owns the store", Assert.Throws<ArgumentException>(() => store.AdmitReader($"{Syscall.geteuid()}")).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => Anonymous().AdmitReader("65534"));
    }
}
