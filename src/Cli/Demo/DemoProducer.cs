using System.Diagnostics;
using System.Runtime.InteropServices;
using FastPlasma.Cli.Children;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Cli.Demo;

/// <summary>The process that puts every file.</summary>
internal static class DemoProducer
{
    private const int ReadBytesMax = 64 << 20;

    internal static int Run() => DemoChild.Run(StoreAccess.ReadWrite, Work);

    private static void Work(ParentPipe parent, DemoPlan plan, PlasmaStore store)
    {
        parent.Expect(DemoChild.Go);
        byte[] buffer = new byte[plan.Files.Where(file => !file.InPlace).Select(file => file.Bytes).DefaultIfEmpty().Max()];
        long reportedAtMs = 0;
        for (int i = 0; i < plan.Files.Count; i++)
        {
            DemoFile file = plan.Files[i];
            using SafeFileHandle source = File.OpenHandle(plan.FullPath(file));
            if (file.InPlace)
                CreateInPlace(store, file, source);
            else
                Put(store, file, source, buffer);
            DemoChild.Report(parent, i + 1, ref reportedAtMs);
        }

        parent.Send(new DemoMessage(DemoMessageKind.Stored) { Done = plan.Files.Count }.ToLine());
        while (parent.Receive() is var command and not ParentPipe.Exit)
        {
            if (command != DemoChild.MeasureWake)
                throw new InvalidOperationException($"Unknown command '{command}'.");
            Wake(plan, store);
        }
    }

    /// <summary>The file is read into a buffer of this process, and put copies it into the store: one user-space copy.</summary>
    internal static void Put(PlasmaStore store, DemoFile file, SafeFileHandle source, byte[] buffer)
    {
        Span<byte> content = buffer.AsSpan(0, (int)file.Bytes);
        ReadExactly(source, content, 0, file);
        store.Put(file.Id, content, new ObjectOptions { Name = file.Path });
    }

    /// <summary>The kernel reads the file straight into the object's final place: no user-space copy.</summary>
    internal static void CreateInPlace(PlasmaStore store, DemoFile file, SafeFileHandle source)
    {
        using ObjectWriter writer = store.Create(file.Id, file.Bytes, new ObjectOptions { Name = file.Path });
        for (long offset = 0; offset < file.Bytes;)
        {
            int length = (int)Math.Min(ReadBytesMax, file.Bytes - offset);
            ReadExactly(source, writer.GetSpan(offset, length), offset, file);
            offset += length;
        }

        writer.Seal();
    }

    private static void ReadExactly(SafeFileHandle source, Span<byte> destination, long offset, DemoFile file)
    {
        while (!destination.IsEmpty)
        {
            int read = RandomAccess.Read(source, destination, offset);
            if (read == 0)
                throw new IOException($"'{file.Path}' became shorter than {file.Bytes} bytes while it was read.");
            destination = destination[read..];
            offset += read;
        }
    }

    /// <summary>Wakes one sleeping consumer after the other.</summary>
    private static void Wake(DemoPlan plan, PlasmaStore store)
    {
        for (int round = 0; round < DemoChild.WakeWarmups + DemoChild.WakeSamples; round++)
        {
            for (int consumer = 0; consumer < plan.Consumers; consumer++)
            {
                using ObjectWriter writer = store.Create(DemoChild.WakeId(consumer, round), sizeof(long));

                // The consumer asks for the next object right after the previous one; after this millisecond it sleeps in the kernel.
                Thread.Sleep(1);
                long now = Stopwatch.GetTimestamp();
                MemoryMarshal.Write(writer.Span, in now);
                writer.Seal();
            }
        }
    }
}
