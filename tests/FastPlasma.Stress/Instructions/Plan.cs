using FastPlasma.Victim;

namespace FastPlasma.Stress.Instructions;

/// <summary>An object that a scenario makes or removes: afterwards it may be there or not, but never half.</summary>
/// <param name="Name">Its name in <see cref="Content"/>.</param>
/// <param name="Bytes">Length of the payload.</param>
/// <param name="IsThereBefore">Whether the survivor puts it before the victim starts.</param>
/// <param name="IsEvictable">How the survivor puts it.</param>
/// <param name="IsPinned">Whether the survivor reads it all the while.</param>
/// <param name="IsSpilled">Whether the survivor moves it to disk before the victim starts.</param>
internal sealed record Target(string Name, int Bytes, bool IsThereBefore = false, bool IsEvictable = false, bool IsPinned = false, bool IsSpilled = false)
{
    /// <summary>Whether it has a copy on disk, and is in memory.</summary>
    internal bool IsClean { get; init; }

    /// <summary>Whether it has to be there afterwards: nobody deletes it.</summary>
    internal bool Stays { get; init; }
}

/// <summary>The survivor's side of a scenario of the same name.</summary>
internal sealed record Plan(string Name, params Target[] Targets)
{
    /// <summary>Whether the scenario seals its first target, so that a thread of the survivor waits for it. In the others one waits for an object that the survivor seals after the victim's death.</summary>
    internal bool HasWaiter { get; init; }

    /// <summary>Whether the survivor puts the first target while the victim waits for it.</summary>
    internal bool PutsDuring { get; init; }

    /// <summary>Whether a participant dies before the operation begins, with pins, unsealed and condemned objects.</summary>
    internal bool HasDead { get; init; }

    /// <summary>Whether the dead participant must be there before the victim is ready (an attacher), or may wait until then.</summary>
    internal bool DiesBeforeReady { get; init; }

    /// <summary>Whether empty chunks are given back first, so that the operation has to take new ones.</summary>
    internal bool TrimsBefore { get; init; }

    /// <summary>Whether empty chunks are made first, for the operation to give back.</summary>
    internal bool LeavesEmptyChunks { get; init; }

    /// <summary>Whether nobody but the victim has the store: its operation is the store's creation (false) or its end (true).</summary>
    internal bool? OwnStoreIsThere { get; init; }

    /// <summary>Whether every run needs a new store, because what the operation does cannot be taken back.</summary>
    internal bool NeedsFreshStore { get; init; }

    /// <summary>Scenario that a dead participant ran, if there is one.</summary>
    internal string Dead { get; init; } = "hold";

    /// <summary>Whether the store has a spill directory.</summary>
    internal bool HasSpill { get; init; }

    /// <summary>With <see cref="OwnStoreIsThere"/> and <see cref="HasSpill"/>: whether the store leaves its first target on disk with a catalogue, before the victim comes.</summary>
    internal bool IsPersistent { get; init; }

    internal long CapacityBytes { get; init; } = 16 << 20;

    /// <summary>What the dead participant leaves.</summary>
    private static readonly Target[] s_held = [new(Content.HeldSmall, Content.SmallBytes), new(Content.HeldLarge, Content.LargeBytes), new(Content.HeldCondemned, Content.FirstBytes)];

    private static Target Small { get; } = new(Content.Target, Content.SmallBytes);

    private static Target Large { get; } = new(Content.Target, Content.LargeBytes);

    private static Target[] Fillers { get; } = [.. Content.Fillers.Select(static name => new Target(name, Content.FillerBytes, IsThereBefore: true, IsEvictable: true))];

    private static Target[] Kept { get; } = [.. Fillers.Select(static filler => filler with { IsEvictable = false, Stays = true })];

    private static Target Spilled { get; } = Large with { IsThereBefore = true, IsSpilled = true, Stays = true };

    internal static Plan Of(string name) => Array.Find(All, p => p.Name == name) ?? throw new ArgumentException($"There is no scenario '{name}'; there are {string.Join(", ", All.Select(static p => p.Name))}.", nameof(name));

