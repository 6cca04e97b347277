using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using FastPlasma.Spill;

namespace FastPlasma.Interop;

/// <summary>Arguments of C calls as the store takes them. What cannot be is an <see cref="ArgumentException"/>, which becomes FP_INVALID_ARGUMENT.</summary>
internal static unsafe class Arguments
{
    private const long TimeoutMsMax = long.MaxValue / TimeSpan.TicksPerMillisecond;
    private const long StoreTimeout = -2;

    /// <summary>No struct ever grows beyond that: a larger struct_size is not one.</summary>
    private const int StructBytesMax = 4096;

    /// <summary>Characters of name and media type of one object, at most.</summary>
    internal const int TextCharsMax = PlasmaStore.NameBytesMax + PlasmaStore.ContentTypeBytesMax;

    /// <summary>timeout_ms of the header.</summary>
    internal static bool TryTimeout(long timeoutMs, out TimeSpan timeout)
    {
        timeout = timeoutMs == -1 ? Timeout.InfiniteTimeSpan : new TimeSpan(Math.Clamp(timeoutMs, 0, TimeoutMsMax) * TimeSpan.TicksPerMillisecond);
        return timeoutMs >= -1;
    }

    internal static TimeSpan Time(long timeoutMs, string name) =>
        TryTimeout(timeoutMs, out TimeSpan timeout) ? timeout : throw new ArgumentException($"{name} is {timeoutMs}; it can be 0, positive or FP_INFINITE (-1).");

    /// <summary>Spin and cancellation of a wait.</summary>
    internal static CancellationToken Wait(FpWaitOptions* wait, out TimeSpan spin)
    {
        spin = TimeSpan.Zero;
        if (wait == null)
            return CancellationToken.None;
        RequireOptions(wait, wait->StructSize, sizeof(FpWaitOptions), sizeof(FpWaitOptions), "fp_wait_options");
        if (wait->SpinUs < 0)
            throw new ArgumentException($"spin_us is {wait->SpinUs}; it cannot be negative.");
        spin = new TimeSpan(Math.Min(wait->SpinUs, long.MaxValue / TimeSpan.TicksPerMicrosecond) * TimeSpan.TicksPerMicrosecond);
        if (wait->Cancellation == 0)
            return CancellationToken.None;
        return Cancellations.All.TryFind(wait->Cancellation, out CancellationTokenSource source)
            ? source.Token
            : throw new ArgumentException("cancellation is no handle, or was freed.");
    }

    /// <summary>Text that ends with NUL.</summary>
    internal static string Text(byte* text, string name) => TextOrNull(text, name) ?? throw new ArgumentException($"{name} is NULL.");

