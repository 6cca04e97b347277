using System.Globalization;
using FastPlasma.Native;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Victim;

/// <summary>victim SCENARIO STORE [POINT PASS]: prepares, says "ready", waits for "go", does one operation, says "done" and ends with its input, without detaching.</summary>
/// <remarks>In the build with fail points it dies at the given one, and "done" is followed by the names of those that the operation passed.</remarks>
internal static class Program
{
    private static int Main(string[] args)
    {
        using var input = new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 1);
        using var output = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 1);
        Action operation = Scenarios.All[args[0]](args[1]);
        output.Write("ready\n"u8);
        if (!WaitFor(input, '\n'))
            return 0;
#if FAILPOINTS
        FailPoint.Watch(args.Length == 4 ? args[2] : null, args.Length == 4 ? int.Parse(args[3], CultureInfo.InvariantCulture) : 0);
        operation();
        output.Write(System.Text.Encoding.UTF8.GetBytes($"done {string.Join(' ', FailPoint.Passed())}\n"));
#else
        operation();
        output.Write("done\n"u8);
#endif
        WaitFor(input, -1);
        return 0;
    }

    private static bool WaitFor(FileStream input, int end)
    {
        int read;
        do
            read = input.ReadByte();
        while (read != end && read >= 0);
        return read == end;
    }
}
