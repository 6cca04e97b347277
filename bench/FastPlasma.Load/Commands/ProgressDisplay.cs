using Spectre.Console;

namespace FastPlasma.Load.Commands;

/// <summary>What is being measured, on a terminal.</summary>
internal static class ProgressDisplay
{
    /// <summary>Runs something that tells how far it is.</summary>
    internal static T Show<T>(bool show, Func<Action<string>, T> work)
    {
        if (!show)
            return work(static _ => { });
        return AnsiConsole.Status().Start("starting", status =>
        {
            // One refresh in half a second: a spinner that turns faster would take part in the measurement.
            status.Spinner(new SlowSpinner());
            return work(what => status.Status(Markup.Escape(what)));
        });
    }

    private sealed class SlowSpinner : Spinner
    {
        public override TimeSpan Interval => TimeSpan.FromMilliseconds(500);

        public override bool IsUnicode => false;

        public override IReadOnlyList<string> Frames => ["|", "/", "-", "\\"];
    }
}
