namespace FastPlasma.Load.Driver;

/// <summary>The repository that this was started in or built from: where sources lie, and what was published there.</summary>
internal static class Checkout
{
    private const string SolutionName = "FastPlasma.sln";

    /// <summary>Its folder, or null when this runs outside of one.</summary>
    internal static string? Folder { get; } = Find();

    private static string? Find()
    {
        foreach (string start in (string[])[Directory.GetCurrentDirectory(), AppContext.BaseDirectory])
            for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
                if (File.Exists(Path.Combine(folder.FullName, SolutionName)))
                    return folder.FullName;
        return null;
    }
}
