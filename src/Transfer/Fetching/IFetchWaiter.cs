using FastPlasma.Nodes;

namespace FastPlasma.Transfer.Fetching;

/// <summary>Who wants an object. Calls come from any thread, under no lock, once per id and request, and must not wait.</summary>
internal interface IFetchWaiter
{
    /// <summary>The object is in the store, or will not come: then with the reason, for people.</summary>
    void OnFetched(in ObjectId id, NodeAnswer answer, string? reason);

    /// <summary>How things stand, of a fetch that goes on. Called under the fetch's lock.</summary>
    void OnProgress(in ObjectId id, NodeAnswer state);
}
