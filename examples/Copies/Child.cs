using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Examples.Copies;

/// <summary>This executable as a second process: what it does, and how it is started.</summary>
internal static unsafe class Child
{
    internal const string Look = "__look", Compute = "__compute";

    internal const int Passes = 50;

    /// <summary>Name of the object whose seal starts both workers.</summary>
    internal const string Start = "start";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <summary>Starts one; its lines come from its standard output.</summary>
    internal static Process Begin(params string[] arguments)
    {
        string path = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this executable is unknown.");
        var start = new ProcessStartInfo(path) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(path) == "dotnet") // Started as "dotnet FastPlasma.Examples.Copies.dll".
            start.ArgumentList.Add(typeof(Child).Assembly.Location);
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new InvalidOperationException($"'{path}' was not started.");
    }

    internal static string Line(Process process) =>
        process.StandardOutput.ReadLineAsync().WaitAsync(s_patience).GetAwaiter().GetResult() ?? throw new InvalidOperationException($"Process {process.Id} ended without an answer.");

    internal static int RunLook(string name, string id)
    {
        using PlasmaStore store = PlasmaStore.Open(name, new PlasmaOptions { Access = StoreAccess.ReadOnly });
        using PlasmaObject obj = store.Get(ObjectId.FromName(id), TimeSpan.Zero);
        Console.WriteLine(Place.Of((nint)obj.Pointer).ToLine());
        return 0;
    }

    /// <summary>Sums an object of doubles again and again from the moment when the other side says so.</summary>
    internal static int RunCompute(string name, string id)
    {
        using PlasmaStore store = PlasmaStore.Open(name, new PlasmaOptions { Access = StoreAccess.ReadOnly });
        using PlasmaObject obj = store.Get(ObjectId.FromName(id), TimeSpan.Zero);
        Console.WriteLine("ready");
        store.Get(ObjectId.FromName(Start), s_patience).Dispose();
        ReadOnlySpan<double> values = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, double>(obj.Span);
        long begin = Stopwatch.GetTimestamp();
        double sum = 0;
        for (int pass = 0; pass < Passes; pass++)
            foreach (double value in values)
                sum += value * (pass + 1);
        long end = Stopwatch.GetTimestamp(); // The kernel's monotonic clock: the same for all processes.
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{begin} {end} {sum:R}"));
        return 0;
    }
}

/// <summary>Where an address lies: in which mapping, and at which place of which file.</summary>
internal sealed record Place(int ProcessId, nint Address, long FileOffset, string Rights, string Inode, string File)
{
    internal static Place Of(nint address)
    {
        foreach (string line in System.IO.File.ReadLines("/proc/self/maps")) // start-end rights offset device inode file
        {
            string[] parts = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries), range = parts[0].Split('-');
            nint start = Hex(range[0]), end = Hex(range[1]);
            if (address >= start && address < end)
                return new Place(Environment.ProcessId, address, Hex(parts[2]) + (address - start), parts[1], parts[4], parts.Length > 5 ? Path.GetFileName(parts[5].Trim()) : "");
        }
        throw new InvalidOperationException($"Address {address:x} is not mapped.");

        static nint Hex(string text) => nint.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }

    internal string ToLine() => string.Create(CultureInfo.InvariantCulture, $"{ProcessId} {(long)Address} {FileOffset} {Rights} {Inode} {File}");

    internal static Place Parse(string line)
    {
        string[] parts = line.Split(' ');
        return new Place(int.Parse(parts[0], CultureInfo.InvariantCulture), nint.Parse(parts[1], CultureInfo.InvariantCulture), long.Parse(parts[2], CultureInfo.InvariantCulture), parts[3], parts[4], parts[5]);
    }
}
