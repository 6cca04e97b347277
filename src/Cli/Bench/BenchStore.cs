using System.Collections.Concurrent;

namespace FastPlasma.Cli.Bench;

/// <summary>A named store of one scenario, destroyed with this object.</summary>
internal sealed class BenchStore : IDisposable
{
    private static readonly ConcurrentDictionary<string, bool> Names = [];
    private readonly string _name = $"fastplasma-bench-{Environment.ProcessId}-{Guid.NewGuid():N}"[..40];

    internal BenchStore(PlasmaOptions options)
    {
        Names[_name] = true;
        Store = PlasmaStore.Create(_name, options);
    }

    /// <summary>The store.</summary>
    internal PlasmaStore Store { get; }

    /// <summary>Destroys what a cancelled scenario leaves; the process ends right after.</summary>
    internal static void DestroyAll()
    {
        foreach (string name in Names.Keys)
            PlasmaStore.Destroy(name);
    }

    public void Dispose()
    {
        Store.Dispose();
        PlasmaStore.Destroy(_name);
        Names.TryRemove(_name, out _);
    }
}
