using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma.Counted;

/// <summary>counted STORE: runs every hot operation N and 2N times between marks, and prints what was run.</summary>
/// <remarks>
/// <para>Callgrind writes its counter and begins anew whenever <see cref="Mark"/> is entered. Of an operation's four parts the first and the third are preparation, the second counts N runs and the fourth 2N; their difference
/// has neither start-up nor marks in it. The lines: "built NAME VERSION ..." of the compiler, then "operation NAME N BYTES" each, where BYTES are the managed bytes that N runs allocate.</para>
/// <para>So that every run goes the same way, nothing is left to chance: the store's hash seed is fixed, and its background thread does not run.</para>
/// </remarks>
internal static unsafe class Program
{
    private const ulong HashSeed = 0x5EED_5EED_5EED_5EED;

    private static int s_marks;

    private static int Main(string[] args)
    {
        if (args.Length != 1)
        {
            Console.Error.WriteLine("usage: FastPlasma.Counted STORE, a name that no store has; it is destroyed in the end");
            return 2;
        }
        StopBackgroundThread();
        PlasmaStore created = PlasmaStore.Create(args[0], new PlasmaOptions { CapacityBytes = 256 << 20, ObjectCountMax = 8192, HashSeed = HashSeed });
        try
        {
            using PlasmaStore store = created;
            Console.WriteLine(string.Create(null, $"built SDK {SdkVersion()}, NativeAOT {Environment.Version}, glibc {Marshal.PtrToStringUTF8(gnu_get_libc_version())}"));
            foreach (Operation operation in new Operations(store).All)
                Console.WriteLine(string.Create(null, $"operation {operation.Name} {operation.Count} {Measure(operation)}"));
        }
#pragma warning disable CA1031 // Shown, and the store does not stay behind.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Console.Error.WriteLine(e);
            return 1;
        }
        finally
        {
            PlasmaStore.Destroy(args[0]);
        }
        return 0;
    }

    private static long Measure(Operation operation)
    {
        // The longest run first: it takes what is taken once, from the system and by the thread.
        Do(operation, 2 * operation.Count, out _);
        Do(operation, operation.Count, out long bytes, marks: true);
        Do(operation, 2 * operation.Count, out long twiceBytes, marks: true);
        return twiceBytes - bytes;
    }

    private static void Do(Operation operation, int count, out long allocatedBytes, bool marks = false)
    {
        operation.Before(count);
        long before = GC.GetAllocatedBytesForCurrentThread();
        if (marks)
            Mark();
        operation.Run(count);
        if (marks)
            Mark();
        allocatedBytes = GC.GetAllocatedBytesForCurrentThread() - before;
        operation.After(count);
    }

    /// <summary>Where callgrind is told to begin anew (by this symbol).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Mark() => s_marks++;

    /// <summary>Lets the maintainer believe that its thread runs already. It would move the clock, and finish deletes, in the middle of any operation; nothing depends on it.</summary>
    private static void StopBackgroundThread()
    {
        Set(typeof(Maintainer).GetField("s_process", BindingFlags.NonPublic | BindingFlags.Static), ForkMark.OfThisProcess());
        Set(typeof(Maintainer).GetField("s_running", BindingFlags.NonPublic | BindingFlags.Static), true);
    }

    private static void Set(FieldInfo? field, object value) =>
        (field ?? throw new MissingFieldException("Maintainer has no s_process and s_running any more: say here how its thread is kept from starting.")).SetValue(null, value);

    private static string SdkVersion() => typeof(Program).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(static data => data.Key == "SdkVersion").Value!;

    [DllImport("libc")]
    private static extern nint gnu_get_libc_version();
}
