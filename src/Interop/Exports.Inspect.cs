using System.Runtime.InteropServices;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_list")]
    internal static int List(nint store, delegate* unmanaged<void*, FpObjectInfo*, int> each, void* context)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (each == null)
                return Null("each");
            foreach (ObjectInfo info in found.List())
            {
                FpObjectInfo copy = new()
                {
                    StructSize = (nuint)sizeof(FpObjectInfo),
                    State = (int)info.State,
                    PayloadSize = info.PayloadBytes,
                    MetadataSize = info.MetadataBytes,
                    BlockSize = info.BlockBytes,
                    CreatedAtNs = Arguments.UnixNs(info.CreatedAt),
                    SealedAtNs = info.SealedAt is { } at ? Arguments.UnixNs(at) : 0,
                    Incarnation = info.Incarnation,
                    Retention = (int)info.Retention,
                    CreatorProcessId = info.CreatorProcessId,
                    HolderCount = info.Holders.Count,
                    ExpiresAtNs = info.ExpiresAt is { } end ? Arguments.UnixNs(end) : 0,
                };
                *(ObjectId*)&copy.Id = info.Id;
                foreach (PinHolder holder in info.Holders)
                    copy.PinCount += holder.Pins;
                fixed (byte* name = Terminated(info.Name), contentType = Terminated(info.ContentType))
                {
                    copy.Name = name;
                    copy.ContentType = contentType;
                    if (each(context, &copy) != 0)
                        break;
                }
            }
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_list_holders")]
    internal static int ListHolders(nint store, ObjectId* id, delegate* unmanaged<void*, FpPinHolder*, int> each, void* context)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (each == null)
                return Null("each");
            foreach (ObjectInfo info in found.List())
                if ((id == null || info.Id == *id) && !Tell(info, each, context))
                    break;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    /// <summary>False when the caller wants no more.</summary>
    private static bool Tell(ObjectInfo info, delegate* unmanaged<void*, FpPinHolder*, int> each, void* context)
    {
        foreach (PinHolder holder in info.Holders)
        {
            fixed (byte* name = Terminated(holder.ProcessName))
            {
                FpPinHolder copy = new()
                {
                    StructSize = (nuint)sizeof(FpPinHolder),
                    ProcessId = holder.ProcessId,
                    Incarnation = info.Incarnation,
                    SinceNs = Arguments.UnixNs(holder.Since),
                    PinCount = holder.Pins,
                    OtherPidNamespace = holder.OtherPidNamespace ? 1 : 0,
                    ProcessName = name,
                };
                *(ObjectId*)&copy.Id = info.Id;
                if (each(context, &copy) != 0)
                    return false;
            }
        }
        return true;
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_list_participants")]
    internal static int ListParticipants(nint store, delegate* unmanaged<void*, FpParticipantInfo*, int> each, void* context)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (each == null)
                return Null("each");
            foreach (ParticipantInfo info in found.Stats().Participants)
            {
                fixed (byte* name = Terminated(info.ProcessName))
                {
                    FpParticipantInfo copy = new()
                    {
                        StructSize = (nuint)sizeof(FpParticipantInfo),
                        Uid = info.Uid,
                        Index = info.Index,
                        ProcessId = info.ProcessId,
                        Access = (int)info.Access,
                        AttachedAtNs = Arguments.UnixNs(info.AttachedAt),
                        PinCount = info.Pins,
                        CreatingCount = info.Creating,
                        Alive = info.Alive ? 1 : 0,
                        TokenKept = info.TokenKept ? 1 : 0,
                        OtherPidNamespace = info.OtherPidNamespace ? 1 : 0,
                        ProcessName = name,
                    };
                    if (each(context, &copy) != 0)
                        break;
                }
            }
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_stats")]
    internal static int Stats(nint store, FpStoreStats* stats)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (stats == null)
                return Null("stats");
            Arguments.RequireSize(stats->StructSize, FpStoreStats.FirstSizeBytes, "fp_store_stats");
            StoreStats s = found.Stats();
            FpStoreStats copy = new()
            {
                CapacityBytes = s.CapacityBytes,
                BackedBytes = s.BackedBytes,
                MetaBytes = s.MetaBytes,
                UsedBytes = s.UsedBytes,
                ObjectBytes = s.ObjectBytes,
                SlabFreeBytes = s.SlabFreeBytes,
                LargestFreeRunBytes = s.LargestFreeRunBytes,
                CondemnedBytes = s.CondemnedBytes,
                EvictableBytes = s.EvictableBytes,
                CreatingBytes = s.CreatingBytes,
                HugePageBytes = s.HugePageBytes,
                SealedCount = s.SealedCount,
                CreatingCount = s.CreatingCount,
                CondemnedCount = s.CondemnedCount,
                ObjectCountMax = s.ObjectCountMax,
                ParticipantCount = s.Participants.Count,
                HugePages = (int)s.HugePagesAsked,
                Process = Counts(s.Process),
                Store = Counts(s.Store),
                PopulateTargetBytes = s.PopulateTargetBytes,
                PopulatedBytes = s.PopulatedBytes,
                MetaBytesPerObject = s.MetaBytesPerObject,
                PinnedBytes = s.PinnedBytes,
                KeepBytes = s.KeepBytes,
                WaitingCount = s.WaitingCount,
                WaitingBytes = s.WaitingBytes,
                WaitingSinceNs = s.WaitingSince is { } since ? Arguments.UnixNs(since) : 0,
                EvictAheadBytes = s.EvictAheadBytes,
                DefaultTimeToLiveMs = s.DefaultTimeToLive is { } life ? (long)Math.Ceiling(life.TotalMilliseconds) : 0,
                ProcessExpirations = s.Process.Expirations,
                StoreExpirations = s.Store.Expirations,
                SpilledCount = s.SpilledCount,
                SpilledBytes = s.SpilledBytes,
                CleanBytes = s.CleanBytes,
            };
            s.Uuid.TryWriteBytes(new Span<byte>(copy.Uuid, 16), bigEndian: true, out _);
            Arguments.Give(stats, copy);
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    private static FpOperationCounts Counts(OperationCounts c) => new()
    {
        Gets = c.Gets,
        GetMisses = c.GetMisses,
        GetBytes = c.GetBytes,
        GetCopiedBytes = c.GetCopiedBytes,
        Puts = c.Puts,
        PutBytes = c.PutBytes,
        PutCopiedBytes = c.PutCopiedBytes,
        Creates = c.Creates,
        CreateBytes = c.CreateBytes,
        CreateCopiedBytes = c.CreateCopiedBytes,
        Aborts = c.Aborts,
        Deletes = c.Deletes,
        Evictions = c.Evictions,
        EvictedBytes = c.EvictedBytes,
        Recoveries = c.Recoveries,
    };

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_verify")]
    internal static int Verify(
        nint store, int checksums, delegate* unmanaged<void*, double, int> progress, delegate* unmanaged<void*, int, byte*, void> finding, void* context, FpVerifyReport* report)
    {
        if (!Attachment.TryUse(store, out PlasmaStore found, out int failure))
            return failure;
        try
        {
            if (report != null)
                Arguments.RequireSize(report->StructSize, sizeof(FpVerifyReport), "fp_verify_report");
            VerifyReport verified = found.Verify(checksums != 0, progress == null ? null : new Progress(progress, context));
            if (finding != null)
            {
                Tell(verified.Problems, 1, finding, context);
                Tell(verified.Notes, 0, finding, context);
            }
            if (report != null)
            {
                Arguments.Give(report, new FpVerifyReport
                {
                    Objects = verified.Objects,
                    ChecksumsVerified = verified.ChecksumsVerified,
                    PayloadBytes = verified.PayloadBytes,
                    ProblemCount = verified.Problems.Count,
                    NoteCount = verified.Notes.Count,
                });
            }
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e, found);
        }
    }

    private static void Tell(IReadOnlyList<string> texts, int isProblem, delegate* unmanaged<void*, int, byte*, void> finding, void* context)
    {
        foreach (string text in texts)
            fixed (byte* utf8 = Terminated(text))
                finding(context, isProblem, utf8);
    }

    private sealed class Progress(delegate* unmanaged<void*, double, int> callback, void* context) : IProgress<double>
    {
        public void Report(double value)
        {
            if (callback(context, value) != 0)
                throw new OperationCanceledException("The progress callback has stopped the walk.");
        }
    }
}
