namespace FastPlasma.Tests.Interop;

/// <summary>What these tests share: programs are compiled once.</summary>
[CollectionDefinition(Name)]
public sealed class CollectionOfInterop : ICollectionFixture<CLibrary>
{
    internal const string Name = "Interop";
}
