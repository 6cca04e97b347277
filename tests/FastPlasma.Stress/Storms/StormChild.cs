using System.Diagnostics;
using System.Globalization;
using FastPlasma.Allocator;
using FastPlasma.Format;

namespace FastPlasma.Stress.Storms;

/// <summary>One process of a storm: works on the store in its role until it is killed or told to leave, and checks every byte that it reads.</summary>
internal sealed unsafe class StormChild
{
    /// <summary>First argument of a child process.</summary>
    internal const string Command = "storm-child";

    /// <summary>Longest time of an operation that does not wait: far above what it takes, because the machine may be busy; far below what a stopped process could hold it up.</summary>
    internal const int BoundMs = 5_000;

    /// <summary>Exit code after an error that is in the ledger.</summary>
    internal const int FailedExitCode = 70;

    /// <summary>Deleters read most of the time: a delete is done sooner than a put, and the store should be full.</summary>
    private const int RemovalPeriod = 100;

    private static readonly TimeSpan s_bringTimeout = TimeSpan.FromMilliseconds(500);

    private const int WaitMsMax = 60, HoardPinsMax = 2_000, HoardWritersMax = 200, HeldMax = 24, FirstHoardKey = 1 << 20;

    private readonly Ledger _ledger;
    private readonly ProcessRecord* _record;
    private readonly string _storeName;
    private readonly int _place;
    private readonly int _serial;
    private readonly long _seed;
    private readonly Random _random;
    private readonly PlantedFault _plant;
    private readonly List<(int Key, PlasmaObject Object)> _held = [];
    private readonly List<ObjectWriter> _writers = [];
    private Role _role;
    private PlasmaStore? _store;
    private PlasmaSubscription? _subscription;
    private int _hoarded;
    private bool _planted;

    private StormChild(string[] a, Ledger ledger)
    {
        _ledger = ledger;
        _storeName = a[0];
        _place = int.Parse(a[1], CultureInfo.InvariantCulture);
        _serial = int.Parse(a[2], CultureInfo.InvariantCulture);
        _role = Enum.Parse<Role>(a[3]);
        _plant = Enum.Parse<PlantedFault>(a[4]);
        _seed = long.Parse(a[5], CultureInfo.InvariantCulture);
        _record = ledger.Process(_place);
        _random = new Random((int)(_seed + _serial * 7919L));
    }

    private PlasmaStore Store => _store!;

    private bool IsWriter => Store.Access == StoreAccess.ReadWrite;

    internal static string[] ArgumentsFor(string store, int place, int serial, Role role, PlantedFault plant, long seed) =>
    [
        Command, store, place.ToString(CultureInfo.InvariantCulture), serial.ToString(CultureInfo.InvariantCulture), role.ToString(), plant.ToString(),
        seed.ToString(CultureInfo.InvariantCulture), Environment.ProcessId.ToString(CultureInfo.InvariantCulture),
    ];

    /// <summary>Body of a child process, with the arguments after <see cref="Command"/>.</summary>
    internal static int Run(string[] arguments)
    {
        Native.DieWith(int.Parse(arguments[^1], CultureInfo.InvariantCulture));
        using Ledger ledger = Ledger.Open(arguments[0]);
        var child = new StormChild(arguments, ledger);
        try
        {
            child.Work();
            return 0;
        }
#pragma warning disable CA1031 // Told to the parent, who counts it.
        catch (Exception e)
#pragma warning restore CA1031
        {
            ledger.Report(child._place, FaultKind.Error, $"{child._role} in {(Operation)child._record->Operation}: {e}");
            return FailedExitCode;
        }
    }

    private void Work()
    {
        Attach();
        while (true) // Ends with a signal, or with the parent's.
        {
            int pause = Volatile.Read(ref _ledger.Pause);
            if ((pause & 1) != 0)
                BeQuiet(pause);
            if (_random.Next(500) == 0)
            {
                Detach();
                Attach();
            }
            switch (_role)
            {
                case Role.Writer:
                    Write();
                    break;
                case Role.Reader:
                    Read();
                    break;
                case Role.Deleter:
                    Remove();
                    break;
                case Role.Waiter:
                    Wait();
                    break;
                case Role.Recoverer:
                    Recover();
                    break;
                case Role.Hoarder:
                    Hoard();
                    break;
                case Role.Culprit:
                    Plant();
                    break;
            }
        }
    }

