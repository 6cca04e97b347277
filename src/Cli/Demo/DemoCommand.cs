using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using Spectre.Console;

namespace FastPlasma.Cli.Demo;

/// <summary>fastplasma demo: one producer and several consumers share the files of a directory, and count the copies.</summary>
internal static class DemoCommand
{
    internal const string ProducerCommand = "__producer", ConsumerCommand = "__consumer", NodeCommand = "__node";
    private const int CancelledExitCode = 130;

    public static Command Create()
    {
        Argument<DirectoryInfo?> path = new("path")
        {
            Description = "Directory whose files are shared, with all below it; default: the .NET runtime's own.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<int> consumers = new("--consumers") { Description = "Consumer processes.", HelpName = "N", DefaultValueFactory = _ => 4 };
        consumers.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > 32)
                result.AddError("--consumers is a number from 1 to 32.");
        });
        Option<int> timeout = new("--timeout") { Description = "Longest run, in seconds.", HelpName = "S", DefaultValueFactory = _ => 120 };
        timeout.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > 86_400)
                result.AddError("--timeout is a number of seconds from 1 to 86400.");
        });
        Option<int?> nodes = new("--nodes") { Description = "Instead of consumers, so many node services, one of which is killed and comes back.", HelpName = "N" };
        nodes.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() is < 3 or > 8)
                result.AddError("--nodes is a number from 3 to 8.");
        });
        Option<long> large = new("--large")
        {
            Description = "With --nodes: size of each of the large objects. Default 64MiB.",
            HelpName = "SIZE",
            DefaultValueFactory = _ => 64 << 20,
            CustomParser = Sizes.ParseBytes,
        };
        large.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && Sizes.TryParseBytes(result.Tokens[^1].Value, out long bytes) && bytes is < 1 << 20 or > 16L << 30)
                result.AddError("--large is a size from 1MiB to 16GiB.");
        });
        Option<bool> json = new("--json") { Description = "Print one JSON object." };

        Command producer = new(ProducerCommand) { Hidden = true };
        producer.SetAction(_ => DemoProducer.Run());
        Command consumer = new(ConsumerCommand) { Hidden = true };
        consumer.SetAction(_ => DemoConsumer.Run());

        Command node = new(NodeCommand) { Hidden = true };
        node.SetAction(_ => DemoNodeChild.Run());

        Command command = new("demo", "Share real files between a producer and several consumer processes, verify them, and count the copies.")
        {
            path, consumers, nodes, large, timeout, json, producer, consumer, node,
        };
        command.SetAction((parse, cancellation) =>
            RunAsync(
                parse.GetValue(path)?.FullName ?? RuntimeEnvironment.GetRuntimeDirectory(),
                parse.GetValue(consumers),
                parse.GetValue(nodes),
                parse.GetValue(large),
                TimeSpan.FromSeconds(parse.GetValue(timeout)),
                parse.GetValue(json),
                cancellation));
        return command;
    }

    private static async Task<int> RunAsync(string root, int consumers, int? nodes, long largeBytes, TimeSpan timeout, bool json, CancellationToken cancellation)
    {
        if (!Directory.Exists(root))
        {
            await Console.Error.WriteLineAsync($"'{root}' is no directory.");
            return 1;
        }

        try
        {
            DemoFiles files = DemoFiles.Scan(root, cancellation);
            if (files.Files.Count == 0)
            {
                await Console.Error.WriteLineAsync($"'{root}' has no readable file ({files.Skipped.Count} skipped).");
                return 1;
            }

            if (nodes is { } count)
            {
                var run = new DemoNodesRun(root, files, count, largeBytes, timeout, json ? static _ => { } : AnsiConsole.WriteLine);
                DemoNodesResult found = await run.RunAsync(cancellation);
                if (json)
                    Console.WriteLine(JsonSerializer.Serialize(found, DemoNodesResultJson.Readable.DemoNodesResult));
                else
                    DemoReport.Write(found, AnsiConsole.Console);
                return found.Ok ? 0 : 1;
            }

            DemoResult result = await DemoProgress.RunAsync(
                wanted: !json, progress => new DemoRun(root, files, consumers, timeout, progress).RunAsync(cancellation));
            if (json)
                Console.WriteLine(JsonSerializer.Serialize(result, DemoResultJson.Readable.DemoResult));
            else
                DemoReport.Write(result, AnsiConsole.Console);
            return result.Ok ? 0 : 1;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("Cancelled; the demo's processes and store are gone.");
            return CancelledExitCode;
        }
    }
}
