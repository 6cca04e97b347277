namespace FastPlasma.Transfer.Scheduling;

/// <summary>How many nodes one object is taken from at a time, and over how many connections.</summary>
internal static class SourceLimits
{
    internal const int CompleteMax = 8, PartialMax = 8;

    /// <summary>Chunks asked over one connection at a time.</summary>
    internal const int CreditsPerLink = 3;

    /// <summary>Whether one more node is worth asking.</summary>
    internal static bool WantsMore(FetchPlan plan) => plan.CompleteCount < CompleteMax && plan.PartialCount < PartialMax;

    /// <summary>Whether a node that has the object, or part of it, becomes a source.</summary>
    internal static bool Takes(FetchPlan plan, bool isPartial) => isPartial ? plan.PartialCount < PartialMax : plan.CompleteCount < CompleteMax;

    /// <summary>Connections to a source: a partial one has several that take from it, each over one.</summary>
    internal static int LinksTo(bool isPartial, int streams) => isPartial ? 1 : streams;

    /// <summary>Waits this long with nothing under way before a crowded source is asked; not all at once, so that they do not all ask it in the same moment.</summary>
    internal static long PatienceMs(uint firstChunk) => 1000 + firstChunk * 2654435761u % 2000;
}
