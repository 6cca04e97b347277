namespace FastPlasma.Stress.Instructions;

/// <summary>Where the build puts the victims, seen from this executable: artifacts/bin/FastPlasma.Stress/release.</summary>
internal static class Places
{
    private static readonly DirectoryInfo s_own = new(AppContext.BaseDirectory.TrimEnd('/'));

    internal static string Artifacts => s_own.Parent!.Parent!.Parent!.FullName;

    /// <summary>Root of the repository.</summary>
    internal static string Root => Path.GetDirectoryName(Artifacts)!;

    /// <summary>With NativeAOT.</summary>
    internal static string Victim => Path.Combine(Artifacts, "publish", "FastPlasma.Victim", "release", "FastPlasma.Victim");

    /// <summary>With fail points.</summary>
    internal static string FailPointsVictim => Path.Combine(Artifacts, "bin", "FastPlasma.Victim.FailPoints", s_own.Name, "FastPlasma.Victim.FailPoints");
}
