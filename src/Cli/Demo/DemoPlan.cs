namespace FastPlasma.Cli.Demo;

/// <summary>One file of the demo and how it gets into the store.</summary>
/// <param name="Path">Path relative to the root; the object's id is made of it.</param>
/// <param name="Bytes">Length when the directory was read.</param>
/// <param name="InPlace">Create, read into the store, seal; else read into a buffer and put.</param>
internal sealed record DemoFile(string Path, long Bytes, bool InPlace)
{
    /// <summary>Name of the object.</summary>
    internal ObjectId Id => ObjectId.FromName(Path);
}

/// <summary>What every process of the demo is told first.</summary>
internal sealed record DemoPlan(string Store, string Root, int Index, int Consumers, int TimeoutMs, IReadOnlyList<DemoFile> Files)
{
    /// <summary>How long a child waits for any one object.</summary>
    internal TimeSpan Timeout => TimeSpan.FromMilliseconds(TimeoutMs);

    /// <summary>Place of a file on disk.</summary>
    internal string FullPath(DemoFile file) => Path.Combine(Root, file.Path);
}
