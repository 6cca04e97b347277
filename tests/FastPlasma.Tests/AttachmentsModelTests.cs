using CsCheck;
using FastPlasma.Allocator;
using FastPlasma.Format;

namespace FastPlasma.Tests;

/// <summary>Random sequences of calls through several attachments of one store, some with a quota, against a dictionary: who created what, who reads what, and which events everybody is told in which order.</summary>
/// <remarks>A failure prints the shortest case that CsCheck finds and the seed that repeats it.</remarks>
public sealed class AttachmentsModelTests : StoreTest
{
    private const int IdCount = 8, AttachmentsMax = 3, QuotaBytes = 400_000;

    private enum Kind
    {
        Open, OpenWithQuota, Close, Put, PutMany, Create, Seal, Abort, AbortById, Hold, HoldMany, Release, Delete, Evict, WaitSome, WaitTooMany, Metadata,
    }

    private readonly record struct Step(Kind Kind, int By, int Id, int Length, int Pick);

    private static readonly Gen<Step[]> s_steps = Gen.Select(
        Gen.Frequency(
            (2, Gen.Const(Kind.Open)), (2, Gen.Const(Kind.OpenWithQuota)), (2, Gen.Const(Kind.Close)), (6, Gen.Const(Kind.Put)), (3, Gen.Const(Kind.PutMany)), (4, Gen.Const(Kind.Create)),
            (3, Gen.Const(Kind.Seal)), (1, Gen.Const(Kind.Abort)), (2, Gen.Const(Kind.AbortById)), (4, Gen.Const(Kind.Hold)), (2, Gen.Const(Kind.HoldMany)), (4, Gen.Const(Kind.Release)),
            (4, Gen.Const(Kind.Delete)), (2, Gen.Const(Kind.Evict)), (2, Gen.Const(Kind.WaitSome)), (1, Gen.Const(Kind.WaitTooMany)), (2, Gen.Const(Kind.Metadata))),
        Gen.Int[0, AttachmentsMax - 1],
        Gen.Int[0, IdCount - 1],
        Gen.Frequency((1, Gen.Const(0)), (3, Gen.Int[1, 2000]), (4, Gen.Int[20_000, 250_000])),
        Gen.Int[0, 1000],
        static (kind, by, id, length, pick) => new Step(kind, by, id, length, pick)).Array[1, 100];

    [Fact]
    public void Attachments_of_one_store_agree_on_its_content_and_its_events() => s_steps.Sample(
        steps =>
        {
            string name = NewName();
            using var run = new Run(name);
            run.Go(steps);
        },
        iter: 30, threads: 1);

