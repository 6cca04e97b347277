using FastPlasma.Cli.Children;
using FastPlasma.Load.Churn;

namespace FastPlasma.Load.Parts;

/// <summary>Carries out a trace of allocations on a store. Arguments: the trace, the file for the curve, whether pages are touched. Sends the line of figures.</summary>
internal sealed class ChurnPart : IPart
{
    internal const string PartName = "churn";

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments) =>
        parent.SendResult(ReplayFigures.Parse(StoreReplay.Run(Trace.Read(arguments[0]), arguments[1], bool.Parse(arguments[2]))));
}
