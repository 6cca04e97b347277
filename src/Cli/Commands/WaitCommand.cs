using System.CommandLine;
using System.Diagnostics;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma wait</summary>
internal static class WaitCommand
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    private static readonly Argument<string[]> Keys = StoreOptions.Keys($"The objects to wait for. {StoreOptions.KeyForms}");

    private static readonly Option<int?> Count = new("--count", "-n") { Description = "How many of them are enough. Default: all.", HelpName = "K" };

    private static readonly Option<TimeSpan?> Timeout = StoreOptions.Timeout($"When to give up. Default {DefaultTimeout.TotalSeconds}s.");

    internal static Command Create() => new StoreCommand(
        "wait", "Wait until objects are sealed.",
        "fastplasma wait part-0 part-1 part-2 --count 2 --timeout 5s")
    {
        Keys, Count, Timeout,
    }.NegativeWhen("the deadline passed").Runs(Run);

    private static int Run(Call call)
    {
        ObjectKey[] keys = [.. call.Value(Keys)!.Select(ObjectKey.Parse)];
        int count = call.Value(Count) ?? keys.Length;
        if (count < 1 || count > keys.Length)
            throw CliException.Usage($"--count is {count}; it has to be from 1 to {keys.Length}, the number of objects given");
        TimeSpan timeout = call.Value(Timeout) ?? DefaultTimeout;

        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        long began = Stopwatch.GetTimestamp();
        ObjectId[] ids = [.. keys.Select(static key => key.Id)];
        bool[] ready = new bool[ids.Length];
        int readyCount = store.Wait(ids, count, timeout, ready, call.Cancellation);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        call.Cancellation.ThrowIfCancellationRequested();
        if (call.Json)
        {
            call.WriteJson(
                new WaitJson(readyCount, count, seconds, [.. keys.Select((key, i) => new WaitObjectJson(key.Id, key.Text, ready[i]))]), CliJson.Documents.WaitJson);
        }
        else
        {
            for (int i = 0; i < keys.Length; i++)
                call.WriteLine($"{(ready[i] ? "sealed " : "missing")}  {TextTable.Printable(keys[i].Text)}");
        }

        if (readyCount >= count)
            return ExitCodes.Ok;
        call.Report(CliException.Of(PlasmaStatus.Timeout, $"{readyCount} of {keys.Length} objects were sealed within {Sizes.Duration(timeout)}, {count} were waited for"));
        return ExitCodes.Negative;
    }
}
