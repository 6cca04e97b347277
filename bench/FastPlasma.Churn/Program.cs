using System.CommandLine;
using System.Globalization;

namespace FastPlasma.Churn;

internal static class Program
{
    private static int Main(string[] args)
    {
        var root = new RootCommand("Makes traces of allocations in a nearly full memory and replays them on a store. bench/malloc-churn/run does both and compares with malloc.");
        root.Add(MakeTrace());
        root.Add(MakeReplay());
        return root.Parse(args).Invoke();
    }

    private static Command MakeTrace()
    {
        var file = new Argument<string>("FILE") { Description = "Is written anew." };
        var capacity = new Option<int>("--capacity-mib") { Description = "Live bytes are held at 90 % of it.", DefaultValueFactory = static _ => 1024 };
        var operations = new Option<int>("--operations") { Description = "Allocations and frees in the full state.", DefaultValueFactory = static _ => 300_000 };
        var seed = new Option<ulong>("--seed") { Description = "The same seed, capacity and count make the same trace.", DefaultValueFactory = static _ => 1 };
        capacity.Validators.Add(static result => RequireAtLeast(result, 64));
        operations.Validators.Add(static result => RequireAtLeast(result, 1));
        var command = new Command("trace", "Makes a trace: 91 % of the allocations 64 B to 16 KiB, 8 % up to 1 MiB, 1 % 8 to 16 MiB.") { file, capacity, operations, seed };
        command.SetAction(parse =>
        {
            Trace trace = new TraceMaker(parse.GetValue(seed), (long)parse.GetValue(capacity) << 20).Make(parse.GetValue(operations));
            trace.Write(parse.GetValue(file)!);
            long[] large = [.. trace.Operations.Where(Trace.IsAllocate).Select(Trace.BytesOf).Where(bytes => bytes >= trace.LargeBytes)];
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{trace.Operations.Length:N0} operations: {trace.FillEnd:N0} to fill, {trace.ChurnEnd - trace.FillEnd:N0} in the full state, {trace.Operations.Length - trace.ChurnEnd:N0} to drain; at most {trace.SlotCount:N0} live at once; {large.Length:N0} allocations of 8 MiB and more ({large.Sum() >> 20:N0} MiB); seed {trace.Seed}"));
        });
        return command;
    }

    private static Command MakeReplay()
    {
        var file = new Argument<string>("TRACE") { Description = "As the trace command made it." };
        var csv = new Argument<string>("CSV") { Description = "Gets operation, live bytes and held bytes, some 400 times." };
        var touch = new Option<bool>("--touch") { Description = "Writes the first byte of each page of every object; nothing of the payload is written otherwise." };
        var command = new Command("replay", "Replays a trace on an anonymous store and prints: small-ns large-ns live-end held-end worst-permille held-most live-drained held-drained held-trimmed refused refused-bytes.") { file, csv, touch };
        command.SetAction(parse =>
        {
            Trace trace;
            try
            {
                trace = Trace.Read(parse.GetValue(file)!);
            }
            catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine(e.Message);
                return 1;
            }
            Console.WriteLine(StoreReplay.Run(trace, parse.GetValue(csv)!, parse.GetValue(touch)));
            return 0;
        });
        return command;
    }

    private static void RequireAtLeast(System.CommandLine.Parsing.OptionResult result, int least)
    {
        if (result.GetValueOrDefault<int>() < least)
            result.AddError($"{result.Option.Name} is {result.GetValueOrDefault<int>()}; at least {least} is possible.");
    }
}
