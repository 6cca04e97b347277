using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Spill;

namespace FastPlasma.Victim;

/// <summary>The operations that a victim can die in. Each prepares everything first and gives back the one call that is attacked.</summary>
internal static class Scenarios
{
    private const string ReaderUser = "64999"; // Any uid but the owner's; no account of that number is needed.

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    /// <summary>By name. The survivor's side of each is a Plan of the same name.</summary>
    internal static readonly Dictionary<string, Func<string, Action>> All = new()
    {
        ["seal-small"] = name => Seal(name, Content.Target, Content.SmallBytes),
        ["seal-large"] = name => Seal(name, Content.Target, Content.LargeBytes),
        ["put-full"] = PutWithEverything,
        ["put-first"] = name => Put(name, Content.Target, Content.FirstBytes),
        ["put-large-first"] = name => Put(name, Content.Target, Content.LargeBytes),
        ["put-huge"] = name => Put(name, Content.Target, Content.HugeBytes),
        ["put-many"] = PutMany,
        ["put-quota"] = name => Put(name, Content.Target, Content.SmallBytes, new PlasmaOptions { QuotaBytes = 1 << 20 }),
        ["put-exists"] = name => Put(name, Content.Residents[0].Name, Content.SmallBytes),
        ["put-evict"] = name => Put(name, Content.Target, Content.EvictingBytes),
        ["put-recover"] = name => Put(name, Content.HeldSmall, Content.SmallBytes),
        ["abort"] = Abort,
        ["abort-by-id"] = AbortById,
        ["get"] = name => Get(name, Content.Residents[0].Name, StoreAccess.ReadWrite),
        ["get-read-only"] = name => Get(name, Content.Residents[0].Name, StoreAccess.ReadOnly),
        ["get-miss"] = name => Get(name, Content.Never, StoreAccess.ReadWrite),
        ["release"] = Release,
        ["release-deleted"] = ReleaseDeleted,
        ["delete"] = name => Delete(name, Content.Target),
        ["delete-large"] = name => Delete(name, Content.Target),
        ["delete-pinned"] = name => Delete(name, Content.Pinned),
        ["evict"] = name => With(name, static store => store.Evict(Content.FillerBytes * 2)),
        ["evict-all"] = EvictAll,
        ["put-wait"] = PutThatWaits,
        ["expire"] = Expire,
        ["wait"] = name => Wait(name, Content.Target),
        ["wait-any"] = WaitAny,
        ["get-many"] = GetMany,
        ["subscribe"] = Subscribe,
        ["replica"] = Replica,
        ["delete-incarnation"] = DeleteIncarnation,
        ["node-get"] = NodeGet,
        ["node-serve"] = NodeServe,
        ["attach"] = static name => () => GC.KeepAlive(Open(name)),
        ["attach-read-only"] = static name => () => GC.KeepAlive(Open(name, new PlasmaOptions { Access = StoreAccess.ReadOnly })),
        ["attach-recover"] = static name => () => GC.KeepAlive(Open(name)),
        ["detach"] = static name => With(name, static store => store.Dispose()),
        ["detach-condemned"] = DetachCondemned,
        ["create-store"] = static name => () => GC.KeepAlive(PlasmaStore.Create(name, Geometry)),
        ["destroy-store"] = static name => () => PlasmaStore.Destroy(name),
        ["trim-spill"] = name => With(name, static store => store.TrimSpill()),
        ["detach-persistent"] = static name => With(name, static store => store.Dispose()),
        ["attach-persistent"] = static name => () => GC.KeepAlive(Open(name)),
        ["create-persistent"] = static name => () => GC.KeepAlive(PlasmaStore.Create(name, InOneThread(Geometry! with { SpillDirectories = [SpillFolderOf(name)], Persist = true }))),
        ["admit"] = name => With(name, static store => store.AdmitReader(ReaderUser)),
        ["trim"] = name => With(name, static store => store.Trim()),
        ["list"] = name => With(name, static store => store.List()),
        ["stat"] = name => With(name, static store => store.Stats()),
        ["verify"] = name => With(name, static store => store.Verify()),
        ["recover"] = name => With(name, static store => store.Maintain()),
        ["spill"] = static name =>
        {
            PlasmaStore store = Open(name);
            return () => store.Unload(Content.FillerBytes * 2);
        },
        ["put-spill"] = static name => Put(name, Content.Target, Content.EvictingBytes),
        ["restore"] = name => Wait(name, Content.Target),
        ["restore-full"] = RestoreInVain,
        ["restore-deleted"] = RestoreDeleted,
        ["restore-many"] = GetMany,
        ["restore-read-only"] = name => Wait(name, Content.Target, StoreAccess.ReadOnly),
        ["delete-spilled"] = name => Delete(name, Content.Target),
        ["read-into"] = ReadInto,
        ["recover-moves"] = name => With(name, static store => store.Maintain()),
        ["hold"] = Hold,
        ["hold-moves"] = HoldMoves,
    };

