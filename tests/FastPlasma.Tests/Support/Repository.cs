namespace FastPlasma.Tests;

/// <summary>The working copy that the tests were built from.</summary>
internal static class Repository
{
    internal static string Folder { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "FastPlasma.sln")))
                return folder.FullName;
        throw new DirectoryNotFoundException($"No FastPlasma.sln above {AppContext.BaseDirectory}.");
    }
}
