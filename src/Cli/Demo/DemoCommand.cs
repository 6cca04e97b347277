using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using Spectre.Console;

namespace FastPlasma.Cli.Demo;

/// <summary>fastplasma demo: one producer and several consumers share the files of a directory, and count the copies.</summary>
internal static class DemoCommand
{
    internal const string ProducerCommand = "__producer", ConsumerCommand = "__consumer";
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
        Option<bool> json = new("--json") { Description = "Print one JSON object." };

        Command producer = new(ProducerCommand) { Hidden = true };
        producer.SetAction(_ => DemoProducer.Run());
        Command consumer = new(ConsumerCommand) { Hidden = true };
        consumer.SetAction(_ => DemoConsumer.Run());

        Command command = new("demo", "Share real files between a producer and several consumer processes, verify them, and count the copies.")
        {
            path, consumers, timeout, json, producer, consumer,
        };
        command.SetAction((parse, cancellation) =>
            RunAsync(
                parse.GetValue(path)?.FullName ?? RuntimeEnvironment.GetRuntimeDirectory(),
                parse.GetValue(consumers),
                TimeSpan.FromSeconds(parse.GetValue(timeout)),
                parse.GetValue(json),
                cancellation));
        return command;
    }

    private static async Task<int> RunAsync(string root, int consumers, TimeSpan timeout, bool json, CancellationToken cancellation)
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
