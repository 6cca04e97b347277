using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using FastPlasma.Format;
using FastPlasma.Nodes;
using FastPlasma.Spill;

namespace FastPlasma.Worker;

/// <content>Commands that use the spill space beside the life cycle: whose claim nobody holds, so the tests give each process objects of its own.</content>
internal sealed unsafe partial class Session
{
    private string RunSpill(string[] a)
    {
        SpillSpace space = Store.Spill ?? throw new InvalidOperationException("The store has no spill directories.");
        switch (a[1])
        {
            case "churn": // spill churn ID N SEED: writes, verifies and frees copies, some at a time; answers how many there were.
                return $"ok {Churn(space, a[2], Int(a[3]), Int(a[4]))}";
            case "endless": // spill endless ID: writes copies and frees them until the process is killed; answers after the first.
                Endless(space, a[2]);
                return "ok";
            case "write": // spill write ID: one copy that nobody names.
                using (PlasmaObject obj = Store.Get(Id(a[2]), TimeSpan.Zero))
                {
                    ObjectImage image = Store.ImageOf(obj, out byte* address);
                    return space.TryWrite(OwnerOf(obj), image, address, out SpillPlace place, out SpillError? error) ? $"ok {place.Value:x}" : $"ok error {error!.Kind} {error.Message}";
                }
            case "rate": // spill rate ID N: MB/s of N copies written one after the other, and of reading them back.
                return $"ok {Rate(space, a[2], Int(a[3]))}";
            case "load": // spill load PREFIX MS SEED: puts, reads and deletes more than memory holds.
                return $"ok {new DiskLoad(Store, a[2], Int(a[4])).Run(Int(a[3]))}";
            case "put": // spill put ID BYTES SEED TIMEOUT: the error says why not.
                Store.Put(Id(a[2]), Pattern.Of(Int(a[4]), Int(a[3])), new ObjectOptions { Timeout = Ms(a[5]) });
                return "ok";
            case "gets": // spill gets PREFIX N TIMEOUT: as many threads get an object each; answers what they got, the slowest, and how many threads are at the disk then.
                return $"ok {GetTogether(a[2], Int(a[3]), Ms(a[4]))}";
            case "read" when a[4] == "never": // spill read ID BYTES never: the first bytes.
                return $"ok {Store.ReadInto(Id(a[2]), 0, new byte[Int(a[3])])}";
            case "read": // spill read ID BYTES MS: the same, cancelled after so long.
                using (var cancellation = new CancellationTokenSource(Int(a[4])))
                    return $"ok {Store.ReadInto(Id(a[2]), 0, new byte[Int(a[3])], cancellation.Token)}";
            case "verify": // spill verify: how many copies, and how many are wrong.
                SpillVerifyReport report = Store.VerifySpill();
                return $"ok {report.CopyCount} {report.Errors.Count}";
            case "trim":
                return $"ok {Store.TrimSpill()}";
            case "problem": // spill problem D: of that directory.
                return $"ok {Store.SpillInfo().Directories[Int(a[2])].Problem}";
            case "unload": // spill unload BYTES
                return $"ok {Store.Unload(long.Parse(a[2], CultureInfo.InvariantCulture))}";
            default:
                throw new ArgumentException($"There is no command spill {a[1]}.");
        }
    }

    private ulong OwnerOf(in PlasmaObject obj)
    {
        obj.GetNumbers(out ObjectEntry* entry, out _, out _, out _, out _);
        return BlockOwner.Of(new StateWord(Volatile.Read(ref entry->State)).Generation, (uint)(entry - Store.Memory.Entries));
    }

    private string GetTogether(string prefix, int count, TimeSpan timeout)
    {
        int got = 0, slowestMs = 0;
        var threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            ObjectId id = Id(string.Create(CultureInfo.InvariantCulture, $"{prefix}-{i}"));
            threads[i] = new Thread(() =>
            {
                long start = Environment.TickCount64;
                PlasmaStatus status = Store.TryGet(id, timeout, out PlasmaObject obj);
                InterlockedMax(ref slowestMs, (int)(Environment.TickCount64 - start));
                if (status == PlasmaStatus.Ok)
                    Interlocked.Increment(ref got);
                obj.Dispose();
            });
            threads[i].Start();
        }
        foreach (Thread thread in threads)
            thread.Join();
        return string.Create(CultureInfo.InvariantCulture, $"{got} {slowestMs} {DiskThreadCount()}");

