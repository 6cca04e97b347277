namespace FastPlasma.Nodes;

/// <summary>How much somebody wants an object that is not here.</summary>
internal enum NodePriority
{
    /// <summary>Perhaps later.</summary>
    Prefetch = 0,

    /// <summary>Somebody waits for its seal, perhaps for any of many.</summary>
    Wait = 1,

    /// <summary>Somebody stands still until he can read it.</summary>
    Get = 2,

    /// <summary>Not for the node service: a writer is to bring it back from disk (RestoreAsk).</summary>
    Restore = 3,
}

/// <summary>What a node service says of a request. A number that a requester does not know is shown as a number.</summary>
internal enum NodeAnswer : byte
{
    /// <summary>Nothing yet.</summary>
    None = 0,

    /// <summary>The object is in the store.</summary>
    Fetched = 1,

    /// <summary>No node that could be asked has it.</summary>
    NotFound = 2,

    /// <summary>Who could say which nodes have it cannot be reached.</summary>
    DirectoryUnreachable = 3,

    /// <summary>This store has no room for it.</summary>
    NoSpace = 4,

    /// <summary>The node that sent it went away, and no other has the same incarnation.</summary>
    SourceLost = 5,

    /// <summary>The requester's deadline passed.</summary>
    TimedOut = 6,

    /// <summary>It can never fit into this store.</summary>
    TooLarge = 7,

    /// <summary>What arrived was not what was sent, again and again.</summary>
    Damaged = 8,

    /// <summary>A node that has it refused.</summary>
    Refused = 9,

    /// <summary>The service ends.</summary>
    Stopping = 10,
}

/// <summary>Names one request for as long as it is of interest: a later one in the same record has another sequence.</summary>
/// <param name="Domain">0 for the writers; others are readers of another user, who get no answers.</param>
/// <param name="Participant">Place in the domain.</param>
/// <param name="Record">Record in the participant's block.</param>
/// <param name="Sequence">Of the request in that record.</param>
internal readonly record struct NodeRequestHandle(int Domain, int Participant, int Record, uint Sequence);

/// <summary>One request as the service sees it. Everything in it was written by another process; any id is possible.</summary>
/// <param name="Handle">Its name.</param>
/// <param name="Id">What is wanted.</param>
/// <param name="DeadlineTicks">Until when it is wanted, on the clock of <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/>; <see cref="long.MaxValue"/> for ever.</param>
/// <param name="Priority">How much.</param>
/// <param name="IsKept">Whether its end is reported and answers are read. A request that is not kept is over at its deadline, 20 s away at most, unless it is asked again (as another request) before.</param>
internal readonly record struct NodeRequest(NodeRequestHandle Handle, ObjectId Id, long DeadlineTicks, NodePriority Priority, bool IsKept);
