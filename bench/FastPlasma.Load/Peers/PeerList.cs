namespace FastPlasma.Load.Peers;

/// <summary>All peers: every class of this program that implements <see cref="IPeer"/> and has a constructor without parameters.</summary>
internal static class PeerList
{
    /// <summary>Name of the product itself, whose figure is what the others are held against.</summary>
    internal const string Product = "fastplasma";

    /// <summary>The product, and then the others by name.</summary>
    internal static IReadOnlyList<IPeer> All { get; } = Create();

    /// <summary>The least that the machine needs for the same calls; measured always, never chosen.</summary>
    internal static IPeer Ceiling { get; } = new CeilingPeer();

    /// <summary>The peer of that name, or the ceiling.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    internal static IPeer Find(string name) =>
        All.Prepend(Ceiling).FirstOrDefault(peer => peer.Name == name)
        ?? throw new ArgumentException($"There is no peer '{name}'; there are {string.Join(", ", All.Select(static peer => peer.Name))}.", nameof(name));

    private static IPeer[] Create() =>
    [
        .. typeof(IPeer).Assembly.GetTypes()
            .Where(static type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(typeof(IPeer)) && type != typeof(CeilingPeer))
            .Select(static type => (IPeer)Activator.CreateInstance(type, nonPublic: true)!)
            .OrderBy(static peer => peer.Name == Product ? "" : peer.Name, StringComparer.Ordinal),
    ];
}