    // ---- attaching ---------------------------------------------------------------------------------------------------------

    private void Attach()
    {
        bool readOnly = _role is Role.Reader or Role.Waiter && _random.Next(2) == 0;
        using (Begin(Operation.Attach))
            _store = PlasmaStore.Open(_storeName, new PlasmaOptions { Access = readOnly ? StoreAccess.ReadOnly : StoreAccess.ReadWrite });
        _subscription = null;
    }

    private void Detach()
    {
        if (_random.Next(2) == 0)
            LetGo();
        using (Begin(Operation.Detach))
            Store.Dispose();
        LetGo(); // Handles may be disposed after the store, and end the attachment.
    }

    private void LetGo()
    {
        foreach ((_, PlasmaObject obj) in _held)
            obj.Dispose();
        foreach (ObjectWriter writer in _writers)
            writer.Dispose();
        _held.Clear();
        _writers.Clear();
    }

    private void BeQuiet(int pause)
    {
        using (Begin(Operation.Release))
            LetGo();
        Volatile.Write(ref _record->Quiet, pause);
        while (Volatile.Read(ref _ledger.Pause) == pause) // Ends with the parent's pause, or with the parent.
            Thread.Sleep(1);
    }

    // ---- writing -----------------------------------------------------------------------------------------------------------

    private void Write()
    {
        int key = _random.Next(Ledger.PlantedKey + Ledger.ContestedCount);
        if (key >= Ledger.PlantedKey)
        {
            Make(key + 1, (uint)_random.Next(), Retention.Evictable);
            return;
        }
        KeyWord word = _ledger.Read(key);
        if (word.State == KeyState.Unknown)
            FindOut(key, word);
        if (word.State != KeyState.Absent)
            return;
        var mine = new KeyWord(KeyState.Creating, _serial, _ledger.NextNonce());
        if (!_ledger.TryChange(key, word, mine))
            return;
        switch (Make(key, mine.Nonce, Retention.Keep))
        {
            case PlasmaStatus.Ok:
                _ledger.Change(key, mine, new KeyWord(KeyState.Sealed, 0, mine.Nonce));
                break;
            case PlasmaStatus.Exists:
                Lost($"key {key} exists although it was deleted or never made");
                goto default;
            default:
                _ledger.Change(key, mine, default);
                break;
        }
    }

    /// <summary>Makes an object in one of the ways there are. Anything but Ok: there is none of this nonce.</summary>
    private PlasmaStatus Make(int key, uint nonce, Retention retention)
    {
        var payload = new Payload(_seed, key, nonce);
        ObjectId id = Payload.IdOf(_seed, key);
        Span<byte> metadata = stackalloc byte[16];
        metadata.Fill((byte)nonce);
        var options = new ObjectOptions
        {
            Retention = retention,
            Checksum = (nonce & 1) == 0,
            Metadata = metadata[..(int)(nonce % 17)],
            Timeout = _random.Next(8) == 0 ? TimeSpan.FromMilliseconds(_random.Next(WaitMsMax)) : TimeSpan.Zero,
        };
        PlasmaStatus status;
        if (_random.Next(2) == 0)
        {
            byte[] bytes = new byte[payload.Length];
            payload.Fill(bytes);
            using (Begin(Operation.Put, BoundMs + WaitMsMax))
                status = Store.TryPut(id, bytes, options);
            return Outcome(status);
        }
        ObjectWriter writer;
        using (Begin(Operation.Create, BoundMs + WaitMsMax))
            status = Store.TryCreate(id, payload.Length, out writer, options);
        if (status != PlasmaStatus.Ok)
            return Outcome(status);
        payload.Fill(writer.Span);
        if (_random.Next(8) == 0)
        {
            using (Begin(Operation.Abort))
                writer.Dispose();
            return PlasmaStatus.Closed;
        }
        using (Begin(Operation.Seal))
            status = writer.TrySeal();
        if (status != PlasmaStatus.Ok)
            Lost($"key {key}, nonce {nonce}: its creator is alive and seals it, and is told {status}");
        return status;
    }

    private static PlasmaStatus Outcome(PlasmaStatus status) => status is PlasmaStatus.Ok or PlasmaStatus.Exists or PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects
        ? status
        : throw new InvalidOperationException($"A create says {status}.");

