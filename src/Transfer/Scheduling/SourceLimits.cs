namespace FastPlasma.Transfer.Scheduling;

/// <summary>How many nodes one object is taken from at a time, and over how many connections.</summary>
internal static class SourceLimits
{
    internal const int CompleteMax = 8, PartialMax = 8;

    /// <summary>Chunks asked over one connection at a time, and how many of them may be left before it is asked for more: two in one frame cost less than two frames.</summary>
    internal const int CreditsPerLink = 4, CreditsLeft = 2;

    /// <summary>The same where one node has the object and nobody else takes it: the more is asked, the less often the two ends wait for each other, and there is no other source that could take over what is asked of a slow one.</summary>
    internal const int CreditsOfOnly = 8, CreditsOfOnlyLeft = 4;

    /// <summary>Whether one more node is worth asking.</summary>
    internal static bool WantsMore(FetchPlan plan) => plan.CompleteCount < CompleteMax && plan.PartialCount < PartialMax;

    /// <summary>Whether a node that has the object, or part of it, becomes a source. A partial one that serves enough others is left to them: it would be a bottleneck, and what it has goes on from those.</summary>
    internal static bool Takes(FetchPlan plan, bool isPartial, bool isCrowded) => isPartial ? !isCrowded && plan.PartialCount < PartialMax : plan.CompleteCount < CompleteMax;

    /// <summary>Connections to a source: a partial one has several that take from it, each over one.</summary>
    internal static int LinksTo(bool isPartial, int streams) => isPartial ? 1 : streams;

    /// <summary>Whether a source is asked for more now: where others take the object too always, since who asks late finds more of it elsewhere; else when a connection is about to run dry.</summary>
    internal static bool IsDue<T>(Dictionary<T, List<int>> links, FetchPlan plan)
        where T : class
    {
        if (plan.IsShared)
            return true;
        int left = IsOnly(plan) ? CreditsOfOnlyLeft : CreditsLeft;
        foreach (List<int> asked in links.Values)
            if (asked.Count <= left)
                return true;
        return false;
    }

    /// <summary>Over which connection to ask next: the one with the fewest chunks on their way. Where others take the object too, the first that has credits: chunks then come one after the other and not side by side, so the first is there sooner and can go on.</summary>
    /// <param name="links">Connections to one source, with the chunks that were asked over each.</param>
    /// <param name="plan">Of the object.</param>
    /// <param name="isFull">Whether a connection is to take no more of anything.</param>
    /// <returns>Null when none has credits left.</returns>
    internal static T? LinkFor<T>(Dictionary<T, List<int>> links, FetchPlan plan, Func<T, bool> isFull)
        where T : class
    {
        T? best = null;
        int least = IsOnly(plan) ? CreditsOfOnly : CreditsPerLink;
        foreach ((T link, List<int> asked) in links)
        {
            if (asked.Count >= least || isFull(link))
                continue;
            if (plan.IsShared)
                return link;
            (best, least) = (link, asked.Count);
        }
        return best;
    }

    private static bool IsOnly(FetchPlan plan) => !plan.IsShared && plan.CompleteCount + plan.PartialCount == 1;
}
