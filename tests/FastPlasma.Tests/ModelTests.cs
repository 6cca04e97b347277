using CsCheck;

namespace FastPlasma.Tests;

/// <summary>Random sequences of operations against a dictionary that says what the store must hold. A failure prints the seed that repeats it.</summary>
public sealed class ModelTests : StoreTest
{
    private const int IdCount = 12;

    private enum Kind
    {
        Put, PutEvictable, Create, Seal, Abort, AbortById, Hold, Release, Read, Delete, Evict, Contains, List, Get, Trim, Maintain,
    }

    private readonly record struct Step(Kind Kind, int Id, int Length, int Pick);

    private static readonly Gen<Step[]> s_steps = Gen.Select(
        Gen.Frequency(
            (4, Gen.Const(Kind.Put)), (5, Gen.Const(Kind.PutEvictable)), (4, Gen.Const(Kind.Create)), (3, Gen.Const(Kind.Seal)), (1, Gen.Const(Kind.Abort)), (1, Gen.Const(Kind.AbortById)),
            (5, Gen.Const(Kind.Hold)), (4, Gen.Const(Kind.Release)), (3, Gen.Const(Kind.Read)), (5, Gen.Const(Kind.Delete)), (2, Gen.Const(Kind.Evict)), (2, Gen.Const(Kind.Contains)),
            (1, Gen.Const(Kind.List)), (2, Gen.Const(Kind.Get)), (1, Gen.Const(Kind.Trim)), (1, Gen.Const(Kind.Maintain))),
        Gen.Int[0, IdCount - 1],
        Gen.Frequency((1, Gen.Const(0)), (4, Gen.Int[1, 2000]), (2, Gen.Int[2000, 140_000]), (2, Gen.Int[140_000, 900_000])),
        Gen.Int[0, 1000],
        static (kind, id, length, pick) => new Step(kind, id, length, pick)).Array[1, 120];

    [Fact]
    public void Store_with_room_behaves_like_a_dictionary() => s_steps.Sample(static steps => new Run(64 << 20).Go(steps), iter: 50, threads: 1);

    [Fact]
    public void Store_that_is_often_full_behaves_like_a_dictionary_but_for_what_may_be_evicted() => s_steps.Sample(static steps => new Run(4 << 20).Go(steps), iter: 80, threads: 1);

    private sealed record Content(int Seed, int Length, bool Evictable);

