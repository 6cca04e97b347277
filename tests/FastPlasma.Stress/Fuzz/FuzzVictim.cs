using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastPlasma.Stress.Fuzz;

/// <summary>Body of the process that dies of what is not checked: a case per line on its input, an answer per line on its output.</summary>
internal static unsafe partial class FuzzVictim
{
    internal static int Run(string folder)
    {
        _ = prctl(DumpableOption, 0, 0, 0, 0); // Its deaths are expected: no core dumps.
        var cases = new Thread(() =>
        {
            while (Console.In.ReadLine() is string line) // Ends with the input.
            {
                Console.Out.WriteLine(Answer(line, folder));
                Console.Out.Flush();
            }
            Environment.Exit(0);
        });
        cases.Start();
        cases.Join();
        return 0;
    }

    private static string Answer(string line, string folder)
    {
        if (line.StartsWith("control ", StringComparison.Ordinal))
            return Control(line[8..], folder);
        string own = Path.Combine(folder, "case");
        Directory.CreateDirectory(own);
        try
        {
            List<string> problems = FuzzStore.Run(FuzzCase.Parse(line), own);
            return problems.Count == 0 ? "ok" : $"bad {string.Join(" || ", problems.Take(5))}";
        }
#pragma warning disable CA1031 // The other side judges.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return $"bad the harness itself: {e.ToString().ReplaceLineEndings(" | ")}";
        }
        finally
        {
            Directory.Delete(own, recursive: true);
        }
    }

    /// <summary>What the other side has to notice: every way in which a check could be missing.</summary>
    private static string Control(string what, string folder)
    {
        switch (what)
        {
            case "segv": // In native code.
                memset(0x10000, 0, 8);
                break;
            case "unchecked": // In managed code: a payload place of a damaged entry, followed without a look at the limits.
                using (PlasmaStore store = PlasmaStore.Create("control", FuzzStore.Options(folder)))
                {
                    store.Put(ObjectId.FromName("a"), [1, 2, 3]);
                    store.Memory.Entries[0].DataOffset = 1L << 45;
                    return $"ok {Unsafe.Read<int>(store.Memory.Payload + store.Memory.Entries[0].DataOffset)}";
                }
            case "bus": // Behind the end of a file that was cut under its mapping.
                using (PlasmaStore store = PlasmaStore.Create("control", FuzzStore.Options(folder)))
                {
                    store.Put(ObjectId.FromName("a"), new byte[1000]);
                    store.TryGet(ObjectId.FromName("a"), out PlasmaObject obj);
                    store.Memory.DataFile.SetSize(0);
                    return $"ok {obj.Span[0]}";
                }
            case "abort":
                abort();
                break;
            case "hang":
                Thread.Sleep(Timeout.Infinite);
                break;
            case "exception": // A number that was not checked, caught by the runtime instead of by us.
                var problems = new List<string>();
                try
                {
                    _ = new Span<byte>(null, -1);
                }
                catch (ArgumentOutOfRangeException e)
                {
                    problems.Add(e.GetType().Name);
                }
                return $"bad {problems[0]}";
        }
        return "ok";
    }

    private const int DumpableOption = 4;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);

    [LibraryImport("libc")]
    private static partial nint memset(nint address, int value, nuint bytes);

    [LibraryImport("libc")]
    private static partial void abort();
}
