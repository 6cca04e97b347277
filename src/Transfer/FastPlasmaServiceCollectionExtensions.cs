using FastPlasma.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Nodes in an application with a host.</summary>
public static class FastPlasmaServiceCollectionExtensions
{
    /// <summary>Runs a node as long as the host runs, and makes it available as <see cref="PlasmaNode"/>. Once for each store.</summary>
    /// <param name="services">Of the host.</param>
    /// <param name="store">The store to serve; it belongs to the caller and has to stay open until the host has stopped.</param>
    /// <param name="options">How the node takes part; null for the defaults.</param>
    /// <returns><paramref name="services"/>.</returns>
    /// <remarks>Options that are impossible show when the host starts. A service provider without a host has to be disposed asynchronously.</remarks>
    public static IServiceCollection AddFastPlasmaNode(this IServiceCollection services, FastPlasma.PlasmaStore store, PlasmaNodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(store);
        object key = new(); // A host may run several nodes; each hosted service is to be its own.
        services.AddKeyedSingleton(key, (provider, _) => new PlasmaNode(store, options, provider.GetService<ILogger<PlasmaNode>>()));
        services.AddSingleton(provider => provider.GetRequiredKeyedService<PlasmaNode>(key));
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredKeyedService<PlasmaNode>(key));
        return services;
    }
}