    private sealed class Run(int capacityBytes)
    {
        private readonly PlasmaStore _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = capacityBytes, ObjectCountMax = 256 });
        private readonly Dictionary<int, Content> _sealed = [];
        private readonly Dictionary<int, (ObjectWriter Writer, Content Content)> _creating = [];
        private readonly List<(PlasmaObject Object, int Id, Content Content)> _held = [];
        private int _seeds;

        internal void Go(Step[] steps)
        {
            using (_store)
            {
                for (int i = 0; i < steps.Length; i++)
                {
                    Do(steps[i]);
                    if (i % 16 == 0)
                        CompareAll();
                }
                CompareAll();
                Assert.Empty(_store.Verify().Problems);
                foreach ((PlasmaObject obj, _, Content content) in _held)
                {
                    ExpectBytes(obj, content);
                    obj.Dispose();
                }
                foreach ((ObjectWriter writer, _) in _creating.Values)
                    writer.Dispose();
                foreach (int id in _sealed.Keys)
                    Assert.Equal(PlasmaStatus.Ok, _store.Delete(IdOf(id)));
                _store.Maintain();
                Assert.Empty(_store.Verify().Problems);
                StoreStats stats = _store.Stats();
                Assert.Equal((0L, 0, 0, 0), (stats.UsedBytes, stats.SealedCount, stats.CreatingCount, stats.CondemnedCount));
                _store.Trim(); // Also retires what is empty.
                Assert.Equal((0L, (long)capacityBytes), (_store.Stats().BackedBytes, _store.Stats().LargestFreeRunBytes));
            }
        }

        private void Do(Step step)
        {
            ObjectId id = IdOf(step.Id);
            bool taken = _sealed.ContainsKey(step.Id) || _creating.ContainsKey(step.Id);
            switch (step.Kind)
            {
                case Kind.Put or Kind.PutEvictable:
                    var content = new Content(++_seeds, step.Length, step.Kind == Kind.PutEvictable);
                    PlasmaStatus put = _store.TryPut(id, Pattern.Of(content.Seed, content.Length), OptionsOf(content));
                    NoteEvictions();
                    if (ExpectCreated(put, step, taken))
                        _sealed[step.Id] = content;
                    break;
                case Kind.Create:
                    content = new Content(++_seeds, step.Length, step.Pick % 2 == 0);
                    PlasmaStatus created = _store.TryCreate(id, content.Length, out ObjectWriter writer, OptionsOf(content));
                    NoteEvictions();
                    if (ExpectCreated(created, step, taken))
                        _creating[step.Id] = (writer, content);
                    break;
                case Kind.Seal when _creating.Count > 0:
                    (int key, (writer, content)) = _creating.ElementAt(step.Pick % _creating.Count);
                    Pattern.Fill(writer.Span, content.Seed);
                    Assert.Equal(PlasmaStatus.Ok, writer.TrySeal());
                    Assert.Equal(PlasmaStatus.Closed, writer.TrySeal());
                    _creating.Remove(key);
                    _sealed[key] = content;
                    break;
                case Kind.Abort when _creating.Count > 0:
                    (key, (writer, _)) = _creating.ElementAt(step.Pick % _creating.Count);
                    writer.Dispose();
                    _creating.Remove(key);
                    break;
                case Kind.AbortById:
                    Assert.Equal(_creating.Remove(step.Id) ? PlasmaStatus.Ok : _sealed.ContainsKey(step.Id) ? PlasmaStatus.AlreadySealed : PlasmaStatus.NotFound, _store.Abort(id));
                    break;
                case Kind.Hold:
                    Assert.Equal(_sealed.ContainsKey(step.Id), _store.TryGet(id, out PlasmaObject obj));
                    if (obj.IsValid)
                        _held.Add((obj, step.Id, _sealed[step.Id]));
                    break;
                case Kind.Get:
                    ObjectId[] ids = [id, IdOf(step.Pick % IdCount), id];
                    var objects = new PlasmaObject[3];
                    int expected = (_sealed.ContainsKey(step.Id) ? 2 : 0) + (_sealed.ContainsKey(step.Pick % IdCount) ? 1 : 0);
                    Assert.Equal(expected, _store.Get(ids, objects));
                    foreach (PlasmaObject one in objects)
                        one.Dispose();
                    break;
                case Kind.Release when _held.Count > 0:
                    int at = step.Pick % _held.Count;
                    ExpectBytes(_held[at].Object, _held[at].Content);
                    _held[at].Object.Dispose();
                    _held[at].Object.Dispose();
                    _held.RemoveAt(at);
                    break;
                case Kind.Read when _held.Count > 0:
                    ExpectBytes(_held[step.Pick % _held.Count].Object, _held[step.Pick % _held.Count].Content);
                    break;
                case Kind.Delete:
                    Assert.Equal(_sealed.Remove(step.Id) ? PlasmaStatus.Ok : _creating.ContainsKey(step.Id) ? PlasmaStatus.NotSealed : PlasmaStatus.NotFound, _store.Delete(id));
                    break;
                case Kind.Evict:
                    _store.Evict(step.Length);
                    NoteEvictions();
                    break;
                case Kind.Contains:
                    Assert.Equal(_sealed.ContainsKey(step.Id), _store.Contains(id));
                    break;
                case Kind.List:
                    CompareAll();
                    break;
                case Kind.Trim:
                    _store.Trim();
                    break;
                case Kind.Maintain:
                    Assert.Equal(0, _store.Maintain());
                    break;
            }
        }

        /// <summary>A create must succeed when the id is free, unless memory is short.</summary>
        private bool ExpectCreated(PlasmaStatus status, Step step, bool taken)
        {
            // The id may have been free for the store alone: evicted in the very call. Then only its own eviction frees it, which comes after the look at the id.
            if (taken)
            {
                Assert.Equal(PlasmaStatus.Exists, status);
                return false;
            }
            if (status == PlasmaStatus.StoreFull)
            {
                Assert.True(capacityBytes < 64 << 20 && step.Length + _seeds % 50 > 0, $"full with {_store.Stats().UsedBytes} of {capacityBytes} bytes used");
                return false;
            }
            Assert.Equal(PlasmaStatus.Ok, status);
            return true;
        }

        /// <summary>Evictable objects that nobody holds may go; nothing else may.</summary>
        private void NoteEvictions()
        {
            foreach ((int id, Content content) in _sealed.ToArray())
            {
                if (_store.Contains(IdOf(id)))
                    continue;
                Assert.True(content.Evictable, $"object {id}, which must be kept, is gone");
                Assert.DoesNotContain(_held, h => h.Content == content);
                _sealed.Remove(id);
            }
        }

        private void CompareAll()
        {
            Dictionary<ObjectId, ObjectInfo> live = _store.List().Where(static o => o.State != ObjectState.Condemned).ToDictionary(static o => o.Id);
            Assert.Equal(_sealed.Count + _creating.Count, live.Count);
            foreach ((int id, Content content) in _sealed)
            {
                Assert.Equal((ObjectState.Sealed, content.Length), (live[IdOf(id)].State, (int)live[IdOf(id)].PayloadBytes));
                Assert.Equal(_held.Count(h => h.Content == content), live[IdOf(id)].Holders.Sum(static h => h.Pins));
                using PlasmaObject obj = _store.Get(IdOf(id), TimeSpan.Zero);
                ExpectBytes(obj, content);
            }
            foreach (int id in _creating.Keys)
                Assert.Equal(ObjectState.Creating, live[IdOf(id)].State);
            Assert.Equal(_held.Count, _store.Stats().Participants.Single().Pins);
        }

        private static void ExpectBytes(in PlasmaObject obj, Content content)
        {
            Same(Pattern.Of(content.Seed, content.Length), obj.Span);
            Same(Pattern.Of(content.Seed, content.Seed % 50), obj.Metadata);
        }

        private static ObjectOptions OptionsOf(Content content) => new()
        {
            Retention = content.Evictable ? Retention.Evictable : Retention.Keep,
            Metadata = Pattern.Of(content.Seed, content.Seed % 50),
            Checksum = content.Seed % 3 == 0,
            AlignmentBytes = content.Seed % 7 == 0 ? 4096 : 0,
        };

        private static ObjectId IdOf(int i) => Id($"{i}");
    }
}
