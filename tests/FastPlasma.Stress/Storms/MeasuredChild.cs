using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Stress.Storms;

/// <summary>The other process of a measurement: holds what its recovery has to release, or creates and deletes all the time.</summary>
internal static unsafe class MeasuredChild
{
    /// <summary>First argument of such a process.</summary>
    internal const string Command = "measured-child";

    /// <summary>Objects that the measurements read and pin.</summary>
    internal const int ResidentCount = 1_000;

    internal const int PinCount = 10_000, UnsealedCount = 1_000;

    private const string Holder = "holder", Churner = "churner";

    internal static ObjectId Resident(int i) => Payload.IdOf(1, i);

    /// <summary>Starts a process that pins <see cref="PinCount"/> times, begins <see cref="UnsealedCount"/> objects, says so in its record and sleeps.</summary>
    internal static Process StartHolder(StormOptions options) => Start(options, Holder);

    /// <summary>Starts a process that creates and deletes, and tells in its record which of them it does; it rests while the ledger says pause.</summary>
    internal static Process StartChurner(StormOptions options) => Start(options, Churner);

    /// <summary>Body of the process, with the arguments after <see cref="Command"/>.</summary>
    internal static int Run(string[] arguments)
    {
        Native.DieWith(int.Parse(arguments[2], CultureInfo.InvariantCulture));
        using Ledger ledger = Ledger.Open(arguments[0]);
        using PlasmaStore store = PlasmaStore.Open(arguments[0]);
        ProcessRecord* record = ledger.Process(0);
        if (arguments[1] == Holder)
            Hold(store, record);
        else
            Churn(store, ledger, record);
        return 0;
    }

    private static void Hold(PlasmaStore store, ProcessRecord* record)
    {
        for (int i = 0; i < PinCount; i++)
            if (!store.TryGet(Resident(i % ResidentCount), out _))
                throw new InvalidOperationException($"Resident object {i % ResidentCount} is not there.");
        for (int i = 0; i < UnsealedCount; i++)
            store.Create(Payload.IdOf(2, i), 1_000);
        Volatile.Write(ref record->Quiet, 1);
        Thread.Sleep(Timeout.Infinite);
    }

    private static void Churn(PlasmaStore store, Ledger ledger, ProcessRecord* record)
    {
        byte[] payload = new byte[4_000];
        for (int i = 0; ; i++) // Ends with the process.
        {
            int pause = Volatile.Read(ref ledger.Pause);
            if ((pause & 1) != 0)
            {
                Volatile.Write(ref record->Quiet, pause);
                while (Volatile.Read(ref ledger.Pause) == pause) // Ends with the pause or the process.
                    Thread.Sleep(1);
            }
            ObjectId id = Payload.IdOf(3, i % 64);
            record->Operation = (int)Operation.Put;
            Volatile.Write(ref record->OperationStart, Stopwatch.GetTimestamp());
            store.Put(id, payload);
            record->Operation = (int)Operation.Delete;
            if (store.Delete(id) != PlasmaStatus.Ok)
                throw new InvalidOperationException("A delete of the own object failed.");
            Volatile.Write(ref record->OperationStart, 0);
        }
    }

    private static Process Start(StormOptions options, string kind)
    {
        var start = new ProcessStartInfo(options.Executable) { UseShellExecute = false };
        foreach (string argument in (string[])[Command, options.Store, kind, Environment.ProcessId.ToString(CultureInfo.InvariantCulture)])
            start.ArgumentList.Add(argument);
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        return Process.Start(start) ?? throw new InvalidOperationException($"'{options.Executable}' was not started.");
    }
}
