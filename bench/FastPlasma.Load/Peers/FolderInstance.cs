namespace FastPlasma.Load.Peers;

/// <summary>A store that is a folder of files and has no server.</summary>
internal sealed class FolderInstance : IPeerInstance
{
    private FolderInstance(string folder) => Address = folder;

    /// <summary>The folder.</summary>
    public string Address { get; }

    /// <summary>Makes the folder.</summary>
    /// <param name="setup">Where.</param>
    /// <param name="name">Its name.</param>
    /// <param name="fileBytes">Space that its files may need; without it a process that writes through a mapping would be killed by SIGBUS.</param>
    internal static FolderInstance Create(PeerSetup setup, string name, long fileBytes)
    {
        long freeBytes = new DriveInfo(setup.Directory).AvailableFreeSpace;
        if (freeBytes < fileBytes)
            throw new InvalidOperationException($"{name} may need {fileBytes} bytes for objects of {setup.CapacityBytes}, and {setup.Directory} has {freeBytes} free.");
        string folder = Path.Combine(setup.Directory, name);
        Directory.CreateDirectory(folder);
        return new FolderInstance(folder);
    }

    /// <summary>Removes it with all of its files.</summary>
    public void Dispose()
    {
        if (Directory.Exists(Address))
            Directory.Delete(Address, recursive: true);
    }
}