    /// <summary>Of stores that scenarios create.</summary>
    /// <summary>The same in every store of an attack: which places ids share is part of what an operation reaches.</summary>
    internal const ulong HashSeed = 0x9E3779B97F4A7C15;

    internal static PlasmaOptions Geometry { get; } = new() { CapacityBytes = 16 << 20, ObjectCountMax = 256, EventCapacity = 64 };

    /// <summary>The survivor's folder for the store, which has the store's name and something more.</summary>
    private static string SpillFolderOf(string name) => Directory.GetDirectories(Path.GetTempPath(), name + "*").Single();

    /// <summary>Whose calls do all their work in their own thread, and that has no thread to wait for: only one goes on under a tracer.</summary>
    private static PlasmaOptions InOneThread(PlasmaOptions? options) => (options ?? new PlasmaOptions()) with { DiskPatience = Timeout.InfiniteTimeSpan, SpillsAhead = false };

    private static PlasmaStore Open(string name, PlasmaOptions? options = null) => PlasmaStore.Open(name, InOneThread(options));

    private static Action With(string name, Action<PlasmaStore> operation)
    {
        PlasmaStore store = Open(name);
        return () => operation(store);
    }

    private static Action Seal(string name, string id, int count)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(id);
        byte[] bytes = Content.Bytes(id, count);
        return () =>
        {
            ObjectWriter writer = store.Create(target, bytes.Length);
            writer.CopyFrom(bytes);
            writer.Seal();
        };
    }

    private static Action Put(string name, string id, int count, PlasmaOptions? options = null)
    {
        PlasmaStore store = Open(name, options);
        ObjectId target = Content.Id(id);
        byte[] bytes = Content.Bytes(id, count);
        return () => store.TryPut(target, bytes);
    }

    private static Action PutWithEverything(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        byte[] bytes = Content.Bytes(Content.Target, Content.SmallBytes);
        return () => store.Put(
            target, bytes, new ObjectOptions { Checksum = true, Name = "a name", ContentType = "text/plain", Metadata = [1, 2, 3], Retention = Retention.Evictable });
    }

    private static Action PutMany(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId[] ids = [Content.Id(Content.Target), Content.Id(Content.Second)];
        ReadOnlyMemory<byte>[] payloads = [Content.Bytes(Content.Target, Content.SmallBytes), Content.Bytes(Content.Second, Content.SmallBytes)];
        var statuses = new PlasmaStatus[ids.Length];
        return () => store.CreateAndSeal(ids, payloads, statuses);
    }

    /// <summary>With a record among them that was a candidate and is none any more.</summary>
    private static Action EvictAll(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId id = Content.Id(Content.Second);
        store.Put(id, Content.Bytes(Content.Second, Content.SmallBytes), new ObjectOptions { Retention = Retention.Evictable });
        store.Delete(id);
        return () => store.Evict(long.MaxValue);
    }

    /// <summary>For memory that does not come.</summary>
    private static Action PutThatWaits(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        return () =>
        {
            if (store.TryCreate(target, store.CapacityBytes, out ObjectWriter writer, new ObjectOptions { Timeout = TimeSpan.FromMilliseconds(20) }) == PlasmaStatus.Ok)
                writer.Dispose();
        };
    }

    /// <summary>Nobody else has the time to remove what has expired.</summary>
    private static Action Expire(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId id = Content.Id(Content.Second);
        byte[] bytes = Content.Bytes(Content.Second, Content.SmallBytes);
        return () =>
        {
            store.TryPut(id, bytes, new ObjectOptions { TimeToLive = TimeSpan.FromMilliseconds(1) });
            Thread.Sleep(2);
            store.Maintain();
        };
    }

    private static Action Abort(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        return () => store.Create(target, Content.SmallBytes).Dispose();
    }

    private static Action AbortById(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        store.Create(target, Content.LargeBytes);
        return () => store.Abort(target);
    }

    private static Action Get(string name, string id, StoreAccess access)
    {
        PlasmaStore store = Open(name, new PlasmaOptions { Access = access });
        ObjectId target = Content.Id(id);
        return () =>
        {
            if (store.TryGet(target, out PlasmaObject obj))
                obj.Dispose();
        };
    }

    private static Action Release(string name)
    {
        PlasmaStore store = Open(name);
        PlasmaObject obj = store.Get(Content.Id(Content.Residents[0].Name), TimeSpan.Zero);
        return () => obj.Dispose();
    }

    private static Action ReleaseDeleted(string name)
    {
        PlasmaStore store = Open(name);
        PlasmaObject obj = store.Get(Content.Id(Content.Target), TimeSpan.Zero);
        store.Delete(Content.Id(Content.Target));
        return () => obj.Dispose();
    }

    private static Action Delete(string name, string id)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(id);
        return () => store.Delete(target);
    }

    private static Action Wait(string name, string id, StoreAccess access = StoreAccess.ReadWrite)
    {
        PlasmaStore store = Open(name, new PlasmaOptions { Access = access });
        ObjectId target = Content.Id(id);
        return () => store.Get(target, s_patience).Dispose();
    }

    private static Action WaitAny(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId[] ids = [Content.Id(Content.Never), Content.Id(Content.Target)];
        bool[] ready = new bool[ids.Length];
        return () => store.Wait(ids, 1, s_patience, ready);
    }

    private static Action GetMany(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId[] ids = [Content.Id(Content.Residents[0].Name), Content.Id(Content.Target)];
        var objects = new PlasmaObject[ids.Length];
        return () =>
        {
            store.Get(ids, objects, s_patience);
            foreach (PlasmaObject obj in objects)
                obj.Dispose();
        };
    }

    private static unsafe Action Replica(string name)
    {
        PlasmaStore store = Open(name);
        byte[] bytes = Content.Bytes(Content.Target, Content.SmallBytes);
        var image = new ObjectImage { Id = Content.Id(Content.Target), PayloadBytes = bytes.Length, UserBytes = 3, Incarnation = 0x1234 };
        return () =>
        {
            if (store.TryCreateReplica(image, s_patience, CancellationToken.None, out ObjectWriter writer) != PlasmaStatus.Ok)
                throw new InvalidOperationException("replica");
            bytes.CopyTo(new Span<byte>(writer.ImageAddress, bytes.Length));
            if (store.SealAndPin(writer, out PlasmaObject pinned) != PlasmaStatus.Ok)
                throw new InvalidOperationException("seal");
            pinned.Dispose();
        };
    }

    private static Action DeleteIncarnation(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        ulong incarnation;
        using (PlasmaObject obj = store.Get(target, TimeSpan.Zero))
            incarnation = obj.Incarnation;
        return () => store.DeleteIncarnation(target, incarnation);
    }

    /// <summary>The victim is also the service, which takes nothing.</summary>
    private static Action NodeGet(string name)
    {
        PlasmaStore store = Open(name);
        NodeRequests service = NodeRequests.TryOpen(store, out _) ?? throw new InvalidOperationException("There is a service.");
        ObjectId target = Content.Id(Content.Target);
        return () =>
        {
            store.Prefetch([Content.Id(Content.Never)]);
            store.Get(target, s_patience).Dispose();
            GC.KeepAlive(service);
        };
    }

    /// <summary>The survivor's other thread waits for an object, so there is a request to take as soon as there is a service.</summary>
    private static Action NodeServe(string name)
    {
        PlasmaStore store = Open(name);
        return () =>
        {
            using NodeRequests service = NodeRequests.TryOpen(store, out _) ?? throw new InvalidOperationException("There is a service.");
            var requests = new List<NodeRequest>();
            long start = Environment.TickCount64;
            while (service.Collect(requests, []) == 0 && Environment.TickCount64 - start < s_patience.TotalMilliseconds) // Ends with a request, or with the patience.
                service.Wait(s_patience, CancellationToken.None);
            foreach (NodeRequest request in requests)
                service.Answer(request.Handle, NodeAnswer.NotFound);
        };
    }

    private static Action Subscribe(string name)
    {
        PlasmaStore store = Open(name);
        return () =>
        {
            using PlasmaSubscription subscription = store.Subscribe();
            subscription.Read(s_patience, out _);
        };
    }

    /// <summary>The survivor's pins leave no memory for it.</summary>
    private static Action RestoreInVain(string name)
    {
        PlasmaStore store = Open(name);
        foreach ((string resident, _) in Content.Residents)
            store.Get(Content.Id(resident), s_patience);
        ObjectId target = Content.Id(Content.Target);
        return () =>
        {
            if (store.TryGet(target, TimeSpan.FromMilliseconds(100), out PlasmaObject obj) == PlasmaStatus.Ok)
                obj.Dispose();
        };
    }

    private static Action RestoreDeleted(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        return () =>
        {
            PlasmaObject obj = store.Get(target, s_patience);
            store.Delete(target);
            obj.Dispose();
        };
    }

    private static Action ReadInto(string name)
    {
        PlasmaStore store = Open(name);
        ObjectId target = Content.Id(Content.Target);
        byte[] part = new byte[1000];
        return () => store.ReadInto(target, 5000, part);
    }

    /// <summary>Not attacked: dies at "ready" in the middle of three moves. What is not done by the store's own code is what that leaves behind at its fail points.</summary>
    private static unsafe Action HoldMoves(string name)
    {
        PlasmaStore store = Open(name);
        store.TryGet(Content.Id(Content.Residents[0].Name), out _); // A slot chunk of our own, with pins.
        Announce(store, slot: 50, Content.Fillers[0], SlotKind.Unload, ObjectState.Emptying);
        ObjectEntry* restoring = Announce(store, slot: 51, Content.Target, SlotKind.Restore, ObjectState.Restoring);
        ulong owner = OwnerOf(store, restoring);
        restoring->Block.Count = 0;
        if (!store.Allocator.TryAllocate(new BlockCache(), Content.LargeBytes, 64, owner, &restoring->Block, Effort.Normal, out _))
            throw new InvalidOperationException("There is no memory.");
        ObjectEntry* copied = Announce(store, slot: 52, Content.Fillers[1], SlotKind.Copy, ObjectState.Sealed);
        copied->SpillPlace = SpillPlace.Claim(store.Participants.Index).Value;
        var image = new ObjectImage { Id = copied->Id, PayloadBytes = copied->PayloadBytes, Incarnation = copied->Incarnation };
        if (!store.Spill!.TryWrite(OwnerOf(store, copied), image, store.Memory.Payload + copied->DataOffset, out _, out SpillError? error))
            throw new InvalidOperationException(error?.Message);
        return static () => { };
    }

    private static unsafe ObjectEntry* Announce(PlasmaStore store, int slot, string name, SlotKind kind, ObjectState state)
    {
        ObjectId id = Content.Id(name);
        if (!store.Index.TryFindCommitted(id, store.Index.HashOf(id), out StateWord before, out uint entry))
            throw new InvalidOperationException($"'{name}' is not there.");
        ParticipantTable.Slots(ParticipantTable.Chunk(store.Participants.Own, 0))[slot].Word = new SlotWord(kind, before.Generation, entry).Value;
        ObjectEntry* at = store.Memory.Entry(entry);
        if (state != ObjectState.Sealed)
            at->State = before.With(state, store.Participants.Index).Value;
        return at;
    }

    private static unsafe ulong OwnerOf(PlasmaStore store, ObjectEntry* entry) =>
        BlockOwner.Of(new StateWord(entry->State).Generation, (uint)(entry - store.Memory.Entries));

    private static Action DetachCondemned(string name)
    {
        PlasmaStore store = Open(name);
        store.Delete(Content.Id(Content.Pinned)); // The survivor reads it, so it stays on this participant's list.
        return store.Dispose;
    }

    /// <summary>Not attacked: dies at "ready" and leaves what the recovery scenarios recover.</summary>
    private static Action Hold(string name)
    {
        PlasmaStore store = Open(name);
        store.Get(Content.Id(Content.Residents[0].Name), TimeSpan.Zero);
        store.Create(Content.Id(Content.HeldSmall), Content.SmallBytes);
        store.Create(Content.Id(Content.HeldLarge), Content.LargeBytes);
        store.Put(Content.Id(Content.HeldCondemned), Content.Bytes(Content.HeldCondemned, Content.FirstBytes));
        store.Get(Content.Id(Content.HeldCondemned), TimeSpan.Zero);
        store.Delete(Content.Id(Content.HeldCondemned));
        return static () => { };
    }
}