        static void InterlockedMax(ref int place, int value)
        {
            for (int seen = Volatile.Read(ref place); value > seen;) // Ends: the place only rises.
                seen = Interlocked.CompareExchange(ref place, value, seen) is var now && now == seen ? value : now;
        }
    }

    private static int DiskThreadCount()
    {
        return Directory.GetDirectories("/proc/self/task").Count(IsAtDisk);

        static bool IsAtDisk(string task)
        {
            try
            {
                return File.ReadAllText(Path.Combine(task, "comm")).Trim() == "fastplasma-disk";
            }
            catch (IOException)
            {
                return false; // The thread has ended since the folder was read.
            }
        }
    }

    private int Churn(SpillSpace space, string prefix, int rounds, int seed)
    {
        const int objects = 8;
        var random = new Random(seed);
        var held = new PlasmaObject[objects];
        var places = new SpillPlace[objects];
        int written = 0;
        byte[] buffer = GC.AllocateUninitializedArray<byte>(1 << 20, pinned: true);
        try
        {
            for (int i = 0; i < objects; i++)
            {
                ObjectId id = Id($"{prefix}-{i}");
                Store.Put(id, Pattern.Of(seed + i, random.Next(1, random.Next(2) == 0 ? 20_000 : 900_000)));
                held[i] = Store.Get(id, TimeSpan.Zero);
            }
            for (int round = 0; round < rounds; round++)
            {
                int i = random.Next(objects);
                ObjectImage image = Store.ImageOf(held[i], out byte* address);
                if (places[i].IsNone)
                {
                    if (space.TryWrite(OwnerOf(held[i]), image, address, out places[i], out SpillError? refused))
                        written++;
                    else if (refused!.Kind is not (SpillErrorKind.Limit or SpillErrorKind.NoSpace))
                        throw new InvalidOperationException(refused.Message);
                    continue;
                }
                fixed (byte* p = buffer)
                {
                    if (space.Read(places[i], image, p) is { } error)
                        throw new InvalidOperationException($"seed {seed} round {round}: {error.Message}");
                    if (!new ReadOnlySpan<byte>(p, (int)image.ImageBytes).SequenceEqual(new ReadOnlySpan<byte>(address, (int)image.ImageBytes)))
                        throw new InvalidOperationException($"seed {seed} round {round}: object {i} came back with other bytes.");
                }
                if (space.Free(places[i], image, OwnerOf(held[i])) < image.ImageBytes)
                    throw new InvalidOperationException($"seed {seed} round {round}: the blocks of object {i} at {places[i]} were not its own.");
                places[i] = SpillPlace.None;
            }
            for (int i = 0; i < objects; i++)
                space.Free(places[i], Store.ImageOf(held[i], out _), OwnerOf(held[i]));
            return written;
        }
        finally
        {
            foreach (ref PlasmaObject obj in held.AsSpan())
                obj.Dispose();
        }
    }

    private string Rate(SpillSpace space, string id, int count)
    {
        using PlasmaObject obj = Store.Get(Id(id), TimeSpan.Zero);
        ObjectImage image = Store.ImageOf(obj, out byte* address);
        ulong owner = OwnerOf(obj);
        var places = new SpillPlace[count];
        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
            if (!space.TryWrite(owner, image, address, out places[i], out SpillError? error))
                throw new InvalidOperationException(error!.Message);
        double write = Stopwatch.GetElapsedTime(began).TotalSeconds;
        byte* buffer = (byte*)NativeMemory.AlignedAlloc((nuint)image.ImageBytes + 4096, 4096);
        new Span<byte>(buffer, (int)image.ImageBytes).Clear();
        began = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
            if (space.Read(places[i], image, buffer) is { } error)
                throw new InvalidOperationException(error.Message);
        double read = Stopwatch.GetElapsedTime(began).TotalSeconds;
        NativeMemory.AlignedFree(buffer);
        foreach (SpillPlace place in places)
            space.Free(place, image, owner);
        double megabytes = image.ImageBytes * (double)count / 1e6;
        return string.Create(CultureInfo.InvariantCulture, $"write {megabytes / write:0} read {megabytes / read:0}");
    }

    private void Endless(SpillSpace space, string id)
    {
        PlasmaObject obj = Store.Get(Id(id), TimeSpan.Zero);
        ObjectImage image = Store.ImageOf(obj, out byte* address);
        ulong owner = OwnerOf(obj);
        using var begun = new ManualResetEventSlim();
        new Thread(() =>
        {
            while (true) // Ends with the process.
            {
                if (space.TryWrite(owner, image, address, out SpillPlace place, out _))
                    space.Free(place, image, owner);
                begun.Set();
            }
        })
        { IsBackground = true }.Start();
        begun.Wait();
    }
}
