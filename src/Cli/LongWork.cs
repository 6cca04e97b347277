using Spectre.Console;

namespace FastPlasma.Cli;

/// <summary>Work that gets a progress bar on stderr when a person watches and it turns out to take long.</summary>
internal sealed class LongWork : IProgress<double>
{
    private static readonly TimeSpan QuietFor = TimeSpan.FromMilliseconds(700), RedrawEvery = TimeSpan.FromMilliseconds(100);

    private readonly CancellationToken _cancellation;
    private double _fraction;

    private LongWork(CancellationToken cancellation) => _cancellation = cancellation;

    /// <summary>Reports the done share, 0 to 1 or NaN while the whole is not known, and ends the work when Ctrl-C was pressed.</summary>
    /// <exception cref="OperationCanceledException">Ctrl-C.</exception>
    public void Report(double value)
    {
        _cancellation.ThrowIfCancellationRequested();
        Volatile.Write(ref _fraction, value);
    }

    /// <summary>Runs the work on this thread when nobody watches or <paramref name="quiet"/> is set, else beside a bar.</summary>
    internal static T Run<T>(Call call, string label, Func<LongWork, T> work, bool quiet = false)
    {
        var progress = new LongWork(call.Cancellation);
        if (quiet || call.Json || call.Context.ErrorTerminal is not { } terminal)
            return work(progress);
        Task<T> task = Task.Factory.StartNew(() => work(progress), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (!Finished(task, QuietFor))
        {
            new Progress(terminal) { AutoClear = true }
                .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
                .Start(context =>
                {
                    ProgressTask bar = context.AddTask(Markup.Escape(TextTable.Printable(label)), maxValue: 1);
                    while (!Finished(task, RedrawEvery))
                    {
                        double fraction = Volatile.Read(ref progress._fraction);
                        bar.IsIndeterminate = double.IsNaN(fraction);
                        bar.Value = bar.IsIndeterminate ? 0 : fraction;
                    }
                });
        }

        return task.GetAwaiter().GetResult();
    }

    private static bool Finished(Task task, TimeSpan wait) => Task.WaitAny([task], wait) == 0;
}
