using FastPlasma.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace FastPlasma.Cli.Nodes;

/// <summary>A node service in this process.</summary>
internal static class NodeHost
{
    /// <summary>How long the node may take to end; less than a command has after Ctrl-C.</summary>
    private static readonly TimeSpan StopTime = TimeSpan.FromSeconds(8);

    /// <summary>Runs until the token; log lines go to stderr.</summary>
    /// <param name="store">To serve.</param>
    /// <param name="options">How.</param>
    /// <param name="logLevel">Least important lines that are written.</param>
    /// <param name="started">Called once others can reach it.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="CliException">It cannot run: another one does, or the address cannot be had.</exception>
    internal static async Task RunAsync(PlasmaStore store, PlasmaNodeOptions options, LogLevel logLevel, Action<PlasmaNode> started, CancellationToken cancellation)
    {
        using IHost host = Build(store, options, logLevel);
        try
        {
            await host.StartAsync(cancellation);
            started(host.Services.GetRequiredService<PlasmaNode>());
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellation).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
        catch (InvalidOperationException e)
        {
            throw new CliException(ExitCodes.Store, Failure.StoreErrorStatus, Failure.MessageOf(e), e);
        }
        catch (IOException e)
        {
            throw new CliException(ExitCodes.InputOutput, Failure.InputOutputStatus, Failure.MessageOf(e), e);
        }
        finally
        {
            using var limit = new CancellationTokenSource(StopTime);
            await host.StopAsync(limit.Token);
        }
    }

    private static IHost Build(PlasmaStore store, PlasmaNodeOptions options, LogLevel logLevel)
    {
        // Empty: no configuration from files or variables of the folder in which it happens to be started.
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(logLevel).AddFilter("Microsoft", LogLevel.None); // A failure to start is told by the command.
        builder.Logging.AddSimpleConsole(static format =>
        {
            format.SingleLine = true;
            format.ColorBehavior = LoggerColorBehavior.Disabled;
            format.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            format.UseUtcTimestamp = true;
        });
        builder.Services.Configure<ConsoleLoggerOptions>(static console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.AddSingleton<IHostLifetime, Unsignalled>();
        builder.Services.AddFastPlasmaNode(store, options);
        return builder.Build();
    }

    /// <summary>The command owns the signals.</summary>
    private sealed class Unsignalled : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
