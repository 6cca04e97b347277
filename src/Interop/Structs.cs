using System.Runtime.InteropServices;

namespace FastPlasma.Interop;

// Mirrors of the header's structs, member by member and in their order; a test compares sizes and offsets with what a C compiler says.

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpId
{
    internal fixed byte Bytes[28];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpStoreOptions
{
    /// <summary>Without what came later: from DefaultTimeToLiveMs on.</summary>
    internal const int FirstSizeBytes = 104;

    internal nuint StructSize;
    internal long CapacityBytes;
    internal int ObjectCountMax;
    internal int HugePages;
    internal uint Mode;
    internal int DefaultRetention;
    internal byte* Group;
    internal long PopulateAheadBytes;
    internal int EventCapacity;
    internal int Access;
    internal byte* Directory;
    internal long FullTimeoutMs;
    internal long QuotaBytes;
    internal int CopyThreads;
    internal int Reserved;
    internal delegate* unmanaged<void*, int, byte*, void> Log;
    internal void* LogContext;
    internal long DefaultTimeToLiveMs;
    internal long EvictAheadBytes;
    internal byte** SpillDirectories;
    internal int SpillDirectoryCount;
    internal int Persist;
    internal long SpillBytes;
    internal double SpillReserve;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpStoreDetails
{
    internal const int NameSizeBytes = 129;

    internal nuint StructSize;
    internal fixed byte Uuid[16];
    internal long CapacityBytes;
    internal int ObjectCountMax;
    internal int Access;
    internal fixed byte Name[NameSizeBytes];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpObjectOptions
{
    /// <summary>Without what came later: from TimeToLiveMs on.</summary>
    internal const int FirstSizeBytes = 80;

    internal nuint StructSize;
    internal byte* Metadata;
    internal nuint MetadataSize;
    internal byte* Name;
    internal nuint NameSize;
    internal byte* ContentType;
    internal nuint ContentTypeSize;
    internal int Retention;
    internal int Alignment;
    internal int Checksum;
    internal int Reserved;
    internal long TimeoutMs;
    internal long TimeToLiveMs;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpBuffer
{
    internal byte* Data;
    internal long Size;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpWriter
{
    internal byte* Data;
    internal long Size;
    internal fixed ulong Internal[5];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpObject
{
    internal byte* Data;
    internal long Size;
    internal fixed ulong Internal[4];
}

[StructLayout(LayoutKind.Sequential)]
internal struct FpWaitOptions
{
    internal nuint StructSize;
    internal long SpinUs;
    internal nint Cancellation;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FpObjectDetails
{
    internal nuint StructSize;
    internal ulong Incarnation;
    internal ulong Checksum;
    internal long SealedAtNs;
    internal int HasChecksum;
    internal int Reserved;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FpEvent
{
    internal FpId Id;
    internal int Kind;
    internal long PayloadSize;
    internal long MetadataSize;
    internal long Sequence;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpObjectInfo
{
    internal nuint StructSize;
    internal FpId Id;
    internal int State;
    internal long PayloadSize;
    internal long MetadataSize;
    internal long BlockSize;
    internal long CreatedAtNs;
    internal long SealedAtNs;
    internal ulong Incarnation;
    internal int Retention;
    internal int CreatorProcessId;
    internal int PinCount;
    internal int HolderCount;
    internal byte* Name;
    internal byte* ContentType;
    internal long ExpiresAtNs;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpPinHolder
{
    internal nuint StructSize;
    internal FpId Id;
    internal int ProcessId;
    internal ulong Incarnation;
    internal long SinceNs;
    internal int PinCount;
    internal int OtherPidNamespace;
    internal byte* ProcessName;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FpOperationCounts
{
    internal long Gets;
    internal long GetMisses;
    internal long GetBytes;
    internal long GetCopiedBytes;
    internal long Puts;
    internal long PutBytes;
    internal long PutCopiedBytes;
    internal long Creates;
    internal long CreateBytes;
    internal long CreateCopiedBytes;
    internal long Aborts;
    internal long Deletes;
    internal long Evictions;
    internal long EvictedBytes;
    internal long Recoveries;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpStoreStats
{
    /// <summary>Without what came later: from PopulateTargetBytes on.</summary>
    internal const int FirstSizeBytes = 376;

    internal nuint StructSize;
    internal fixed byte Uuid[16];
    internal long CapacityBytes;
    internal long BackedBytes;
    internal long MetaBytes;
    internal long UsedBytes;
    internal long ObjectBytes;
    internal long SlabFreeBytes;
    internal long LargestFreeRunBytes;
    internal long CondemnedBytes;
    internal long EvictableBytes;
    internal long CreatingBytes;
    internal long HugePageBytes;
    internal int SealedCount;
    internal int CreatingCount;
    internal int CondemnedCount;
    internal int ObjectCountMax;
    internal int ParticipantCount;
    internal int HugePages;
    internal FpOperationCounts Process;
    internal FpOperationCounts Store;
    internal long PopulateTargetBytes;
    internal long PopulatedBytes;
    internal double MetaBytesPerObject;
    internal long PinnedBytes;
    internal long KeepBytes;
    internal long WaitingCount;
    internal long WaitingBytes;
    internal long WaitingSinceNs;
    internal long EvictAheadBytes;
    internal long DefaultTimeToLiveMs;
    internal long ProcessExpirations;
    internal long StoreExpirations;
    internal long SpilledCount;
    internal long SpilledBytes;
    internal long CleanBytes;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpParticipantInfo
{
    internal nuint StructSize;
    internal uint Uid;
    internal int Index;
    internal int ProcessId;
    internal int Access;
    internal long AttachedAtNs;
    internal int PinCount;
    internal int CreatingCount;
    internal int Alive;
    internal int TokenKept;
    internal int OtherPidNamespace;
    internal int Reserved;
    internal byte* ProcessName;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpFullReport
{
    /// <summary>Without what came later: from ReservationError on.</summary>
    internal const int FirstSizeBytes = 72;

    internal nuint StructSize;
    internal long RequestedBytes;
    internal long CapacityBytes;
    internal long UsedBytes;
    internal long PinnedBytes;
    internal long KeepBytes;
    internal long CondemnedBytes;
    internal long CreatingBytes;
    internal long LargestFreeRunBytes;
    internal byte* ReservationError;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FpMemoryHolder
{
    internal nuint StructSize;
    internal int Creates;
    internal int ProcessId;
    internal int ObjectCount;
    internal int PinCount;
    internal long Bytes;
    internal long SinceNs;
    internal int Stopped;
    internal int OtherPidNamespace;
    internal byte* ProcessName;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FpVerifyReport
{
    internal nuint StructSize;
    internal long Objects;
    internal long ChecksumsVerified;
    internal long PayloadBytes;
    internal long ProblemCount;
    internal long NoteCount;
}
