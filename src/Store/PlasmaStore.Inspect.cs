using System.Globalization;
using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Inspect;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

namespace FastPlasma;

public sealed unsafe partial class PlasmaStore
{
    /// <summary>How many attachments of each kind the message of a full store names; its report has all.</summary>
    private const int HoldersShown = 3;

    internal ILogger Logger => _options.Logger;

    internal SlotScan Scan => _scan;

    /// <summary>All objects: id, sizes, state, who reads them and since when. A walk over all records, not a snapshot.</summary>
    public IReadOnlyList<ObjectInfo> List()
    {
        BeginSlowCall();
        try
        {
            return new StoreInspector(this).List();
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Numbers of the store now.</summary>
    public StoreStats Stats()
    {
        BeginSlowCall();
        try
        {
            StoreInspector inspector = new(this);
            MemoryTotals totals = inspector.Totals();
            MappingUsage usage = MappingUsage.Read(Path.GetFileName(_files.Data.Path));
            IReadOnlyList<ParticipantInfo> participants = inspector.Participants();
            (int Count, long Bytes, long Since) waiting = SpaceQueue.Sum(_memory);
            return new StoreStats
            {
                Name = Name,
                Uuid = Uuid,
                CapacityBytes = _capacity,
                BackedBytes = totals.BackedBytes,
                MetaBytes = _files.Meta.Facts().AllocatedBytes,
                MetaBytesPerObject = _memory.Geometry.MetaBytesPerObject,
                UsedBytes = totals.UsedBytes,
                ObjectBytes = totals.ObjectBytes,
                SlabFreeBytes = totals.SlabFreeBytes,
                LargestFreeRunBytes = totals.LargestFreeRunBytes,
                CondemnedBytes = totals.CondemnedBytes,
                EvictableBytes = totals.EvictableBytes,
                CreatingBytes = totals.CreatingBytes,
                PinnedBytes = totals.PinnedBytes,
                KeepBytes = totals.KeepBytes,
                WaitingCount = waiting.Count,
                WaitingBytes = waiting.Bytes,
                WaitingSince = waiting.Count == 0 ? null : StoreInspector.ToTime(waiting.Since),
                EvictAheadBytes = Math.Max(_memory.Header->EvictAheadBytes, 0),
                DefaultTimeToLive = _memory.Header->DefaultLifeTicks > 0 ? TimeSpan.FromTicks(_memory.Header->DefaultLifeTicks) : null,
                DefaultRetention = (Retention)_memory.Header->DefaultRetention,
                SealedCount = totals.SealedCount,
                SpilledCount = totals.SpilledCount,
                SpilledBytes = totals.SpilledBytes,
                CleanBytes = totals.CleanBytes,
                CreatingCount = totals.CreatingCount,
                CondemnedCount = totals.CondemnedCount,
                ObjectCountMax = ObjectCountMax,
                HugePagesAsked = HugePagesAsked,
                HugePageBytes = usage.HugePageBytes,
                PopulateTargetBytes = _memory.Header->PopulateTargetBytes,
                PopulatedBytes = Volatile.Read(ref _memory.Header->PopulatedBytes),
                Process = Subtract(CountsOf(_participants.Own), _countsAtAttach),
                Store = inspector.StoreCounts(),
                Participants = participants,
            };
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Reads a byte of every 2 MiB of the sealed objects, so that <see cref="StoreStats.HugePageBytes"/> of a process that has only just attached says what they lie in.</summary>
    internal void TouchObjects()
    {
        int touchesLeft = 1 << 16; // 128 GiB of objects, some tenths of a second.
        for (uint e = 0; e < (uint)ObjectCountMax && touchesLeft > 0; e++)
        {
            var state = new StateWord(Volatile.Read(ref _memory.Entries[e].State));
            if (state.State != ObjectState.Sealed || !TryPinEntry(e, state.Generation, out PlasmaObject obj))
                continue;
            using (obj)
                for (long offset = 0; offset < obj.Length && touchesLeft > 0; offset += ChunkMap.ChunkBytes, touchesLeft--)
                    _ = Volatile.Read(in obj.GetSpan(offset, 1)[0]);
        }
    }

    /// <summary>Walks every invariant and checksum, read-only. What changes while it looks is looked at again before it counts as broken.</summary>
    /// <param name="checksums">Whether to compute the checksums of objects that have one.</param>
    /// <param name="progress">Told the part done, 0 to 1; may throw to stop the walk.</param>
    public VerifyReport Verify(bool checksums = true, IProgress<double>? progress = null)
    {
        BeginSlowCall();
        try
        {
            return new StoreVerifier(this).Run(checksums, progress);
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Lets a user attach as reader: creates its pins and lock files and gives it rights to read. Only the owner (or root) can; admitting twice changes nothing.</summary>
    /// <param name="user">A user name or a decimal uid.</param>
    /// <exception cref="ArgumentException">There is no such user, or it is the owner.</exception>
    /// <exception cref="IOException">The file system has no access control lists.</exception>
    public void AdmitReader(string user)
    {
        RequireWriter();
        BeginSlowCall(); // First: a store that is closed says that and nothing else.
        try
        {
            if (Name.Length == 0)
                throw new InvalidOperationException("An anonymous store has no readers outside its process.");
            uint uid = OsIdentity.UidOf(user), owner = _memory.Header->OwnerUid;
            if (uid == owner)
                throw new ArgumentException($"User {user} owns the store.", nameof(user));
            if (OsIdentity.EffectiveUid is var self && self != 0 && self != owner)
                throw new UnauthorizedAccessException($"Only the owner of store '{Name}' (user {owner}) or root can admit readers.");

            // One admit at a time on this machine: a lock on a byte far behind the participants' own.
            using var admission = new LifeTokens(SharedFile.Open(_files.Directory, Files.StoreNames.Lock(Name, Uuid, Files.StoreNames.WritersDomain), writable: true));
            for (int attempt = 0; !admission.TryAcquire(SpecialTokens.Admission); attempt++)
            {
                if (attempt == 50)
                    throw new IOException($"Another process has been admitting a reader to store '{Name}' for {attempt * 20} ms.");
                Thread.Sleep(20);
            }
            int count = _scan.DomainCount;
            for (int d = 1; d < count; d++)
                if (_memory.Domains[d].Uid == uid)
                    return;
            if (count == DomainRecord.CountMax)
                throw new PlasmaException(PlasmaStatus.TooManyObjects, $"{DomainRecord.CountMax - 1} readers are admitted already, the most there can be.");
            _files.CreateReaderDomain(count, uid);

            // CRASH admit: files without a record; the next admit of the user makes them anew.
            FailPoint.Pass("admit");

            // PUBLISH domain: the record, then the count. OBSERVE in SlotScan, and where the reader opens the store.
            _memory.Domains[count] = new DomainRecord { Uid = uid, Kind = DomainRecord.ReadersKind };
            Interlocked.Exchange(ref _memory.Header->DomainCount, (uint)count + 1);
            Logger.LogInformation("Admitted user {Uid} as reader of store {Store}.", uid, Name);
        }
        finally
        {
            EndSlowCall();
        }
    }

    internal OperationCounts CountsOf(ParticipantBlock* block)
    {
        Span<ulong> sums = stackalloc ulong[SlotChunk.CounterCount];
        sums.Clear();
        int chunks = ParticipantTable.ChunkHigh(block);
        for (int c = 0; c < chunks; c++)
        {
            ulong* counters = ParticipantTable.Counters(ParticipantTable.Chunk(block, c));
            for (int i = 0; i < SlotChunk.CounterCount; i++)
                sums[i] += Volatile.Read(ref counters[i]);
        }
        return ToCounts(sums, Volatile.Read(ref block->Recoveries)) with
        {
            Spills = Volatile.Read(ref block->SpillCounts[(int)SpillCounter.Spills]),
            SpilledBytes = Volatile.Read(ref block->SpillCounts[(int)SpillCounter.SpilledBytes]),
            Restores = Volatile.Read(ref block->SpillCounts[(int)SpillCounter.Restores]),
            RestoredBytes = Volatile.Read(ref block->SpillCounts[(int)SpillCounter.RestoredBytes]),
            SpillErrors = Volatile.Read(ref block->SpillCounts[(int)SpillCounter.SpillErrors]),
            RestoreErrors = Volatile.Read(ref block->SpillCounts[(int)SpillCounter.RestoreErrors]),
        };
    }

    internal static OperationCounts ToCounts(ReadOnlySpan<ulong> sums, long recoveries) => new()
    {
        Gets = (long)sums[(int)Counter.Gets],
        GetMisses = (long)sums[(int)Counter.GetMisses],
        GetBytes = (long)sums[(int)Counter.GetBytes],
        GetCopiedBytes = (long)sums[(int)Counter.GetCopiedBytes],
        Puts = (long)sums[(int)Counter.Puts],
        PutBytes = (long)sums[(int)Counter.PutBytes],
        PutCopiedBytes = (long)sums[(int)Counter.PutCopiedBytes],
        Creates = (long)sums[(int)Counter.Creates],
        CreateBytes = (long)sums[(int)Counter.CreateBytes],
        CreateCopiedBytes = (long)sums[(int)Counter.CreateCopiedBytes],
        Aborts = (long)sums[(int)Counter.Aborts],
        Deletes = (long)sums[(int)Counter.Deletes],
        Evictions = (long)sums[(int)Counter.Evictions],
        EvictedBytes = (long)sums[(int)Counter.EvictedBytes],
        Expirations = (long)sums[(int)Counter.Expirations],
        Recoveries = recoveries,
    };

    internal static OperationCounts Combine(OperationCounts a, OperationCounts b, int sign) => new()
    {
        Gets = a.Gets + sign * b.Gets,
        GetMisses = a.GetMisses + sign * b.GetMisses,
        GetBytes = a.GetBytes + sign * b.GetBytes,
        GetCopiedBytes = a.GetCopiedBytes + sign * b.GetCopiedBytes,
        Puts = a.Puts + sign * b.Puts,
        PutBytes = a.PutBytes + sign * b.PutBytes,
        PutCopiedBytes = a.PutCopiedBytes + sign * b.PutCopiedBytes,
        Creates = a.Creates + sign * b.Creates,
        CreateBytes = a.CreateBytes + sign * b.CreateBytes,
        CreateCopiedBytes = a.CreateCopiedBytes + sign * b.CreateCopiedBytes,
        Aborts = a.Aborts + sign * b.Aborts,
        Deletes = a.Deletes + sign * b.Deletes,
        Evictions = a.Evictions + sign * b.Evictions,
        EvictedBytes = a.EvictedBytes + sign * b.EvictedBytes,
        Expirations = a.Expirations + sign * b.Expirations,
        Recoveries = a.Recoveries + sign * b.Recoveries,
        Spills = a.Spills + sign * b.Spills,
        SpilledBytes = a.SpilledBytes + sign * b.SpilledBytes,
        Restores = a.Restores + sign * b.Restores,
        RestoredBytes = a.RestoredBytes + sign * b.RestoredBytes,
        SpillErrors = a.SpillErrors + sign * b.SpillErrors,
        RestoreErrors = a.RestoreErrors + sign * b.RestoreErrors,
    };

    private static OperationCounts Subtract(OperationCounts now, OperationCounts before) => Combine(now, before, -1);

    internal StoreFullReport BuildFullReport(long requestedBytes)
    {
        BeginSlowCall();
        try
        {
            return new StoreInspector(this).FullReport(requestedBytes);
        }
        finally
        {
            EndSlowCall();
        }
    }

    private string DescribeFull(StoreFullReport r, TimeSpan timeout)
    {
        var text = new StringBuilder();
        long free = r.CapacityBytes - r.UsedBytes, held = _options.QuotaBytes is null ? 0 : AccountBytes();
        bool overQuota = _options.QuotaBytes is long quota && held + r.RequestedBytes > quota;
        text.Append(CultureInfo.InvariantCulture, $"Store '{Name}' has no room for {r.RequestedBytes} bytes");
        if (timeout != TimeSpan.Zero)
            text.Append(CultureInfo.InvariantCulture, $" (waited {timeout})");
        if (overQuota)
            text.Append(CultureInfo.InvariantCulture, $": this attachment holds {held} bytes of its quota of {_options.QuotaBytes}");
        text.Append(CultureInfo.InvariantCulture, $": {r.UsedBytes} of {r.CapacityBytes} bytes are used, {r.PinnedBytes} pinned by readers, {r.KeepBytes} in objects that may not be dropped, ");
        text.Append(CultureInfo.InvariantCulture, $"{r.CondemnedBytes} deleted but still read, {r.CreatingBytes} being written");
        if (!overQuota && free >= r.RequestedBytes && r.LargestFreeRunBytes < r.RequestedBytes)
            text.Append(CultureInfo.InvariantCulture, $"; {free} bytes are free, but not in one piece");
        text.Append(CultureInfo.InvariantCulture, $"; the largest free run is {r.LargestFreeRunBytes}.");
        if (_options.QuotaBytes is not null && !overQuota)
            text.Append(CultureInfo.InvariantCulture, $" This attachment holds {held} bytes of its quota of {_options.QuotaBytes}.");
        (int waiters, long wanted, long since) = SpaceQueue.Sum(_memory);
        if (waiters > 0)
            text.Append(CultureInfo.InvariantCulture, $" {waiters} creates wait for {wanted} bytes, the first since {StoreInspector.ToTime(since):u}.");
        if (r.ReservationError is not null)
            text.Append(CultureInfo.InvariantCulture, $" The system refused more memory: {r.ReservationError}.");
        if (_spill?.ProblemNow() is { } problem)
            text.Append(CultureInfo.InvariantCulture, $" Objects cannot be moved to disk, or only shorter ones: {problem}.");
        else if (_spill?.DescribeSlowWrites() is { } slow)
            text.Append(CultureInfo.InvariantCulture, $" Objects are being moved to disk, which is slow: {slow}.");
        else if (Volatile.Read(ref _spillProblem) is { } last)
            text.Append(CultureInfo.InvariantCulture, $" The last object that was to be moved to disk could not be: {last}.");
        foreach (MemoryHolder h in r.Holders.Take(HoldersShown))
            text.Append(CultureInfo.InvariantCulture, $" Process {Describe(h)} holds {h.Bytes} bytes in {h.Pins} pins since {h.Since:u}.");
        foreach (MemoryHolder h in r.Creators.Take(HoldersShown))
            text.Append(CultureInfo.InvariantCulture, $" Process {Describe(h)} is creating {h.Objects} objects with {h.Bytes} bytes since {h.Since:u}.");
        return text.ToString();
    }

    private static string Describe(MemoryHolder h) =>
        $"{h.ProcessId} ({h.ProcessName}{(h.OtherPidNamespace ? ", number of another pid namespace" : "")}{(h.Stopped ? ", stopped" : "")})";
}