    internal static string? TextOrNull(byte* text, string name)
    {
        if (text == null)
            return null;
        ReadOnlySpan<byte> utf8 = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text);
        return Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : throw new ArgumentException($"{name} is not UTF-8.");
    }

    private static string[] Texts(byte** texts, int count, int countMax, string name)
    {
        if (texts == null || count <= 0 || count > countMax)
            throw new ArgumentException($"{name} are {count} at {(nint)texts:x}; they can be 1 to {countMax}, or none with a count of 0.");
        string[] result = new string[count];
        for (int i = 0; i < count; i++)
            result[i] = Text(texts[i], name);
        return result;
    }

    /// <summary>Memory of a caller with its length.</summary>
    internal static ReadOnlySpan<byte> Bytes(void* data, nuint size, int sizeMax, string name)
    {
        if (size > (nuint)sizeMax)
            throw new ArgumentException($"{name} is {size} bytes long, at most {sizeMax} are allowed.");
        if (data == null && size != 0)
            throw new ArgumentException($"{name} is NULL, with a length of {size}.");
        return new ReadOnlySpan<byte>(data, (int)size);
    }

    /// <summary>Several values of a caller.</summary>
    internal static Span<T> Array<T>(T* items, nuint count, string name)
        where T : unmanaged
    {
        if (count > int.MaxValue)
            throw new ArgumentException($"count is {count}, at most {int.MaxValue} are allowed.");
        if (items == null && count != 0)
            throw new ArgumentException($"{name} is NULL, with a count of {count}.");
        return new Span<T>(items, (int)count);
    }

    /// <summary>Refuses a struct that is smaller than its first version, or so large that its size was never set.</summary>
    internal static void RequireSize(nuint structSize, int firstBytes, string name)
    {
        if (structSize < (nuint)firstBytes || structSize > StructBytesMax)
            throw new ArgumentException($"struct_size of {name} is {structSize}, it can be {firstBytes} to {StructBytesMax}: set it with the struct's init function, or to sizeof.");
    }

    /// <summary>Refuses options that a later header has and this library does not know, unless they are 0, which is what init leaves there.</summary>
    private static void RequireOptions(void* options, nuint structSize, int firstBytes, int size, string name)
    {
        RequireSize(structSize, firstBytes, name);
        if (structSize > (nuint)size && new ReadOnlySpan<byte>((byte*)options + size, (int)structSize - size).ContainsAnyExcept((byte)0))
            throw new ArgumentException($"{name} has options beyond the {size} bytes that this library knows.");
    }

    /// <summary>A caller's options, whose size was required before, as far as they go; what a later header has is 0.</summary>
    private static T Take<T>(T* options, nuint structSize)
        where T : unmanaged
    {
        T taken = default;
        Unsafe.CopyBlockUnaligned(&taken, options, (uint)Math.Min(structSize, (nuint)sizeof(T)));
        return taken;
    }

    /// <summary>time_to_live_ms of the header: 0 says nothing.</summary>
    private static TimeSpan? Life(long lifeMs, string name) =>
        lifeMs == 0 ? null : TryTimeout(lifeMs, out TimeSpan life) ? life : throw new ArgumentException($"{name} is {lifeMs}; it can be 0, positive or FP_INFINITE (-1).");

    /// <summary>Fills a caller's struct, whose size was required before, as far as it goes; both begin with their struct_size.</summary>
    internal static void Give<T>(T* target, T value)
        where T : unmanaged
    {
        nuint structSize = *(nuint*)target;
        *(nuint*)&value = structSize;
        Unsafe.CopyBlockUnaligned(target, &value, (uint)Math.Min(structSize, (nuint)sizeof(T)));
    }

    /// <summary>How an object is created; its texts are decoded into <paramref name="characters"/>, <see cref="TextCharsMax"/> of them.</summary>
    internal static ObjectOptions Options(FpObjectOptions* given, Span<char> characters)
    {
        if (given == null)
            return default;
        RequireOptions(given, given->StructSize, FpObjectOptions.FirstSizeBytes, sizeof(FpObjectOptions), "fp_object_options");
        FpObjectOptions taken = Take(given, given->StructSize);
        FpObjectOptions* options = &taken;
        if (options->Retention is < -1 or > 1)
            throw new ArgumentException($"retention is {options->Retention}; it can be FP_KEEP, FP_EVICTABLE or FP_DEFAULT_RETENTION.");
        if (options->Reserved != 0)
            throw new ArgumentException("reserved is not 0.");
        int nameChars = Decode(Bytes(options->Name, options->NameSize, PlasmaStore.NameBytesMax, "name"), characters, "name");
        int typeChars = Decode(Bytes(options->ContentType, options->ContentTypeSize, PlasmaStore.ContentTypeBytesMax, "content_type"), characters[nameChars..], "content_type");
        return new ObjectOptions
        {
            Metadata = Bytes(options->Metadata, options->MetadataSize, PlasmaStore.MetadataBytesMax, "metadata"),
            Name = characters[..nameChars],
            ContentType = characters.Slice(nameChars, typeChars),
            Retention = options->Retention < 0 ? null : (Retention)options->Retention,
            AlignmentBytes = options->Alignment,
            Checksum = options->Checksum != 0,
            TimeToLive = Life(options->TimeToLiveMs, "time_to_live_ms"),
            Timeout = options->TimeoutMs == StoreTimeout ? null : Time(options->TimeoutMs, "timeout_ms of fp_object_options"),
        };
    }

    private static int Decode(ReadOnlySpan<byte> utf8, Span<char> characters, string name) =>
        Utf8.IsValid(utf8) ? Encoding.UTF8.GetChars(utf8, characters) : throw new ArgumentException($"{name} is not UTF-8.");

    /// <summary>How a store is opened.</summary>
    internal static PlasmaOptions Options(FpStoreOptions* given, out CallbackLogger? logger)
    {
        logger = null;
        if (given == null)
            return new PlasmaOptions();
        RequireOptions(given, given->StructSize, FpStoreOptions.FirstSizeBytes, sizeof(FpStoreOptions), "fp_store_options");
        FpStoreOptions taken = Take(given, given->StructSize);
        FpStoreOptions* options = &taken;
        if (options->HugePages is < 0 or > 2)
            throw new ArgumentException($"huge_pages is {options->HugePages}; it can be FP_HUGE_PAGES_NEVER, FP_HUGE_PAGES_AUTO or FP_HUGE_PAGES_REQUIRE.");
        if (options->Access is < 0 or > 1)
            throw new ArgumentException($"access is {options->Access}; it can be FP_READ_WRITE or FP_READ_ONLY.");
        if (options->DefaultRetention is < 0 or > 1)
            throw new ArgumentException($"default_retention is {options->DefaultRetention}; it can be FP_KEEP or FP_EVICTABLE.");
        if (options->Mode > 0x1FF)
            throw new ArgumentException($"mode is 0{Convert.ToString(options->Mode, 8)}; it can be 0 to 0777.");
        if (options->Reserved != 0)
            throw new ArgumentException("reserved is not 0.");
        if (options->PopulateAheadBytes < -1 || options->QuotaBytes < -1)
            throw new ArgumentException($"populate_ahead_bytes is {options->PopulateAheadBytes} and quota_bytes {options->QuotaBytes}; they can be -1, 0 or positive.");
        if (options->SpillBytes < 0)
            throw new ArgumentException($"spill_bytes is {options->SpillBytes}; it can be 0 or positive.");
        if (options->EvictAheadBytes < -1)
            throw new ArgumentException($"evict_ahead_bytes is {options->EvictAheadBytes}; it can be -1, 0 or positive.");
        PlasmaOptions result = new()
        {
            CapacityBytes = options->CapacityBytes,
            ObjectCountMax = options->ObjectCountMax,
            HugePages = (HugePages)options->HugePages,
            Mode = (UnixFileMode)options->Mode,
            Group = TextOrNull(options->Group, "group"),
            Access = (StoreAccess)options->Access,
            Directory = TextOrNull(options->Directory, "directory"),
            DefaultRetention = (Retention)options->DefaultRetention,
            DefaultTimeToLive = Life(options->DefaultTimeToLiveMs, "default_time_to_live_ms"),
            EvictAheadBytes = options->EvictAheadBytes == 0 ? null : Math.Max(options->EvictAheadBytes, 0),
            PopulateAheadBytes = options->PopulateAheadBytes < 0 ? null : options->PopulateAheadBytes,
            EventCapacity = options->EventCapacity,
            FullTimeout = Time(options->FullTimeoutMs, "full_timeout_ms"),
            QuotaBytes = options->QuotaBytes < 0 ? null : options->QuotaBytes,
            CopyThreads = options->CopyThreads,
            SpillBytes = options->SpillBytes == 0 ? null : options->SpillBytes,
            Persist = options->Persist != 0,
        };
        if (options->SpillDirectoryCount != 0)
            result = result with { SpillDirectories = Texts(options->SpillDirectories, options->SpillDirectoryCount, SpillPlace.DirectoryCountMax, "spill_directories"), SpillReserve = options->SpillReserve };
        if (options->Log == null)
            return result;
        logger = new CallbackLogger(options->Log, options->LogContext);
        return result with { Logger = logger };
    }

    /// <summary>Nanoseconds since 1970.</summary>
    internal static long UnixNs(DateTimeOffset time) => (time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) * TimeSpan.NanosecondsPerTick;
}