    /// <summary>Its last owner died: either the object is there, with the bytes of that owner, or it is not.</summary>
    private void FindOut(int key, KeyWord word)
    {
        var mine = new KeyWord(KeyState.Deleting, _serial, word.Nonce);
        if (!_ledger.TryChange(key, word, mine))
            return;
        if (_random.Next(2) == 0)
        {
            Delete(key, mine, wasSealed: false);
            return;
        }
        bool found, away;
        PlasmaObject obj;
        using (Begin(Operation.Get))
            found = TryFind(key, out obj, out away);
        using (obj)
        {
            if (found && Verified(key, obj) is uint nonce && nonce != word.Nonce)
                Lost($"key {key} has nonce {nonce}, its last owner's was {word.Nonce}");
        }
        _ledger.Change(key, mine, found || away ? new KeyWord(KeyState.Sealed, 0, word.Nonce) : word);
    }

    // ---- removing ----------------------------------------------------------------------------------------------------------

    private void Remove()
    {
        if (_random.Next(RemovalPeriod) != 0)
        {
            Read();
            return;
        }
        switch (_random.Next(64))
        {
            case 0:
                using (Begin(Operation.Trim))
                    Store.Trim();
                break;
            case < 4:
                using (Begin(Operation.Evict))
                    Store.Evict(_random.Next(256 << 10));
                break;
            case < 24:
                using (Begin(Operation.Delete))
                    Store.Delete(Payload.IdOf(_seed, Ledger.KeepCount + _random.Next(Ledger.ContestedCount)));
                break;
            default:
                int key = _random.Next(Ledger.PlantedKey);
                KeyWord word = _ledger.Read(key);
                if (word.State is not (KeyState.Sealed or KeyState.Unknown))
                    break;
                var mine = new KeyWord(KeyState.Deleting, _serial, word.Nonce);
                if (_ledger.TryChange(key, word, mine))
                    Delete(key, mine, word.State == KeyState.Sealed);
                break;
        }
    }

    private void Delete(int key, KeyWord mine, bool wasSealed)
    {
        PlasmaStatus status;
        using (Begin(Operation.Delete))
            status = Store.Delete(Payload.IdOf(_seed, key));
        if (wasSealed && status != PlasmaStatus.Ok)
            Lost($"key {key}, nonce {mine.Nonce} was sealed, and its only deleter is told {status}");
        // Not sealed: the dead creator is not recovered yet.
        _ledger.Change(key, mine, status == PlasmaStatus.NotSealed ? new KeyWord(KeyState.Unknown, 0, mine.Nonce) : default);
    }

    // ---- reading -----------------------------------------------------------------------------------------------------------

    private void Read()
    {
        int key = _random.Next(Ledger.KeepCount + Ledger.ContestedCount);
        Get(key, hold: _random.Next(4) == 0);
        while (_held.Count > HeldMax)
            Release(_random.Next(_held.Count));
    }

    private void Get(int key, bool hold)
    {
        KeyWord before = key < Ledger.KeepCount ? _ledger.Read(key) : default;
        int stops = Volatile.Read(ref _record->StopCount);
        bool othersStopped = Volatile.Read(ref _ledger.Stopped) > 0;
        bool found, away;
        PlasmaObject obj;
        long start = Stopwatch.GetTimestamp();
        using (Begin(Operation.Get))
            found = TryFind(key, out obj, out away);
        long ticks = Stopwatch.GetTimestamp() - start;
        if (othersStopped && ticks > _record->StallTicks && stops == Volatile.Read(ref _record->StopCount))
            Volatile.Write(ref _record->StallTicks, ticks);
        _record->Gets++;
        if (away)
            _record->Away++;
        else if (Judge(key, before, found, obj) && hold)
            _held.Add((key, obj));
        else
            obj.Dispose();
    }

    /// <summary>A get from memory, or from disk if the object is there. <paramref name="away"/>: it is there, and could not be brought in time, because a stopped process has it in hand or pins fill the memory.</summary>
    private bool TryFind(int key, out PlasmaObject obj, out bool away)
    {
        ObjectId id = Payload.IdOf(_seed, key);
        away = false;
        if (Store.TryGet(id, out obj))
            return true;
        if (!Store.HasSpill || Store.TryGet(id, TimeSpan.Zero, out obj) is var now && now == PlasmaStatus.NotFound)
            return false;
        if (now == PlasmaStatus.NotResident)
            now = Store.TryGet(id, s_bringTimeout, out obj);
        if (now == PlasmaStatus.NotResident && Store.LateIsDisk)
            Lost($"key {key} cannot be read from disk: {Store.DescribeAbsence(id)}");
        away = now == PlasmaStatus.NotResident;
        return now == PlasmaStatus.Ok;
    }

