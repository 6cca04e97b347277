using Spectre.Console;

namespace FastPlasma.Cli.Demo;

/// <summary>How far the processes are, for a human at a terminal; silent everywhere else.</summary>
internal sealed class DemoProgress
{
    private readonly ProgressContext? _context;
    private readonly Dictionary<string, ProgressTask> _tasks = [];

    private DemoProgress(ProgressContext? context) => _context = context;

    /// <summary>Runs <paramref name="work"/> under a display if the output is a terminal and <paramref name="wanted"/>.</summary>
    internal static Task<DemoResult> RunAsync(bool wanted, Func<DemoProgress, Task<DemoResult>> work)
    {
        if (!wanted || Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
            return work(new DemoProgress(null));
        return AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn())
            .StartAsync(context => work(new DemoProgress(context)));
    }

    /// <summary>Shows <paramref name="done"/> of <paramref name="total"/>.</summary>
    internal void Report(string role, string what, int done, int total)
    {
        if (_context is null)
            return;
        lock (_tasks)
        {
            if (!_tasks.TryGetValue(role, out ProgressTask? task))
                _tasks[role] = task = _context.AddTask(Markup.Escape($"{role}: {what}"), maxValue: total);
            task.Value = done;
        }
    }
}