    internal static Plan[] All { get; } =
    [
        new("seal-small", Small) { HasWaiter = true },
        new("seal-large", Large) { HasWaiter = true },
        new("put-full", Small) { HasWaiter = true },
        new("put-first", new Target(Content.Target, Content.FirstBytes)) { HasWaiter = true, TrimsBefore = true },
        new("put-large-first", Large) { TrimsBefore = true },
        new("put-huge", new Target(Content.Target, Content.HugeBytes)) { TrimsBefore = true },
        new("put-many", Small, new Target(Content.Second, Content.SmallBytes)) { HasWaiter = true },
        new("put-quota", Small),
        new("put-exists"),
        new("put-evict", [new Target(Content.Target, Content.EvictingBytes), .. Fillers]) { CapacityBytes = 4 << 20 },
        new("put-recover", s_held) { HasDead = true },
        new("abort", Small),
        new("abort-by-id", Large),
        new("get"),
        new("get-read-only"),
        new("get-miss"),
        new("release"),
        new("release-deleted", Small with { IsThereBefore = true }),
        new("delete", Small with { IsThereBefore = true }),
        new("delete-large", Large with { IsThereBefore = true }),
        new("delete-pinned", new Target(Content.Pinned, Content.SmallBytes, IsThereBefore: true, IsPinned: true)),
        new("evict", Fillers) { CapacityBytes = 4 << 20 },
        new("evict-all", Fillers) { CapacityBytes = 4 << 20 },
        new("put-wait"),
        new("expire"),
        new("wait", Small) { PutsDuring = true },
        new("wait-any", Small) { PutsDuring = true },
        new("get-many", Small) { PutsDuring = true },
        new("subscribe", Small) { PutsDuring = true },
        new("replica", Small) { HasWaiter = true },
        new("delete-incarnation", Small with { IsThereBefore = true }),
        new("node-get", Small) { PutsDuring = true },
        new("node-serve"),
        new("attach"),
        new("attach-read-only"),
        new("attach-recover", s_held) { HasDead = true, DiesBeforeReady = true },
        new("detach"),
        new("detach-condemned", new Target(Content.Pinned, Content.SmallBytes, IsThereBefore: true, IsPinned: true)),
        new("create-store") { OwnStoreIsThere = false },
        new("destroy-store") { OwnStoreIsThere = true },
        new("admit") { NeedsFreshStore = true },
        new("trim") { LeavesEmptyChunks = true },
        new("list"),
        new("stat"),
        new("verify"),
        new("recover", s_held) { HasDead = true },
        new("spill", Kept) { CapacityBytes = 4 << 20, HasSpill = true },
        new("put-spill", [new Target(Content.Target, Content.EvictingBytes), .. Kept]) { CapacityBytes = 4 << 20, HasSpill = true },
        new("restore", Spilled) { HasSpill = true },
        new("restore-full", [new Target(Content.Target, Content.EvictingBytes, IsThereBefore: true, IsSpilled: true) { Stays = true }, .. Kept.Select(static filler => filler with { IsPinned = true })]) { CapacityBytes = 4 << 20, HasSpill = true },
        new("restore-deleted", Spilled with { Stays = false }) { HasSpill = true },
        new("restore-many", Spilled) { HasSpill = true },
        new("restore-read-only", Spilled) { HasSpill = true },
        new("delete-spilled", Spilled with { Stays = false }) { HasSpill = true },
        new("read-into", Spilled) { HasSpill = true },
        new("trim-spill") { LeavesEmptyChunks = true, HasSpill = true },
        new("detach-persistent", Large) { OwnStoreIsThere = true, HasSpill = true, IsPersistent = true },
        new("attach-persistent", Large) { OwnStoreIsThere = true, HasSpill = true, IsPersistent = true },
        new("create-persistent", Large) { OwnStoreIsThere = false, HasSpill = true, IsPersistent = true },
        new("recover-moves", Spilled, Kept[0] with { IsClean = true }, Kept[1]) { HasDead = true, Dead = "hold-moves", HasSpill = true },
    ];
}
