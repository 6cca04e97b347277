using System.Diagnostics;
using System.Globalization;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Inspect;
using FastPlasma.Victim;

namespace FastPlasma.Stress.Instructions;

/// <summary>The process that lives on: prepares the store for a victim, and looks after its death whether anything is lost, changed, blocked or left over.</summary>
internal sealed unsafe class Survivor : IDisposable
{
    private const int AtOnceMs = 2000, RecoveredMs = 5000, WokenMs = 5000;

    private readonly Plan _plan;
    private readonly Target[] _targets;
    private readonly Target? _awaited;
    private readonly string _executable;
    private readonly string _name;
    private readonly Dictionary<string, byte[]> _bytes = [];
    private readonly List<PlasmaObject> _pins = [];
    private readonly List<string> _problems = [];
    private readonly string? _spillFolder;
    private PlasmaStore? _store;
    private long _baselineBytes;
    private VictimProcess? _dead;
    private Thread? _helper;
    private string? _helperProblem;
    private int _rounds;
    private bool _isProbing;

    /// <param name="plan">The scenario.</param>
    /// <param name="executable">The victim's.</param>
    /// <param name="name">Of the store; nobody else uses it.</param>
    internal Survivor(Plan plan, string executable, string name)
    {
        (_plan, _executable, _name) = (plan, executable, name);
        _awaited = plan.PutsDuring || plan.OwnStoreIsThere is not null ? null : plan.HasWaiter ? plan.Targets[0] : new Target(Content.Awaited, Content.SmallBytes);
        _targets = _awaited is null || plan.HasWaiter ? plan.Targets : [.. plan.Targets, _awaited];
        foreach ((string resident, int count) in Content.Residents)
            _bytes[resident] = Content.Bytes(resident, count);
        foreach (Target target in _targets)
            _bytes[target.Name] = Content.Bytes(target.Name, target.Bytes);
        PlasmaStore.Destroy(_name);
        if (plan.HasSpill)
            _spillFolder = Directory.CreateTempSubdirectory(name).FullName;
    }

    /// <summary>Makes everything as the scenario wants it, and starts a victim that is ready. <paramref name="prepare"/> is called with it, before anybody dies.</summary>
    internal VictimProcess StartVictim(string[] arguments, Action<VictimProcess> prepare)
    {
        Arrange();
        if (_plan.HasDead)
        {
            // Nobody but the victim may recover: the lock keeps this process from it.
            _store!.Participants.ProbeLock.Enter();
            _isProbing = true;
            _dead = VictimProcess.Start(_executable, _plan.Dead, _name);
            if (_plan.DiesBeforeReady)
                _dead.Dispose();
        }
        VictimProcess victim = VictimProcess.Start(_executable, [_plan.Name, _name, .. arguments]);
        try
        {
            prepare(victim);
            _dead?.Dispose();
            return victim;
        }
        catch
        {
            victim.Dispose();
            throw;
        }
    }

    /// <summary>To be called just before the victim goes: starts who waits for what it, or later the survivor, seals; or seals what it waits for.</summary>
    internal void Accompany(int delayMs)
    {
        _helperProblem = null;
        _helper = null;
        if (_awaited is not null)
        {
            _helper = new Thread(() => Await(_awaited)) { IsBackground = true };
            _helper.Start();
            if (!_plan.HasWaiter) // Which instructions the victim reaches must not depend on how far the waiter has come.
                SpinWait.SpinUntil(() => (Volatile.Read(ref *_store!.Memory.WaitOf(_store.Index.HashOf(Content.Id(_awaited.Name)))) & WaitWord.WaitersFlag) != 0, AtOnceMs);
        }
        else if (_plan.PutsDuring)
        {
            _helper = new Thread(() =>
            {
                Thread.Sleep(delayMs); // Not a wait for anything: it decides how far the victim has come, which varies on purpose.
                PutTarget(_plan.Targets[0]);
            })
            { IsBackground = true };
            _helper.Start();
        }
    }