    /// <summary>What was sealed before and after a get was there all the time, so the get must have found it.</summary>
    private bool Judge(int key, KeyWord before, bool found, in PlasmaObject obj)
    {
        uint? nonce = found ? Verified(key, obj) : null;
        if (before.State != KeyState.Sealed || _ledger.Read(key) != before)
            return found;
        if (!found)
            Lost($"key {key}, nonce {before.Nonce} is sealed and was not found");
        else if (nonce is uint n && n != before.Nonce)
            Lost($"key {key} has nonce {n}, sealed was {before.Nonce}");
        return found;
    }

    private uint? Verified(int key, in PlasmaObject obj)
    {
        if (Payload.Verify(_seed, key, obj.Span, out uint nonce) is not string problem)
            return nonce;
        Lost(problem);
        return null;
    }

    /// <summary>Deleted or not: what is pinned keeps its bytes.</summary>
    private void Release(int i)
    {
        (int key, PlasmaObject obj) = _held[i];
        _held.RemoveAt(i);
        Verified(key, obj);
        using (Begin(Operation.Release))
            obj.Dispose();
    }

    // ---- waiting -----------------------------------------------------------------------------------------------------------

    private void Wait()
    {
        int timeoutMs = _random.Next(WaitMsMax);
        var timeout = TimeSpan.FromMilliseconds(timeoutMs);
        int key = _random.Next(Ledger.KeepCount + Ledger.ContestedCount);
        switch (_random.Next(4))
        {
            case 0:
                WaitAny(key, timeout);
                break;
            case 1:
                if (_subscription is null)
                {
                    using (Begin(Operation.Subscribe))
                        _subscription = Store.Subscribe();
                }
                using (Begin(Operation.ReadEvent, BoundMs + timeoutMs))
                    _subscription.Read(timeout, out _);
                break;
            default:
                KeyWord before = key < Ledger.KeepCount ? _ledger.Read(key) : default;
                PlasmaStatus status;
                PlasmaObject obj;
                using (Begin(Operation.WaitOne, BoundMs + timeoutMs))
                    status = Store.TryGet(Payload.IdOf(_seed, key), timeout, out obj, spin: TimeSpan.FromMicroseconds(_random.Next(2) * 50));
                using (obj)
                    if (status != PlasmaStatus.NotResident)
                        Judge(key, before, status == PlasmaStatus.Ok, obj);
                break;
        }
    }

    private void WaitAny(int first, TimeSpan timeout)
    {
        const int count = 16;
        Span<ObjectId> ids = stackalloc ObjectId[count];
        Span<KeyWord> before = stackalloc KeyWord[count];
        Span<bool> ready = stackalloc bool[count];
        for (int i = 0; i < count; i++)
        {
            int key = (first + i) % Ledger.KeepCount;
            ids[i] = Payload.IdOf(_seed, key);
            before[i] = _ledger.Read(key);
        }
        int wanted = 1 + _random.Next(count);
        int found;
        using (Begin(Operation.WaitAny, BoundMs + (int)timeout.TotalMilliseconds))
            found = Store.Wait(ids, wanted, timeout, ready);
        if (found >= wanted)
            return;
        for (int i = 0; i < count; i++)
        {
            int key = (first + i) % Ledger.KeepCount;
            if (!ready[i] && before[i].State == KeyState.Sealed && _ledger.Read(key) == before[i])
                Lost($"key {key}, nonce {before[i].Nonce} is sealed, and a wait of {timeout.TotalMilliseconds} ms did not see it");
        }
    }

    // ---- recovering and hoarding -------------------------------------------------------------------------------------------

    private void Recover()
    {
        long start = Stopwatch.GetTimestamp();
        int recovered;
        using (Begin(Operation.Maintain))
            recovered = Store.Maintain();
        if (recovered > 0)
            _ledger.AddSample((int)Stopwatch.GetElapsedTime(start).TotalMicroseconds / recovered);
        if (_random.Next(4) == 0)
            Write();
        Thread.Sleep(_random.Next(3)); // The rest of the machine is for the others; nothing relies on its length.
    }

