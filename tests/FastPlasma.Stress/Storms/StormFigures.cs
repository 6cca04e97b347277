namespace FastPlasma.Stress.Storms;

/// <summary>What a storm has counted. Written by the thread of the storm; others may read the simple numbers while it runs.</summary>
internal sealed class StormFigures
{
    internal const int FindingsShownMax = 40;

    internal int Kills, Pairs, RecovererKills, Attachments, Stops, Recoveries, Detaching, QuietPoints;
    internal long Operations, Gets, ObjectsVerified, StallTicks, UsedBytesMax;
    internal int Lost, Stuck; // Observations: one lost object may be missed by several readers.
    internal long LeakedBytes;
    internal TimeSpan Elapsed;
    private long _leakedAtOnce;

    /// <summary>Milliseconds from a kill to the moment when nothing is left of the dead participant, as the parent sees it.</summary>
    internal List<double> RecoveryMs { get; } = [];

    /// <summary>Work time of one recovery in milliseconds.</summary>
    internal double[] WorkMs { get; set; } = [];

    /// <summary>What the store has counted by itself, of all processes.</summary>
    internal OperationCounts Counts { get; set; } = new();

    /// <summary>The first findings, one sentence each.</summary>
    internal List<string> Findings { get; } = [];

    internal bool IsSound => Lost == 0 && LeakedBytes == 0 && Stuck == 0;

    internal string LastLine => FormattableString.Invariant($"kills {Kills}, recoveries {Recoveries}, lost {Lost}, leaked {LeakedBytes}, stuck {Stuck}");

    internal void AddLost(string what)
    {
        Lost++;
        Add($"lost: {what}");
    }

    /// <summary>What is leaked stays so and is met at every quiet point: the most that one of them finds counts.</summary>
    internal void BeginJudgement() => _leakedAtOnce = 0;

    internal void AddLeak(long bytes, string what)
    {
        _leakedAtOnce += bytes;
        LeakedBytes = Math.Max(LeakedBytes, _leakedAtOnce);
        Add($"leaked: {what}");
    }

    internal void AddStuck(string what)
    {
        Stuck++;
        Add($"stuck: {what}");
    }

    private void Add(string finding)
    {
        if (Findings.Count < FindingsShownMax)
            Findings.Add(FormattableString.Invariant($"{Elapsed.TotalSeconds:0.000} s, kill {Kills}: {finding}"));
    }
}
