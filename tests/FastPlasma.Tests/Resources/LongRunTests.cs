using System.Globalization;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma.Tests;

/// <summary>What is done millions of times leaves nothing behind each time.</summary>
[Collection(AloneInTheProcess.Name)]
public sealed unsafe class LongRunTests : StoreTest
{
    [Fact]
    public void Two_million_objects_that_come_and_go_leave_nothing_behind_and_pins_hold_all_the_time()
    {
        const int cycles = 2_000_000, pinCount = 100;
        PlasmaStore store = Named(out string name, Small with { CapacityBytes = 64 << 20, ObjectCountMax = 4096 });
        var pins = new List<PlasmaObject>();
        for (int i = 0; i < pinCount; i++)
        {
            store.Put(Id($"pinned {i}"), Pattern.Of(i, 100 + i * 37));
            pins.Add(store.Get(Id($"pinned {i}"), TimeSpan.Zero));
            if (i % 2 == 0)
                store.Delete(Id($"pinned {i}")); // Kept by its pin alone.
        }
        Cycle(store, 0, 10_000); // What is taken once is taken.
        (long files, long used, int descriptors, int maps, long resident) before = State(store, name);
        Cycle(store, 10_000, cycles);
        (long files, long used, int descriptors, int maps, long resident) after = State(store, name);
        Assert.Equal((before.files, before.used), (after.files, after.used));
        Assert.InRange(after.maps - before.maps, int.MinValue, 100); // The runtime maps things too, now and then.
        Assert.InRange(after.resident - before.resident, long.MinValue, 16 << 20);
        Assert.Equal(before.descriptors, after.descriptors);
        for (int i = 0; i < StoreGeometry.StashCount; i++)
            Assert.Equal(0UL, store.Memory.Stash[i]);

        // Every taking of a record is one generation, and none is wasted.
        long generations = 0;
        for (int e = 0; e < store.ObjectCountMax; e++)
            generations += new StateWord(store.Memory.Entries[e].State).Generation;
        Assert.InRange(generations, cycles + pinCount, cycles + pinCount + 4096);

        for (int i = 0; i < pinCount; i++)
        {
            Same(Pattern.Of(i, 100 + i * 37), pins[i].Span);
            pins[i].Dispose();
        }
        Assert.Equal((pinCount / 2, 0), (store.Stats().SealedCount, store.Stats().CondemnedCount));
    }

    private static void Cycle(PlasmaStore store, int from, int to)
    {
        byte[] payload = new byte[300];
        Span<byte> id = stackalloc byte[ObjectId.SizeBytes];
        id.Clear();
        for (int i = from; i < to; i++)
        {
            BitConverter.TryWriteBytes(id, (long)i * -7046029254386353131);
            ObjectId object1 = new(id);
            if (store.TryPut(object1, payload.AsSpan(0, i % 300)) != PlasmaStatus.Ok || store.Delete(object1) != PlasmaStatus.Ok)
                Assert.Fail($"cycle {i}");
        }
    }

    [Fact]
    public void Thousands_of_threads_that_come_and_go_share_a_few_slot_chunks()
    {
        const int rounds = 250, threadsPerRound = 16;
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1, 2, 3]);
        for (int round = 0; round < rounds; round++)
        {
            Eventually.Run[] threads = [.. Enumerable.Range(0, threadsPerRound).Select(_ => Eventually.Start(() =>
            {
                using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
                Assert.Equal(3, obj.Length);
            }))];
            foreach (Eventually.Run thread in threads)
                thread.Join();
        }

        // As many as ran at one time, and some for those whose end was not noticed yet.
        Assert.InRange(ParticipantTable.ChunkHigh(store.Participants.Own), 1, 3 * threadsPerRound);
        Assert.Equal(rounds * threadsPerRound, store.Stats().Process.Gets);
        Assert.Equal(0, store.Slots!.CountHeld());
    }

    [Fact]
    public void Thousands_of_attachments_that_come_and_go_leave_no_descriptor_no_mapping_and_no_memory()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), [1, 2, 3]);
        OpenAndClose(name, 50);
        Eventually.True(() => store.Stats().Participants.Count == 1, "all of them have ended");
        (long files, long used, int descriptors, int maps, long resident) before = State(store, name);
        OpenAndClose(name, 2000);
        (long files, long used, int descriptors, int maps, long resident) after = State(store, name);
        Assert.Equal((before.files, before.used), (after.files, after.used));
        Assert.InRange(after.maps - before.maps, int.MinValue, 100); // The runtime maps things too, now and then.
        Assert.InRange(after.resident - before.resident, long.MinValue, 32 << 20);
        Eventually.True(() => store.Stats().Participants.Count == 1 && State(store, name).Descriptors == before.descriptors, "the last one has ended, whose maintenance was under way when it was closed");
    }

    private static void OpenAndClose(string name, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            using PlasmaStore store = PlasmaStore.Open(name);
            using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
            Assert.Equal(3, obj.Length);
        }
    }

    /// <summary>What a run could leave: pages of files, used bytes, descriptors of stores, mappings, resident memory.</summary>
    private static (long Files, long Used, int Descriptors, int Maps, long Resident) State(PlasmaStore store, string name)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long files = 0;
        foreach (string path in Directory.GetFiles("/dev/shm", $"fastplasma.{name}*"))
        {
            using SharedFile file = SharedFile.Open("/dev/shm", Path.GetFileName(path), writable: false);
            files += file.Facts().AllocatedBytes;
        }
        string resident = File.ReadLines("/proc/self/status").Single(static line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
        return (files, store.Stats().UsedBytes, Directory.GetFileSystemEntries("/proc/self/fd").Count(fd => new FileInfo(fd).LinkTarget?.Contains($"fastplasma.{name}", StringComparison.Ordinal) == true), File.ReadLines("/proc/self/maps").Count(),
            long.Parse(resident.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024);
    }
}