    private void Hoard()
    {
        if (_held.Count < HoardPinsMax)
            for (int i = 0; i < 64; i++)
                Get(_random.Next(Ledger.KeepCount + Ledger.ContestedCount), hold: true);
        else if (_random.Next(8) == 0)
            LetGo();
        if (_writers.Count < HoardWritersMax)
        {
            PlasmaStatus status;
            ObjectWriter writer;
            using (Begin(Operation.Create))
                status = Store.TryCreate(Payload.IdOf(_seed, FirstHoardKey + (_serial << 10) + _hoarded++ % 1024), _random.Next(4096), out writer);
            if (status == PlasmaStatus.Ok)
                _writers.Add(writer);
        }
    }

    // ---- planted faults ----------------------------------------------------------------------------------------------------

    private void Plant()
    {
        if (!_planted)
        {
            _planted = true;
            Commit();
        }
        Thread.Sleep(1);
    }

    private void Commit()
    {
        KeyWord word = _ledger.Read(Ledger.PlantedKey);
        var mine = new KeyWord(KeyState.Creating, _serial, _ledger.NextNonce());
        if (word.State != KeyState.Absent || !_ledger.TryChange(Ledger.PlantedKey, word, mine))
            return;
        var announced = new KeyWord(KeyState.Sealed, 0, mine.Nonce);
        if (_plant == PlantedFault.FalseSeal)
        {
            _ledger.Change(Ledger.PlantedKey, mine, announced);
            return;
        }
        if (_plant == PlantedFault.Hang)
        {
            using (Begin(Operation.Probe))
                Thread.Sleep(Timeout.Infinite);
        }
        var payload = new Payload(_seed, Ledger.PlantedKey, mine.Nonce);
        using ObjectWriter writer = Store.Create(Payload.IdOf(_seed, Ledger.PlantedKey), payload.Length, new ObjectOptions { Timeout = TimeSpan.FromSeconds(4) });
        payload.Fill(writer.Span);
        byte* bytes = writer.Pointer;
        ObjectEntry* entry = writer.Entry;
        var state = new StateWord(entry->State);
        if (_plant == PlantedFault.LeakBlock)
        {
            BlockPlace elsewhere = default;
            uint index = (uint)(entry - Store.Memory.Entries);
            for (int effort = 0; !Store.Allocator.TryAllocate(new BlockCache(), 4096, 64, BlockOwner.Of(state.Generation, index), &elsewhere, (Effort)effort, out _); effort = 1)
                Store.Evict(1 << 20); // Ends: what the others create is evictable or deleted sooner or later.
        }
        writer.Seal();
        if (_plant == PlantedFault.CorruptObject)
            bytes[payload.Length / 2] ^= 1;
        if (_plant == PlantedFault.LeakRecord)
            Interlocked.Exchange(ref TakeFreeRecord()->State, new StateWord(uint.MaxValue - 1, StateWord.ParticipantCountMax - 1, ObjectState.Creating, 0).Value);
        _ledger.Change(Ledger.PlantedKey, mine, announced);
    }

    /// <summary>A free one from the end, which the others reach last.</summary>
    private ObjectEntry* TakeFreeRecord()
    {
        for (int i = Store.ObjectCountMax - 1; ; i--)
            if (new StateWord(Volatile.Read(ref Store.Memory.Entries[i].State)).State == ObjectState.Free)
                return Store.Memory.Entries + i;
    }

    // ---- telling the parent ------------------------------------------------------------------------------------------------

    private void Lost(string text) => _ledger.Report(_place, FaultKind.Lost, $"{_role}: {text}");

    private Timed Begin(Operation operation, int boundMs = BoundMs)
    {
        _record->Operation = (int)operation;
        _record->OperationBoundMs = boundMs;
        Volatile.Write(ref _record->OperationStart, Stopwatch.GetTimestamp());
        return new Timed(_record);
    }

    private readonly ref struct Timed(ProcessRecord* record)
    {
        private readonly ProcessRecord* _record = record;

        public void Dispose()
        {
            Volatile.Write(ref _record->OperationStart, 0);
            _record->Operations++;
        }
    }
}