    /// <summary>Looks at everything after the victim's death. Returns what is wrong.</summary>
    internal List<string> Examine()
    {
        _problems.Clear();
        if (_isProbing)
            _store!.Participants.ProbeLock.Exit();
        _isProbing = false;
        try
        {
            if (_plan.OwnStoreIsThere is not null)
            {
                ExamineOwnStore();
                return [.. _problems];
            }
            _rounds++;
            WorkAtOnce();
            if (_rounds % 2 == 0)
                TakeIdsOfTheDead();
            Recover();
            Settle();
            CheckTargets();
            Join();
            RemoveTargets();
            CheckInvariants();
        }
#pragma warning disable CA1031 // Whatever the survivor meets is a finding.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _problems.Add($"The survivor met {e.GetType().Name}: {e.Message} {e.StackTrace}");
        }
        if (_problems.Count > 0 || _plan.NeedsFreshStore)
            Discard(); // The next run begins with a store of its own.
        return [.. _problems];
    }

    /// <summary>What can only be seen at the end: the whole memory of the store is there for one object.</summary>
    internal List<string> ExamineAtEnd()
    {
        _problems.Clear();
        if (_store is null)
            return [];
        foreach (string name in _bytes.Keys)
            _store.Delete(Content.Id(name));
        _store.Delete(Content.Id("own"));
        byte[] whole = new byte[_plan.CapacityBytes];
        PlasmaStatus status = _store.TryPut(Content.Id("whole"), whole, new ObjectOptions { Timeout = TimeSpan.FromSeconds(2) });
        if (status != PlasmaStatus.Ok)
            _problems.Add($"At the end an object as large as the whole store is {status}: memory is lost.");
        return [.. _problems];
    }

    public void Dispose()
    {
        Discard();
        PlasmaStore.Destroy(_name);
        if (_spillFolder is not null)
            Directory.Delete(_spillFolder); // Empty, else the exception says so.
    }

    /// <summary>Of the store that nobody but the victim has.</summary>
    private PlasmaOptions OwnOptions => Scenarios.Geometry with { SpillDirectories = _spillFolder is null ? [] : [_spillFolder], Persist = _plan.IsPersistent };

    private void Arrange()
    {
        if (_plan.OwnStoreIsThere is bool isThere)
        {
            if (_plan.IsPersistent)
            {
                using (PlasmaStore left = PlasmaStore.Create(_name, OwnOptions))
                {
                    left.Put(Content.Id(_targets[0].Name), _bytes[_targets[0].Name]);
                    left.Unload(long.MaxValue);
                }
                if (!isThere)
                    PlasmaStore.Destroy(_name, keepSpilled: true);
                return;
            }
            if (!isThere)
                return;
            using PlasmaStore created = PlasmaStore.Create(_name, Scenarios.Geometry);
            created.Put(Content.Id(Content.Target), Content.Bytes(Content.Target, Content.SmallBytes));
            return;
        }
        if (_store is null)
        {
            _store = PlasmaStore.Create(_name, Scenarios.Geometry with { CapacityBytes = _plan.CapacityBytes, HashSeed = Scenarios.HashSeed, SpillDirectories = _spillFolder is null ? [] : [_spillFolder] });
            _store.Subscribe().Dispose(); // From here on everybody announces what he does.
            foreach ((string name, _) in Content.Residents)
                _store.Put(Content.Id(name), _bytes[name]);
            _baselineBytes = Totals().UsedBytes;
        }
        if (_plan.TrimsBefore)
            _store.Trim();
        foreach (Target target in _targets)
            if (target.IsThereBefore)
            {
                _store.Put(Content.Id(target.Name), _bytes[target.Name], new ObjectOptions { Retention = target.IsEvictable ? Retention.Evictable : Retention.Keep });
                if (target.IsPinned)
                    _pins.Add(_store.Get(Content.Id(target.Name), TimeSpan.Zero));
                if (target.IsSpilled || target.IsClean)
                    MoveOut(target);
            }
        if (_plan.LeavesEmptyChunks)
        {
            _store.Put(Content.Id("own"), new byte[4 << 20]);
            if (_plan.HasSpill)
                MoveOut(new Target("own", 4 << 20, IsSpilled: true));
            _store.Delete(Content.Id("own"));
        }
    }

    /// <summary>To disk, and back into memory if it is only to be clean. The residents stay in memory.</summary>
    private void MoveOut(Target target)
    {
        PlasmaObject[] kept = [.. Content.Residents.Select(resident => _store!.Get(Content.Id(resident.Name), TimeSpan.FromSeconds(2)))];
        _store!.Unload(long.MaxValue);
        if (_store.TryGet(Content.Id(target.Name), out _))
            throw new InvalidOperationException($"'{target.Name}' did not go to disk.");
        if (target.IsClean)
            _store.Get(Content.Id(target.Name), TimeSpan.FromSeconds(2)).Dispose();
        foreach (PlasmaObject obj in kept)
            obj.Dispose();
    }

    /// <summary>Before anything is recovered: gets, puts and deletes go on as if nothing had happened.</summary>
    private void WorkAtOnce()
    {
        long start = Stopwatch.GetTimestamp();
        foreach ((string name, _) in Content.Residents)
            CheckBytes(name, mustBeThere: true);
        PlasmaStatus status = _store!.TryPut(Content.Id("own"), _bytes[Content.Residents[0].Name]);
        if (status != PlasmaStatus.Ok)
            _problems.Add($"A put at once after the death is {status}.");
        else if (!_store.TryGet(Content.Id("own"), out PlasmaObject own))
            _problems.Add("What was put at once after the death is not there.");
        else
            using (own)
                if (!own.Span.SequenceEqual(_bytes[Content.Residents[0].Name]))
                    _problems.Add("What was put at once after the death has other bytes.");
        status = _store.Delete(Content.Id("own"));
        if (status != PlasmaStatus.Ok)
            _problems.Add($"A delete at once after the death is {status}.");
        if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > AtOnceMs)
            _problems.Add(string.Create(CultureInfo.InvariantCulture, $"Two gets, a put and a delete at once after the death took {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms."));
    }

    /// <summary>A creator of the same id recovers the dead one itself; every second death is met by it, the others by maintenance.</summary>
    private void TakeIdsOfTheDead()
    {
        foreach (Target target in _targets)
            if (!target.IsThereBefore)
                PutTarget(target);
    }

    private void PutTarget(Target target)
    {
        PlasmaStatus status = _store!.TryPut(Content.Id(target.Name), _bytes[target.Name], new ObjectOptions { Timeout = TimeSpan.FromSeconds(2) });
        if (status is not (PlasmaStatus.Ok or PlasmaStatus.Exists))
            _helperProblem = $"A put of '{target.Name}' is {status}.";
    }

    private void Recover()
    {
        long start = Stopwatch.GetTimestamp();
        while (true) // Ends when nobody else is attached, or with the patience: the maintainer of this process may be at the same recovery.
        {
            _store!.Maintain();
            List<ParticipantInfo> participants = new StoreInspector(_store).Participants();
            if (participants.Count == 1)
                return;
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > RecoveredMs)
            {
                _problems.Add($"{participants.Count - 1} dead participants are not recovered after {RecoveredMs} ms.");
                return;
            }
        }
    }

    /// <summary>Pins of the survivor end: until then their objects keep their bytes, deleted or not.</summary>
    private void Settle()
    {
        for (int i = 0; i < _pins.Count; i++)
        {
            Target pinned = _targets.Where(static t => t.IsPinned).ElementAt(i);
            if (!_pins[i].Span.SequenceEqual(_bytes[pinned.Name]))
                _problems.Add($"'{pinned.Name}' changed while the survivor read it.");
            _pins[i].Dispose();
        }
        _pins.Clear();
    }

    /// <summary>Each id is absent, or sealed with exactly its bytes; what is absent can be made again.</summary>
    private void CheckTargets()
    {
        foreach (Target target in _targets)
        {
            if (CheckBytes(target.Name, mustBeThere: target.Stays) || target.IsEvictable || target.Name == Content.HeldCondemned)
                continue;
            PlasmaStatus status = _store!.TryPut(Content.Id(target.Name), _bytes[target.Name]);
            if (status != PlasmaStatus.Ok && !(status == PlasmaStatus.Exists && _helper is not null))
                _problems.Add($"'{target.Name}' is absent, and a new put of it is {status}.");
            CheckBytes(target.Name, mustBeThere: true);
        }
    }

    private void Join()
    {
        if (_helper is not null && !_helper.Join(WokenMs))
            _problems.Add($"The survivor's other thread is not back {WokenMs} ms after its object was sealed.");
        if (_helperProblem is not null)
            _problems.Add(_helperProblem);
        _helper = null;
    }

    private void RemoveTargets()
    {
        foreach (Target target in _targets)
        {
            if (!_store!.Contains(Content.Id(target.Name)))
                continue;
            PlasmaStatus status = _store.Delete(Content.Id(target.Name));
            if (status != PlasmaStatus.Ok)
                _problems.Add($"A delete of '{target.Name}' is {status}.");
        }
        _store!.Maintain();
        if (_plan.HasSpill)
            SpinWait.SpinUntil(() => _store.Maintain() == 0 && Totals().CondemnedCount == 0, AtOnceMs); // What this process brought back for a reader stays pinned for a moment.
    }

    private void CheckInvariants()
    {
        foreach ((string name, _) in Content.Residents)
            CheckBytes(name, mustBeThere: true);
        for (int e = 0; e < _store!.ObjectCountMax; e++)
            if (new StateWord(Volatile.Read(ref _store.Memory.Entries[e].State)) is { State: not (ObjectState.Free or ObjectState.Sealed or ObjectState.Spilled) } state)
                _problems.Add($"Entry {e} is {state.State} in generation {state.Generation}, of participant {state.Participant}.");
        for (long c = 0; c < _store.Memory.Chunks.ChunkCount; c++)
            if (_store.Memory.Chunks.ReadWord(c) is { IsTransient: true } word)
                _problems.Add($"Chunk {c} is {word.State} by participant {word.Participant}.");
        MemoryTotals totals = Totals();
        bool used = _plan.HasSpill || totals.UsedBytes == _baselineBytes; // What came back from disk may lie in a block of another size; Verify counts the blocks.
        if (!used || totals.SealedCount != Content.Residents.Length || totals.CreatingCount != 0 || totals.CondemnedCount != 0)
            _problems.Add($"{totals.UsedBytes} bytes are used instead of {_baselineBytes}, {totals.SealedCount} objects sealed instead of {Content.Residents.Length}, {totals.CreatingCount} being created, {totals.CondemnedCount} condemned.");
        _problems.AddRange(_store.Verify().Problems);
    }

    /// <summary>False when the object is absent.</summary>
    private bool CheckBytes(string name, bool mustBeThere)
    {
        ObjectId id = Content.Id(name);
        if (!_store!.TryGet(id, out PlasmaObject obj) && !(_plan.HasSpill && _store.Contains(id) && _store.TryGet(id, TimeSpan.FromMilliseconds(AtOnceMs), out obj) == PlasmaStatus.Ok))
        {
            if (mustBeThere)
                _problems.Add($"'{name}' is gone.");
            return false;
        }
        using (obj)
            if (!obj.Span.SequenceEqual(_bytes[name]))
                _problems.Add($"'{name}' has other bytes.");
        return true;
    }

    /// <summary>A store that the victim was making or destroying: its name can be used, and afterwards nothing is left.</summary>
    private void ExamineOwnStore()
    {
        try
        {
            using (PlasmaStore store = PlasmaStore.OpenOrCreate(_name, OwnOptions))
            {
                ObjectId id = Content.Id("own");
                byte[] bytes = _bytes[Content.Residents[0].Name];
                store.Maintain();
                if (store.TryPut(id, bytes) != PlasmaStatus.Ok || !store.TryGet(id, out PlasmaObject obj))
                    _problems.Add("The store takes no object.");
                else
                    using (obj)
                        if (!obj.Span.SequenceEqual(bytes))
                            _problems.Add("The store gives other bytes.");
                bool isThere = store.TryGet(Content.Id(Content.Target), TimeSpan.FromMilliseconds(_plan.IsPersistent ? AtOnceMs : 0), out PlasmaObject old) == PlasmaStatus.Ok;
                if (isThere)
                    using (old)
                        if (!old.Span.SequenceEqual(_plan.IsPersistent ? _bytes[Content.Target] : Content.Bytes(Content.Target, Content.SmallBytes)))
                            _problems.Add("What was in the store has other bytes.");
                if (!isThere && _plan.IsPersistent)
                    _problems.Add("What the store had left on disk is lost.");
                _problems.AddRange(store.Verify().Problems);
                int attached = new StoreInspector(store).Participants().Count;
                if (attached != 1)
                    _problems.Add($"{attached} participants are attached instead of 1.");
            }
            if (!PlasmaStore.Destroy(_name))
                _problems.Add("Destroy found no store.");
        }
#pragma warning disable CA1031 // Whatever the survivor meets is a finding.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _problems.Add($"The survivor met {e.GetType().Name}: {e.Message}");
        }
        foreach (string file in (string[])[.. Directory.GetFiles("/dev/shm", $"fastplasma.{_name}"), .. Directory.GetFiles("/dev/shm", $"fastplasma.{_name}.*")])
        {
            _problems.Add($"{file} is left over.");
            File.Delete(file);
        }
    }

    private void Await(Target target)
    {
        PlasmaStatus status = _store!.TryGet(Content.Id(target.Name), TimeSpan.FromSeconds(60), out PlasmaObject obj);
        if (status != PlasmaStatus.Ok)
        {
            _helperProblem = $"Who waited for '{target.Name}' got {status}.";
            return;
        }
        using (obj)
            if (!obj.Span.SequenceEqual(_bytes[target.Name]))
                _helperProblem = $"Who waited for '{target.Name}' got other bytes.";
    }

    private MemoryTotals Totals() => new StoreInspector(_store!).Totals();

    /// <summary>Ends the store; the next run begins with a new one.</summary>
    internal void Discard()
    {
        if (_isProbing)
            _store!.Participants.ProbeLock.Exit();
        _isProbing = false;
        _dead?.Dispose();
        foreach (PlasmaObject pin in _pins)
            pin.Dispose();
        _pins.Clear();
        _helper?.Join(WokenMs);
        if (_store is null)
            return;
        _store.Dispose();
        _store = null;
        PlasmaStore.Destroy(_name);
    }
}