    /// <summary>The only object of the attachment fills its quota with its block, not with its payload.</summary>
    [Fact]
    public void Quota_counts_blocks_also_when_it_chooses_what_has_to_go()
    {
        const int Quota = 9 * ChunkMap.GrainBytes, First = 8 * ChunkMap.GrainBytes + 1;
        PlasmaStore store = Anonymous(Small with { QuotaBytes = Quota });
        store.Put(Id("first"), new byte[First], Evictable);
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("second"), new byte[Quota], Evictable));
        Assert.False(store.Contains(Id("first")));
    }

    private sealed record Content(int Id, int Seed, int Length, bool Evictable, Attachment Creator)
    {
        internal int MetadataBytes => Seed % 40;

        internal string Name => Seed % 4 == 0 ? $"object {Seed}" : "";

        internal string ContentType => Seed % 5 == 0 ? "text/plain" : "";

        internal long BlockBytes
        {
            get
            {
                long needed = ObjectEntry.BytesNeeded(Length, MetadataBytes + Name.Length + ContentType.Length);
                return needed == 0 ? 0 : BlockAllocator.BlockBytesFor(needed, 64);
            }
        }
    }

    private readonly record struct Told(PlasmaEventKind Kind, ObjectId Id, long PayloadBytes, int MetadataBytes);

    private sealed class Attachment(PlasmaStore store, long? quota)
    {
        internal readonly PlasmaStore Store = store;
        internal readonly long? Quota = quota;
        internal readonly PlasmaSubscription Events = store.Subscribe();
        internal readonly List<Told> Untold = [];
        internal readonly List<(PlasmaObject Object, Content Content)> Held = [];
        internal long LastSequence;
    }

    private sealed class Run(string name) : IDisposable
    {
        private readonly PlasmaStore _root = PlasmaStore.Create(name, new PlasmaOptions { CapacityBytes = 256 << 20, ObjectCountMax = 256 });
        private readonly List<Attachment> _attachments = [];
        private readonly Dictionary<int, Content> _sealed = [];
        private readonly Dictionary<int, (ObjectWriter Writer, Content Content)> _creating = [];
        private int _seeds;

        internal void Go(Step[] steps)
        {
            foreach (Step step in steps)
            {
                if (_attachments.Count == 0 || step.Kind is Kind.Open or Kind.OpenWithQuota)
                    Open(step.Kind == Kind.OpenWithQuota ? QuotaBytes : null);
                else
                    Do(step, _attachments[step.By % _attachments.Count]);
                ExpectEvents();
            }
            ExpectSame();
            while (_attachments.Count > 0)
                Close(_attachments[0]);
            foreach (int id in _sealed.Keys)
                Assert.Equal(PlasmaStatus.Ok, _root.Delete(IdOf(id)));
            StoreStats stats = _root.Stats();
            Assert.Equal((0L, 0, 0, 0, 1), (stats.UsedBytes, stats.SealedCount, stats.CreatingCount, stats.CondemnedCount, stats.Participants.Count));
            Assert.Empty(_root.Verify().Problems);
        }

        public void Dispose()
        {
            foreach (Attachment attachment in _attachments) // After a failure only.
                attachment.Store.Dispose();
            _root.Dispose();
            PlasmaStore.Destroy(name);
        }

        private void Open(long? quota)
        {
            if (_attachments.Count < AttachmentsMax)
                _attachments.Add(new Attachment(PlasmaStore.Open(name, new PlasmaOptions { QuotaBytes = quota }), quota));
        }

        /// <summary>Closes with handles and writers open: they hold the attachment until the last of them is disposed.</summary>
        private void Close(Attachment attachment)
        {
            attachment.Store.Dispose();
            _attachments.Remove(attachment);
            Assert.Throws<ObjectDisposedException>(() => attachment.Store.Contains(IdOf(0)));
            Assert.Throws<ObjectDisposedException>(() => attachment.Events.TryRead(out _));
            (int Id, ObjectWriter Writer)[] writers = [.. _creating.Where(c => c.Value.Content.Creator == attachment).Select(static c => (c.Key, c.Value.Writer))];
            Assert.Equal(_attachments.Count + 1 + (writers.Length + attachment.Held.Count > 0 ? 1 : 0), _root.Stats().Participants.Count);
            foreach ((int id, ObjectWriter writer) in writers)
            {
                Assert.False(writer.IsOpen);
                Assert.Equal(PlasmaStatus.NotSealed, _root.Delete(IdOf(id)));
                writer.Dispose();
                _creating.Remove(id);
            }
            foreach ((PlasmaObject obj, _) in attachment.Held)
            {
                Assert.Throws<ObjectDisposedException>(() => obj.Length);
                obj.Dispose();
            }
            Assert.Equal(_attachments.Count + 1, _root.Stats().Participants.Count);
        }

        private void Do(Step step, Attachment by)
        {
            PlasmaStore store = by.Store;
            ObjectId id = IdOf(step.Id);
            switch (step.Kind)
            {
                case Kind.Close:
                    Close(by);
                    break;
                case Kind.Put:
                    Content content = NewContent(step, by);
                    if (Expect(store.TryPut(id, Pattern.Of(content.Seed, content.Length), OptionsOf(content)), step.Id, content))
                        Seal(step.Id, content);
                    break;
                case Kind.PutMany: // Also one id twice.
                    int[] keys = [step.Id, step.Pick % IdCount, step.Id];
                    if (by.Quota is not null)
                        break; // Put tells what a quota does.
                    Content small = NewContent(step with { Length = step.Length % 3000 }, by) with { Evictable = true };
                    bool[] free = [.. keys.Select((key, i) => !IsTaken(key) && Array.IndexOf(keys, key) == i)];
                    var statuses = new PlasmaStatus[keys.Length];
                    ReadOnlyMemory<byte> payload = Pattern.Of(small.Seed, small.Length);
                    int made = store.CreateAndSeal([.. keys.Select(IdOf)], [payload, payload, payload], statuses, OptionsOf(small));
                    Assert.Equal(free.Select(static f => f ? PlasmaStatus.Ok : PlasmaStatus.Exists), statuses);
                    Assert.Equal(free.Count(static f => f), made);
                    for (int i = 0; i < keys.Length; i++)
                        if (free[i])
                            Seal(keys[i], small with { Id = keys[i] });
                    break;
                case Kind.Create:
                    content = NewContent(step, by);
                    PlasmaStatus created = store.TryCreate(id, content.Length, out ObjectWriter writer, OptionsOf(content));
                    if (Expect(created, step.Id, content))
                        _creating[step.Id] = (writer, content);
                    break;
                case Kind.Seal when _creating.Count > 0:
                    (int at, (writer, content)) = _creating.ElementAt(step.Pick % _creating.Count);
                    Pattern.Fill(writer.Span, content.Seed);
                    Assert.Equal(PlasmaStatus.Ok, writer.TrySeal());
                    _creating.Remove(at);
                    Seal(at, content);
                    break;
                case Kind.Abort when _creating.Count > 0:
                    (at, (writer, _)) = _creating.ElementAt(step.Pick % _creating.Count);
                    writer.Dispose();
                    Assert.Equal(PlasmaStatus.Closed, writer.TrySeal());
                    _creating.Remove(at);
                    break;
                case Kind.AbortById:
                    PlasmaStatus expected = _sealed.ContainsKey(step.Id) ? PlasmaStatus.AlreadySealed
                        : !_creating.TryGetValue(step.Id, out (ObjectWriter, Content Content) creation) ? PlasmaStatus.NotFound
                        : creation.Content.Creator == by ? PlasmaStatus.Ok : PlasmaStatus.NotOwner;
                    Assert.Equal(expected, store.Abort(id));
                    if (expected == PlasmaStatus.Ok)
                        _creating.Remove(step.Id);
                    break;
                case Kind.Hold:
                    bool there = _sealed.TryGetValue(step.Id, out Content? seen);
                    Assert.Equal(there ? PlasmaStatus.Ok : PlasmaStatus.NotFound, store.TryGet(id, TimeSpan.Zero, out PlasmaObject obj));
                    if (there)
                        by.Held.Add((obj, seen!));
                    break;
                case Kind.HoldMany:
                    keys = [step.Id, step.Pick % IdCount, step.Id];
                    var objects = new PlasmaObject[keys.Length];
                    Assert.Equal(keys.Count(_sealed.ContainsKey), store.Get([.. keys.Select(IdOf)], objects));
                    for (int i = 0; i < keys.Length; i++)
                    {
                        Assert.Equal(_sealed.ContainsKey(keys[i]), objects[i].IsValid);
                        if (objects[i].IsValid)
                            by.Held.Add((objects[i], _sealed[keys[i]]));
                    }
                    break;
                case Kind.Release when by.Held.Count > 0:
                    (obj, content) = by.Held[step.Pick % by.Held.Count];
                    ExpectBytes(obj, content);
                    obj.Dispose();
                    Assert.False(obj.IsValid);
                    by.Held.RemoveAt(step.Pick % by.Held.Count);
                    break;
                case Kind.Delete:
                    Assert.Equal(_sealed.ContainsKey(step.Id) ? PlasmaStatus.Ok : _creating.ContainsKey(step.Id) ? PlasmaStatus.NotSealed : PlasmaStatus.NotFound, store.Delete(id));
                    if (_sealed.Remove(step.Id, out seen))
                        Tell(PlasmaEventKind.Deleted, step.Id, seen);
                    break;
                case Kind.Evict:
                    long freed = store.Evict(step.Length);
                    NoteEvictions(any: true);
                    Assert.True(freed >= step.Length || !_sealed.Values.Any(c => c.Evictable && c.BlockBytes > 0 && !IsHeld(c)), $"{freed} of {step.Length} bytes freed although more could go");
                    break;
                case Kind.WaitSome or Kind.WaitTooMany:
                    keys = [.. Enumerable.Range(step.Id, 1 + step.Pick % IdCount).Select(static k => k % IdCount).Distinct()];
                    int thereCount = keys.Count(_sealed.ContainsKey);
                    var ready = new bool[keys.Length];
                    int wanted = step.Kind == Kind.WaitSome ? thereCount : Math.Min(thereCount + 1, keys.Length);
                    Assert.Equal(thereCount, store.Wait([.. keys.Select(IdOf)], wanted, TimeSpan.FromMilliseconds(wanted > thereCount ? 1 : 10_000), ready));
                    Assert.Equal(keys.Select(_sealed.ContainsKey), ready);
                    break;
                case Kind.Metadata:
                    ExpectSame();
                    break;
            }
        }

        private Content NewContent(Step step, Attachment by) => new(step.Id, ++_seeds, step.Length, step.Pick % 2 == 0, by);

        private bool IsTaken(int id) => _sealed.ContainsKey(id) || _creating.ContainsKey(id);

        private bool IsHeld(Content content) => _attachments.Exists(a => a.Held.Exists(h => h.Content == content));

        private void Seal(int id, Content content)
        {
            _sealed[id] = content;
            Tell(PlasmaEventKind.Sealed, id, content);
        }

        private void Tell(PlasmaEventKind kind, int id, Content content) =>
            _attachments.ForEach(a => a.Untold.Add(new Told(kind, IdOf(id), content.Length, content.MetadataBytes)));

        /// <summary>A create succeeds when the id is free and the quota of its attachment has room, if need be without its own evictable objects that nobody reads.</summary>
        private bool Expect(PlasmaStatus status, int id, Content content)
        {
            bool taken = IsTaken(id);
            if (content.Creator.Quota is not long quota || content.BlockBytes == 0 || taken)
            {
                Assert.Equal(taken ? PlasmaStatus.Exists : PlasmaStatus.Ok, status);
                return !taken;
            }
            Content[] held = [.. _attachments.SelectMany(static a => a.Held).Select(static h => h.Content)];
            IEnumerable<Content> own = _sealed.Values.Concat(held).Concat(_creating.Values.Select(static c => c.Content)).Where(c => c.Creator == content.Creator).Distinct();
            long stays = own.Where(c => held.Contains(c) || !c.Evictable || !_sealed.ContainsValue(c)).Sum(static c => c.BlockBytes), all = own.Sum(static c => c.BlockBytes);
            Assert.Equal(stays + content.BlockBytes <= quota ? PlasmaStatus.Ok : PlasmaStatus.StoreFull, status);
            NoteEvictions(any: false, content.Creator, needed: all + content.BlockBytes > quota);
            return status == PlasmaStatus.Ok;
        }

        /// <summary>What went must have been evictable and nobody's; of one attachment if it was for its quota.</summary>
        private void NoteEvictions(bool any, Attachment? of = null, bool needed = true)
        {
            var gone = new List<Told>();
            foreach ((int id, Content content) in _sealed.ToArray())
            {
                if (_root.Contains(IdOf(id)))
                    continue;
                Assert.True(needed && content.Evictable && (any || content.Creator == of) && !IsHeld(content), $"object {id} is gone");
                _sealed.Remove(id);
                gone.Add(new Told(PlasmaEventKind.Evicted, IdOf(id), content.Length, content.MetadataBytes));
            }
            foreach (Attachment attachment in _attachments) // In any order among themselves: which is older is a hint.
                foreach (Told told in gone.ToArray())
                    attachment.Untold.Add(told);
        }

        private void ExpectEvents()
        {
            foreach (Attachment attachment in _attachments)
            {
                var told = new List<Told>();
                while (attachment.Events.TryRead(out PlasmaEvent e))
                {
                    Assert.True(e.Sequence > attachment.LastSequence, $"event {e.Sequence} after {attachment.LastSequence}");
                    attachment.LastSequence = e.Sequence;
                    told.Add(new Told(e.Kind, e.Id, e.PayloadBytes, e.MetadataBytes));
                }
                Assert.Equal(0, attachment.Events.Lost);
                Assert.Equal(Sorted(attachment.Untold), Sorted(told));
                attachment.Untold.Clear();
            }

            static List<Told> Sorted(List<Told> events)
            {
                int evicted = events.TakeWhile(static e => e.Kind == PlasmaEventKind.Evicted).Count();
                return [.. events.Take(evicted).OrderBy(static e => e.Id), .. events.Skip(evicted)];
            }
        }

        private void ExpectSame()
        {
            Dictionary<ObjectId, ObjectInfo> live = _root.List().Where(static o => o.State != ObjectState.Condemned).ToDictionary(static o => o.Id);
            Assert.Equal(_sealed.Count + _creating.Count, live.Count);
            foreach ((int id, Content content) in _sealed)
            {
                ObjectInfo info = live[IdOf(id)];
                Assert.Equal((ObjectState.Sealed, content.Length, content.MetadataBytes), (info.State, (int)info.PayloadBytes, info.MetadataBytes));
                Assert.Equal((content.Name, content.ContentType, content.BlockBytes), (info.Name, info.ContentType, info.BlockBytes));
                Assert.Equal(content.Evictable ? Retention.Evictable : Retention.Keep, info.Retention);
                Assert.Equal(_attachments.Sum(a => a.Held.Count(h => h.Content == content)), info.Holders.Sum(static h => h.Pins));
                using PlasmaObject obj = _root.Get(IdOf(id), TimeSpan.Zero);
                ExpectBytes(obj, content);
            }
            foreach (int id in _creating.Keys)
                Assert.Equal(ObjectState.Creating, live[IdOf(id)].State);
        }

        private static void ExpectBytes(in PlasmaObject obj, Content content)
        {
            Same(Pattern.Of(content.Seed, content.Length), obj.Span);
            Same(Pattern.Of(content.Seed, content.MetadataBytes), obj.Metadata);
        }

        private static ObjectOptions OptionsOf(Content content) => new()
        {
            Retention = content.Evictable ? Retention.Evictable : Retention.Keep,
            Metadata = Pattern.Of(content.Seed, content.MetadataBytes),
            Name = content.Name,
            ContentType = content.ContentType,
        };

        private static ObjectId IdOf(int i) => Id($"{i}");
    }
}
