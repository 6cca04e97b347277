using System.Text.Json;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Parts;

/// <summary>What one process of a scenario does that is more than calls of a peer in a loop. A part is one file: every class that implements this is found.</summary>
internal interface IPart
{
    /// <summary>Short, lower case, unique.</summary>
    string Name { get; }

    /// <summary>Plays it. An exception is told to the driver.</summary>
    /// <param name="parent">The driver.</param>
    /// <param name="arguments">What the scenario gave.</param>
    void Run(ParentPipe parent, string[] arguments);
}

/// <summary>All parts.</summary>
internal static class PartList
{
    internal static IPart Find(string name) => typeof(IPart).Assembly.GetTypes()
        .Where(static type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(typeof(IPart)))
        .Select(static type => (IPart)Activator.CreateInstance(type, nonPublic: true)!)
        .Single(part => part.Name == name);

    /// <summary>Tells the driver what was found.</summary>
    internal static void SendResult(this ParentPipe parent, WorkResult result) => parent.Send(JsonSerializer.Serialize(result, WorkJson.Default.WorkResult));
}
