using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FastPlasma.Cli.Children;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Cli.Demo;

/// <summary>A process that waits for every file, holds them all, and compares them with the disk.</summary>
internal static class DemoConsumer
{
    internal const int HashBytes = 1 << 20;
    private const int GetWarmups = 50_000, GetSamples = 100_000;

    internal static int Run() => DemoChild.Run(StoreAccess.ReadOnly, Work);

    private static void Work(ParentPipe parent, DemoPlan plan, PlasmaStore store)
    {
        parent.Expect(DemoChild.Go);
        ObjectId[] ids = [.. plan.Files.Select(file => file.Id)];
        PlasmaObject[] objects = new PlasmaObject[ids.Length];
        try
        {
            int waited = GetAll(parent, plan, store, ids, objects);
            DemoVerification verification = Verify(parent, plan, objects) with { Waited = waited };
            parent.Send(new DemoMessage(DemoMessageKind.Verified) { Done = verification.Verified, Verification = verification }.ToLine());

            // All pins stay open until the parent has looked at everybody's memory and says exit.
            while (parent.Receive() is var command and not ParentPipe.Exit)
            {
                parent.Send(command switch
                {
                    DemoChild.MeasureGet => MeasureGet(store, ids).ToLine(),
                    DemoChild.MeasureWake => MeasureWake(plan, store).ToLine(),
                    _ => throw new InvalidOperationException($"Unknown command '{command}'."),
                });
            }
        }
        finally
        {
            foreach (PlasmaObject held in objects)
                if (held.IsValid)
                    held.Dispose();
        }
    }

    /// <summary>Pins every file in turn, asleep while the next one is not sealed; returns how many had to be waited for.</summary>
    private static int GetAll(ParentPipe parent, DemoPlan plan, PlasmaStore store, ObjectId[] ids, PlasmaObject[] objects)
    {
        int waited = 0;
        long reportedAtMs = 0;
        for (int i = 0; i < ids.Length; i++)
        {
            if (!store.TryGet(ids[i], out objects[i]))
            {
                waited++;
                objects[i] = store.Get(ids[i], plan.Timeout);
            }

            DemoChild.Report(parent, 0, ref reportedAtMs);
        }

        return waited;
    }

    private static DemoVerification Verify(ParentPipe parent, DemoPlan plan, PlasmaObject[] objects)
    {
        List<string> failures = [];
        byte[] buffer = ArrayPool<byte>.Shared.Rent(HashBytes);
        long reportedAtMs = 0;
        for (int i = 0; i < objects.Length; i++)
        {
            DemoFile file = plan.Files[i];
            try
            {
                if (!HashOfObject(objects[i]).AsSpan().SequenceEqual(HashOfFile(plan.FullPath(file), buffer)))
                    failures.Add($"{file.Path}: the SHA-256 of the object differs from that of the file");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failures.Add($"{file.Path}: {e.Message}");
            }

            DemoChild.Report(parent, i + 1, ref reportedAtMs);
        }

        ArrayPool<byte>.Shared.Return(buffer);
        return new DemoVerification(objects.Length - failures.Count, 0, failures);
    }

    internal static byte[] HashOfObject(PlasmaObject source)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (long offset = 0; offset < source.Length;)
        {
            int length = (int)Math.Min(HashBytes, source.Length - offset);
            hash.AppendData(source.GetSpan(offset, length));
            offset += length;
        }

        return hash.GetHashAndReset();
    }

    internal static byte[] HashOfFile(string path, byte[] buffer)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        int read;
        for (long offset = 0; (read = RandomAccess.Read(file, buffer, offset)) > 0; offset += read)
            hash.AppendData(buffer, 0, read);
        return hash.GetHashAndReset();
    }

    /// <summary>Get and release of sealed objects, each timed by itself, in all consumers at the same time.</summary>
    private static DemoMessage MeasureGet(PlasmaStore store, ObjectId[] ids)
    {
        // Warm in slices with pauses: the optimised code of the runtime is compiled in the background meanwhile.
        for (int slice = 0; slice < 3; slice++)
        {
            _ = TimeGets(store, ids, GetWarmups / 3);
            _ = TimeNothing(GetWarmups / 3);
            Thread.Sleep(150);
        }

        double[] gets = TimeGets(store, ids, GetSamples);
        double timerNs = Quantiles.Of(TimeNothing(GetSamples), 0.5);
        return new DemoMessage(DemoMessageKind.Latency)
        {
            Latency = new DemoQuantiles(Quantiles.Of(gets, 0.5), Quantiles.Of(gets, 0.99), gets.Length),
            TimerNs = timerNs,
        };
    }

    private static double[] TimeGets(PlasmaStore store, ObjectId[] ids, int count)
    {
        double[] samples = new double[count];
        for (int i = 0, next = 0; i < samples.Length; i++)
        {
            long start = Stopwatch.GetTimestamp();
            if (!store.TryGet(ids[next], out PlasmaObject hot))
                throw new InvalidOperationException("An object that is held has disappeared.");
            hot.Dispose();
            samples[i] = Nanoseconds(Stopwatch.GetTimestamp() - start);
            if (++next == ids.Length)
                next = 0;
        }

        return samples;
    }

    private static double[] TimeNothing(int count)
    {
        double[] samples = new double[count];
        for (int i = 0; i < samples.Length; i++)
        {
            long start = Stopwatch.GetTimestamp();
            samples[i] = Nanoseconds(Stopwatch.GetTimestamp() - start);
        }

        return samples;
    }

    /// <summary>From the moment before the producer's seal (its clock reading is the payload; the clock is the machine's) until get has returned.</summary>
    private static DemoMessage MeasureWake(DemoPlan plan, PlasmaStore store)
    {
        double[] samples = new double[DemoChild.WakeSamples];
        for (int round = 0; round < DemoChild.WakeWarmups + samples.Length; round++)
        {
            using PlasmaObject woken = store.Get(DemoChild.WakeId(plan.Index, round), plan.Timeout);
            long now = Stopwatch.GetTimestamp();
            if (round >= DemoChild.WakeWarmups)
                samples[round - DemoChild.WakeWarmups] = Nanoseconds(now - MemoryMarshal.Read<long>(woken.Span));
        }

        return new DemoMessage(DemoMessageKind.Latency)
        {
            Latency = new DemoQuantiles(Quantiles.Of(samples, 0.5), Quantiles.Of(samples, 0.99), samples.Length),
        };
    }

    private static double Nanoseconds(long ticks) => ticks * (1e9 / Stopwatch.Frequency);
}
