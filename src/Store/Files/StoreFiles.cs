using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Spill;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Files;

/// <summary>Creates, finds, checks and removes the files of stores.</summary>
/// <remarks>
/// A store appears in one step: its meta file is built under a temporary name and linked to the final one when everything else is there and its creator is attached. A creator
/// that dies before leaves files that carry a UUID without a meta file; the next creator of the same name removes them. While a creator
/// lives it holds a lock on the temporary file, so nobody removes what is being built.
/// </remarks>
internal sealed unsafe class StoreFiles : IDisposable
{
    private StoreFiles(string name, string directory, SharedFile meta, SharedFile data, StoreGeometry geometry, Guid uuid)
    {
        (Name, Directory, Meta, Data, Geometry, Uuid) = (name, directory, meta, data, geometry, uuid);
    }

    // Held while the files have no name yet, so that nobody takes them for a dead creator's.
    private LifeTokens? _building;
    private TimeSpan _diskPatience; // Of who made them.

    /// <summary>Empty for an anonymous store.</summary>
    internal string Name { get; }

    internal string Directory { get; }
    internal SharedFile Meta { get; }
    internal SharedFile Data { get; }
    internal StoreGeometry Geometry { get; }
    internal Guid Uuid { get; }

    /// <summary>Pins file of the own domain, open for writing; the participants take it over.</summary>
    internal required SharedFile Pins { get; init; }

    /// <summary>Lock file of the own domain; every lock user opens a description of its own from it.</summary>
    internal required SharedFile Lock { get; init; }

    /// <summary>0 for the writers' domain, else the place of the uid's record in the domain table.</summary>
    internal required int Domain { get; init; }

    internal required StoreAccess Access { get; init; }

    /// <summary>Spill files, which the spill space takes over; null when the store has none, and for readers of other users, who have no rights to them.</summary>
    internal SpillFiles? Spill { get; init; }

    /// <summary>Whether these files were made by this attachment and have no name yet.</summary>
    internal bool IsNew => _building is not null;

    /// <summary>Default folder, and rules for another: absolute form, must exist. Payload goes to the second folder.</summary>
    internal static (string Meta, string Data) Resolve(string? directory)
    {
        if (directory is null)
            return (SharedFile.SharedMemoryDirectory, SharedFile.SharedMemoryDirectory);
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        if (!System.IO.Directory.Exists(full))
            throw new DirectoryNotFoundException($"The directory {full} for a store does not exist.");
        return IsHugetlbfs(full) ? (SharedFile.SharedMemoryDirectory, full) : (full, full);
    }

    /// <summary>Opens a store; null when there is none of that name.</summary>
    internal static StoreFiles? TryOpen(string name, PlasmaOptions options)
    {
        StoreNames.Check(name);
        (string directory, _) = Resolve(options.Directory);
        string metaName = StoreNames.Meta(name);
        SharedFile? meta;
        bool writable = true;
        try
        {
            meta = SharedFile.TryOpen(directory, metaName, writable: true);
        }
        catch (OsException e) when (e.ErrorNumber is Libc.EACCES or Libc.EPERM)
        {
            writable = false;
            meta = OpenReadable(directory, metaName);
        }
        catch (OsException e) when (e.ErrorNumber == Libc.ELOOP)
        {
            throw new PlasmaFormatException($"{SharedFile.Combine(directory, metaName)} is a symbolic link; a store's file never is.");
        }
        if (meta is null)
            return null;

        SharedFile? data = null, pins = null, locks = null;
        SpillFiles? spill = null;
        try
        {
            StoreGeometry geometry = CheckMeta(meta, out Guid uuid, out string dataDirectory, out DomainRecord[] domains, out int spillDirectoryCount);
            int domain = 0;
            if (!writable)
            {
                uint uid = OsIdentity.EffectiveUid;
                domain = Array.FindIndex(domains, d => d.Kind == DomainRecord.ReadersKind && d.Uid == uid);
                if (domain < 0)
                    throw new UnauthorizedAccessException($"User {uid} is neither a writer of store '{name}' nor admitted as reader (fastplasma admit --store {name} --reader {uid}).");
                if (options.Access == StoreAccess.ReadWrite)
                    throw new UnauthorizedAccessException($"User {uid} is admitted to store '{name}' as reader only: open it with StoreAccess.ReadOnly.");
            }
            string suffix = domain == 0 ? StoreNames.WritersDomain : $"{OsIdentity.EffectiveUid}";
            string dataHome = dataDirectory.Length == 0 ? directory : dataDirectory;
            data = OpenPart(dataHome, StoreNames.Data(name, uuid), writable: options.Access == StoreAccess.ReadWrite);
            if (data.Facts().SizeBytes < geometry.CapacityBytes)
                throw new PlasmaFormatException($"{data.Path} is {data.Facts().SizeBytes} bytes long, the store's header says {geometry.CapacityBytes}.");
            pins = OpenPart(directory, StoreNames.Pins(name, uuid, suffix), writable: true);
            locks = OpenPart(directory, StoreNames.Lock(name, uuid, suffix), writable: true);
            if (domain == 0 && spillDirectoryCount > 0)
                spill = SpillFiles.Open(directory, name, uuid, spillDirectoryCount, canWrite: options.Access == StoreAccess.ReadWrite, options.DiskPatience);
            return new StoreFiles(name, directory, meta, data, geometry, uuid) { Pins = pins, Lock = locks, Domain = domain, Access = options.Access, Spill = spill };
        }
        catch (OsException e) when (e.ErrorNumber == Libc.ENOENT)
        {
            // Destroyed under our hands: the meta file that we hold has lost its name.
            locks?.Dispose();
            pins?.Dispose();
            data?.Dispose();
            bool gone = meta.Facts().LinkCount == 0;
            meta.Dispose();
            return gone ? null : throw new PlasmaFormatException($"Store '{name}' is incomplete: {e.Message}. Destroy it and create it again.");
        }
        catch
        {
            spill?.Dispose();
            locks?.Dispose();
            pins?.Dispose();
            data?.Dispose();
            meta.Dispose();
            throw;
        }
    }

    /// <summary>Makes the files of a store; null when the name is taken. They get their name by <see cref="TryPublish"/>; without it Dispose removes them.</summary>
    internal static StoreFiles? TryCreate(string name, PlasmaOptions options)
    {
        StoreNames.Check(name);
        CheckRights(options);
        (string directory, string dataDirectory) = Resolve(options.Directory);
        StoreGeometry geometry = StoreGeometry.From(options);
        if (System.IO.File.Exists(SharedFile.Combine(directory, StoreNames.Meta(name))))
            return null;
        RemoveOrphans(directory, dataDirectory, name, options.Logger);
        Guid uuid = OsRandom.NewGuid();
        uint mode = (uint)options.Mode;
        uint? gid = options.Group is null ? null : OsIdentity.GidOf(options.Group);
        string newName = StoreNames.New(name, uuid);
        SharedFile? meta = null, data = null, pins = null, locks = null;
        SpillFiles? spill = null;
        LifeTokens? building = null;
        try
        {
            meta = Make(directory, newName);
            building = new LifeTokens(meta.Reopen(writable: true));
            building.TryAcquire(0);
            data = Make(dataDirectory, StoreNames.Data(name, uuid));
            pins = Make(directory, StoreNames.Pins(name, uuid, StoreNames.WritersDomain));
            locks = Make(directory, StoreNames.Lock(name, uuid, StoreNames.WritersDomain));
            spill = SpillFiles.Create(directory, name, uuid, options, gid);
            Build(meta, data, pins, geometry, uuid, options, directory == dataDirectory ? "" : dataDirectory);

            return new StoreFiles(name, directory, meta, data, geometry, uuid) { Pins = pins, Lock = locks, Domain = 0, Access = StoreAccess.ReadWrite, Spill = spill, _building = building, _diskPatience = options.DiskPatience };
        }
        catch
        {
            Discard(directory, dataDirectory, name, uuid, options.DiskPatience);
            spill?.Dispose();
            building?.Dispose();
            meta?.Dispose();
            data?.Dispose();
            pins?.Dispose();
            locks?.Dispose();
            throw;
        }

        SharedFile Make(string folder, string fileName)
        {
            SharedFile file = SharedFile.Create(folder, fileName, mode);
            file.SetMode(mode); // The umask does not decide here.
            if (gid is uint g)
                file.SetGroup(g);
            return file;
        }
    }

    /// <summary>Gives a store that was made its name. False when another has it; then, and after an exception, the files are gone.</summary>
    /// <exception cref="OsException">ENOENT when another creator took the temporary file away.</exception>
    internal bool TryPublish()
    {
        string newName = StoreNames.New(Name, Uuid);
        try
        {
            // CRASH store-built: files with a UUID and no meta file; RemoveOrphans of the next creator.
            FailPoint.Pass("store-built");
            if (!SharedFile.TryLink(Directory, newName, StoreNames.Meta(Name)))
                return false;
            _building?.Dispose();
            _building = null; // From here on the files stay.
        }
        finally
        {
            Withdraw();
        }
        // CRASH store-linked: the store is there, under two names; RemoveOrphans of the next creator or of Destroy.
        FailPoint.Pass("store-linked");
        SharedFile.TryUnlink(Directory, newName);
        return true;
    }

    /// <summary>Removes the files of a store that was made and has no name.</summary>
    private void Withdraw()
    {
        if (_building is null)
            return;
        Discard(Directory, Path.GetDirectoryName(Data.Path)!, Name, Uuid, _diskPatience);
        _building.Dispose();
        _building = null;
    }

    /// <summary>Files without names, for a store inside one process.</summary>
    internal static StoreFiles CreateAnonymous(PlasmaOptions options)
    {
        if (options.Directory is not null)
            throw new ArgumentException("An anonymous store has no directory.", nameof(options));
        StoreGeometry geometry = StoreGeometry.From(options);
        Guid uuid = OsRandom.NewGuid();
        string label = $"{StoreNames.Prefix}{uuid:N}";
        SharedFile? meta = null, data = null, pins = null, locks = null;
        SpillFiles? spill = null;
        try
        {
            meta = SharedFile.CreateAnonymous(label + ".meta");
            data = SharedFile.CreateAnonymous(label + ".data");
            pins = SharedFile.CreateAnonymous(label + ".pins");
            locks = SharedFile.CreateAnonymous(label + ".lock");
            spill = SpillFiles.Create(null, "", uuid, options, null);
            Build(meta, data, pins, geometry, uuid, options, "");
            return new StoreFiles("", "", meta, data, geometry, uuid) { Pins = pins, Lock = locks, Domain = 0, Access = StoreAccess.ReadWrite, Spill = spill };
        }
        catch
        {
            spill?.Dispose();
            meta?.Dispose();
            data?.Dispose();
            pins?.Dispose();
            locks?.Dispose();
            throw;
        }
    }

    /// <summary>Removes a store's names; with <paramref name="keepSpilled"/> not those of its spill files, so that a catalogue that is there, or that the last writer will write, brings its objects back. Who has it open goes on with what it has mapped.</summary>
    /// <exception cref="TimeoutException">A spill directory does not answer.</exception>
    internal static bool Destroy(string name, string? directory, bool keepSpilled, TimeSpan diskPatience)
    {
        StoreNames.Check(name);
        (string metaDirectory, string dataDirectory) = Resolve(directory);
        string recorded = DataDirectoryOf(metaDirectory, name);
        Guid uuid = UuidOf(metaDirectory, name);
        bool found = SharedFile.TryUnlink(metaDirectory, StoreNames.Meta(name)); // First: from here on nobody can attach to the rest.
        // CRASH store-unnamed: files with a UUID and no meta file, as in store-built.
        FailPoint.Pass("store-unnamed");
        (string[], Guid[]) spill = found && !keepSpilled ? SpillFiles.Find(metaDirectory, name, uuid, adoptedToo: true) : ([], []); // While the map is there, which says where they are; else they are orphans.
        RemoveOrphans(metaDirectory, dataDirectory, name, null);
        if (recorded != dataDirectory && recorded != metaDirectory && System.IO.Directory.Exists(recorded))
            RemoveOrphans(metaDirectory, recorded, name, null); // Made with a directory of its own for the payload, destroyed by name alone.
        string[] left = SpillFiles.Remove(name, spill, diskPatience); // Last: memory is not kept for a disk.
        return left.Length == 0 ? found
            : throw new TimeoutException($"Store '{name}' is destroyed, but its spill files may be left: {string.Join("; ", left)}. 'fastplasma spill gc' (CleanSpillDirectory) removes them, with --persisted also those of a persistent store, whose objects the next store of that name would have again.");
    }

    /// <summary>Names of the stores in a directory.</summary>
    internal static List<string> List(string? directory)
    {
        (string folder, _) = Resolve(directory);
        var names = new List<string>();
        foreach (string path in System.IO.Directory.EnumerateFiles(folder, StoreNames.Prefix + "*"))
            if (StoreNames.TryParseMeta(Path.GetFileName(path), out string name))
                names.Add(name);
        names.Sort(StringComparer.Ordinal);
        return names;
    }

    /// <summary>Makes the files of a reader domain and gives its user the rights. The record in the domain table comes after this.</summary>
    internal void CreateReaderDomain(int domain, uint uid)
    {
        string pinsName = StoreNames.Pins(Name, Uuid, $"{uid}"), lockName = StoreNames.Lock(Name, Uuid, $"{uid}");

        // Left over from an admit that died before the record was written.
        SharedFile.TryUnlink(Directory, pinsName);
        SharedFile.TryUnlink(Directory, lockName);
        using SharedFile pins = SharedFile.Create(Directory, pinsName, 0x180);
        using SharedFile locks = SharedFile.Create(Directory, lockName, 0x180);
        FileFacts meta = Meta.Facts();
        foreach (SharedFile file in (SharedFile[])[pins, locks])
        {
            file.SetOwner(meta.OwnerUid, meta.GroupGid); // Root may be the one who admits; the writers have to read these files.
            file.SetMode(meta.Mode);
        }
        BuildPins(pins, Uuid, domain, StoreGeometry.ReaderParticipantCountMax);
        PosixAcl.Grant(pins, uid, PosixAcl.Read | PosixAcl.Write);
        PosixAcl.Grant(locks, uid, PosixAcl.Read | PosixAcl.Write);
        PosixAcl.Grant(Data, uid, PosixAcl.Read);
        PosixAcl.Grant(Meta, uid, PosixAcl.Read);
    }

    /// <summary>Opens a file of a reader domain from the writers' side.</summary>
    internal SharedFile OpenReaderPins(uint uid) => SharedFile.Open(Directory, StoreNames.Pins(Name, Uuid, $"{uid}"), writable: true);

    internal SharedFile OpenReaderLock(uint uid) => SharedFile.Open(Directory, StoreNames.Lock(Name, Uuid, $"{uid}"), writable: true);

    public void Dispose()
    {
        Withdraw();
        Spill?.Dispose();
        Lock.Dispose();
        Pins.Dispose();
        Data.Dispose();
        Meta.Dispose();
    }

    private static SharedFile? OpenReadable(string directory, string metaName)
    {
        try
        {
            return SharedFile.TryOpen(directory, metaName, writable: false);
        }
        catch (OsException e) when (e.ErrorNumber is Libc.EACCES or Libc.EPERM)
        {
            throw new UnauthorizedAccessException($"{e.Message}: the user is neither a writer of the store nor admitted as reader.");
        }
    }

    private static SharedFile OpenPart(string directory, string name, bool writable)
    {
        try
        {
            return SharedFile.Open(directory, name, writable);
        }
        catch (OsException e) when (e.ErrorNumber is Libc.EINVAL or Libc.ELOOP)
        {
            throw new PlasmaFormatException($"{e.Message}. A store's file is neither that nor a symbolic link.");
        }
    }

    private static StoreGeometry CheckMeta(SharedFile meta, out Guid uuid, out string dataDirectory, out DomainRecord[] domains, out int spillDirectoryCount)
    {
        FileFacts facts = meta.Facts();
        if (!facts.IsRegular)
            throw new PlasmaFormatException($"{meta.Path} is not a regular file.");
        if ((facts.Mode & 2) != 0)
            throw new PlasmaFormatException($"{meta.Path} is writable by everybody (mode {Convert.ToString(facts.Mode, 8)}); such a store is not trusted.");
        if (facts.SizeBytes < StoreHeader.SizeBytes * 2)
            throw new PlasmaFormatException($"{meta.Path} is {facts.SizeBytes} bytes long, too short for a store (at least {StoreHeader.SizeBytes * 2}).");

        byte[] head = new byte[StoreHeader.SizeBytes + DomainRecord.CountMax * DomainRecord.SizeBytes];
        int read = meta.ReadAt(0, head);
        fixed (byte* p = head)
        {
            var header = (StoreHeader*)p;
            if (read < head.Length)
                throw new PlasmaFormatException($"{meta.Path} ended after {read} bytes while its header was read.");
            StoreGeometry geometry = StoreGeometry.Read(header, meta.Path);
            if (facts.SizeBytes != geometry.MetaBytes)
                throw new PlasmaFormatException($"{meta.Path} is {facts.SizeBytes} bytes long, its header says {geometry.MetaBytes}: truncated or damaged.");
            if (facts.OwnerUid != header->OwnerUid)
                throw new PlasmaFormatException($"{meta.Path} belongs to user {facts.OwnerUid}, its header says {header->OwnerUid}.");
            if (header->BootId != OsIdentity.BootId && (header->WriterAttaches & StoreHeader.NoWriterLeft) == 0)
                throw new PlasmaFormatException($"{meta.Path} was in use when the machine went down; its memory is lost. Destroy it and create it again.");
            uuid = header->Uuid;
            spillDirectoryCount = header->SpillDirectoryCount;
            dataDirectory = Encoding.UTF8.GetString(p + StoreHeader.DataDirectoryOffset, (int)header->DataDirectoryBytes);
            domains = new DomainRecord[Math.Min(header->DomainCount, DomainRecord.CountMax)];
            for (int i = 0; i < domains.Length; i++)
                domains[i] = ((DomainRecord*)(p + StoreHeader.SizeBytes))[i];
            return geometry;
        }
    }

    private static void Build(SharedFile meta, SharedFile data, SharedFile pins, in StoreGeometry geometry, Guid uuid, PlasmaOptions options, string dataDirectory)
    {
        byte[] dataDirectoryUtf8 = Encoding.UTF8.GetBytes(dataDirectory);
        if (dataDirectoryUtf8.Length > StoreHeader.DataDirectoryBytesMax)
            throw new ArgumentException($"The directory path is {dataDirectoryUtf8.Length} bytes long, at most {StoreHeader.DataDirectoryBytesMax} fit.", nameof(options));
        long headroom = CgroupMemory.HeadroomBytes();
        if (headroom != long.MaxValue && headroom - ChunkReserver.HeadroomMinBytes < geometry.WordsOffset)
            throw new IOException($"The memory control group has {headroom} bytes left; the metadata of this store needs {geometry.WordsOffset}.");
        meta.SetSize(geometry.MetaBytes);
        meta.Reserve(0, geometry.WordsOffset); // All that anyone may touch; block words follow with their chunks.
        data.SetSize(geometry.CapacityBytes);
        BuildPins(pins, uuid, 0, StoreGeometry.ParticipantCountMax);

        using MappedView view = MappedView.Map(meta, 0, geometry.WordsOffset, writable: true);
        var header = (StoreHeader*)view.Pointer;
        header->Magic = StoreHeader.MagicValue;
        header->LayoutVersion = StoreHeader.LayoutVersionValue;
        header->Fingerprint = StoreHeader.CurrentFingerprint;
        header->Uuid = uuid;
        header->BootId = OsIdentity.BootId;
        geometry.WriteTo(header);
        Span<byte> seed = stackalloc byte[sizeof(ulong)];
        OsRandom.Fill(seed);
        header->HashSeed = options.HashSeed ?? BitConverter.ToUInt64(seed);
        header->HugePages = (uint)options.HugePages;
        header->DefaultRetention = (uint)options.DefaultRetention;
        header->SpillDirectoryCount = options.SpillDirectories.Count;
        header->OwnerUid = meta.Facts().OwnerUid;
        header->CreatedAt = DateTime.UtcNow.Ticks;
        header->PopulateTargetBytes = options.PopulateAheadBytes ?? (geometry.CapacityBytes >= 4L << 30 ? 128L << 20 : 0);
        header->DefaultLifeTicks = options.DefaultTimeToLive is TimeSpan life ? PlasmaStore.CheckLife(life, nameof(PlasmaOptions.DefaultTimeToLive)) : 0;
        header->EvictAheadBytes = EvictAheadBytesOf(options, geometry.CapacityBytes);
        header->Clock = header->CreatedAt;
        header->NextExpiry = long.MaxValue;
        header->DataDirectoryBytes = dataDirectoryUtf8.Length;
        dataDirectoryUtf8.CopyTo(new Span<byte>(view.Pointer + StoreHeader.DataDirectoryOffset, dataDirectoryUtf8.Length));
        header->HeaderChecksum = StoreHeader.ChecksumOf(header);

        var allocator = (AllocatorHeader*)(view.Pointer + geometry.AllocatorOffset);
        allocator->SlabLow = geometry.ChunkCount;
        var domains = (DomainRecord*)(view.Pointer + StoreHeader.SizeBytes);
        domains[0] = new DomainRecord { Uid = header->OwnerUid, Kind = DomainRecord.WritersKind };
        Volatile.Write(ref header->DomainCount, 1);
    }

    /// <summary>Below 64 MiB a search for room costs as little as the background would; from there on a sixty-fourth is what a thread that fills memory at its speed takes some milliseconds for.</summary>
    private static long EvictAheadBytesOf(PlasmaOptions options, long capacityBytes)
    {
        const long capacityMin = 64L << 20, aheadMax = 128L << 20;
        const int share = 64, shareMax = 2;
        if (options.EvictAheadBytes is not long bytes)
            return capacityBytes < capacityMin ? 0 : Math.Min(capacityBytes / share, aheadMax);
        return bytes >= 0 && bytes <= capacityBytes / shareMax
            ? bytes
            : throw new ArgumentException($"EvictAheadBytes is {bytes}; it can be 0 to half of the capacity, {capacityBytes / shareMax}.", nameof(options));
    }

    private static void BuildPins(SharedFile pins, Guid uuid, int domain, int participantMax)
    {
        pins.SetSize(PinsHeader.SizeBytes + (long)participantMax * ParticipantBlock.SizeBytes);
        pins.Reserve(0, PinsHeader.SizeBytes + ParticipantBlock.HeadBytes + ChunkMap.PageBytes); // With the first participant's pages: a store that was created can be attached to.
        using MappedView view = MappedView.Map(pins, 0, PinsHeader.SizeBytes, writable: true);
        var header = (PinsHeader*)view.Pointer;
        header->StoreUuid = uuid;
        header->Domain = domain;
        header->ParticipantMax = participantMax;
        header->Magic = PinsHeader.MagicValue;
    }

    private static void CheckRights(PlasmaOptions options)
    {
        if (options.Access != StoreAccess.ReadWrite)
            throw new ArgumentException("A store is created by a writer; open it with StoreAccess.ReadOnly afterwards.", nameof(options));
        UnixFileMode mode = options.Mode;
        const UnixFileMode needed = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        const UnixFileMode allowed = needed | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
        if ((mode & needed) != needed || (mode & ~allowed) != 0 || (mode & (UnixFileMode.GroupRead | UnixFileMode.GroupWrite)) == UnixFileMode.GroupRead)
            throw new ArgumentException($"Mode {Convert.ToString((int)mode, 8)} is not possible for a store: 600 (owner) or 660 (group of writers). Readers are admitted by user.", nameof(options));
    }

    private static void RemoveOrphans(string directory, string dataDirectory, string name, ILogger? logger)
    {
        foreach (string folder in directory == dataDirectory ? [directory] : (string[])[dataDirectory, directory])
        {
            foreach (string path in System.IO.Directory.EnumerateFiles(folder, $"{StoreNames.Prefix}{name}.*"))
            {
                string fileName = Path.GetFileName(path);
                if (!StoreNames.TryParsePart(fileName, out string owner, out Guid uuid) || owner != name)
                    continue;
                // Order: a live creator has the temporary file locked until after it has linked the final name; so first the lock, then the final name.
                if (IsBeingBuilt(directory, StoreNames.New(name, uuid), path) || UuidOf(directory, name) == uuid)
                    continue;
                try
                {
                    SharedFile.TryUnlink(folder, StoreNames.NodeNew(uuid));
                    if (SharedFile.TryUnlink(folder, fileName))
                        logger?.LogInformation("Removed {File}, left over from a store that no longer exists.", path);
                }
                catch (OsException e)
                {
                    logger?.LogWarning(e, "{File} stays: it is not ours to remove.", path); // Anybody may put a file of any name into a shared directory; it is in nobody's way.
                }
            }
        }
    }

    /// <summary>Whether a live creator has the temporary file locked. A file of another user than the part in question is none: strangers could keep any name in use for ever.</summary>
    private static bool IsBeingBuilt(string directory, string newName, string part)
    {
        try
        {
            SharedFile? file = SharedFile.TryOpen(directory, newName, writable: true);
            if (file is null)
                return false;
            using var tokens = new LifeTokens(file);
            FileFacts facts = file.Facts();
            return facts.IsRegular && SharedFile.OwnerOf(part) == facts.OwnerUid && tokens.IsHeldElsewhere(0);
        }
        catch (OsException e) when (e.ErrorNumber is Libc.EACCES or Libc.EPERM or Libc.ELOOP)
        {
            return false;
        }
    }

    internal static Guid UuidOf(string directory, string name)
    {
        fixed (byte* p = ReadHead(directory, name))
            return p is null ? Guid.Empty : ((StoreHeader*)p)->Uuid;
    }

    /// <summary>Payload folder as the header says; empty when it is the meta file's own or the header cannot be read.</summary>
    private static string DataDirectoryOf(string directory, string name)
    {
        fixed (byte* p = ReadHead(directory, name))
        {
            var header = (StoreHeader*)p;
            return p is null || header->Magic != StoreHeader.MagicValue || header->DataDirectoryBytes is <= 0 or > StoreHeader.DataDirectoryBytesMax
                ? ""
                : Encoding.UTF8.GetString(p + StoreHeader.DataDirectoryOffset, (int)header->DataDirectoryBytes);
        }
    }

    /// <summary>First page of a store's meta file; null when there is none, or something else has the name.</summary>
    private static byte[]? ReadHead(string directory, string name)
    {
        try
        {
            using SharedFile? meta = SharedFile.TryOpen(directory, StoreNames.Meta(name), writable: false);
            byte[] head = new byte[StoreHeader.SizeBytes];
            return meta is null || !meta.Facts().IsRegular || meta.ReadAt(0, head) < head.Length ? null : head;
        }
        catch (OsException e) when (e.ErrorNumber is Libc.ELOOP or Libc.EACCES or Libc.EPERM)
        {
            return null; // A symbolic link, or a file that is not ours to read: no store of ours.
        }
    }

    private static void Discard(string directory, string dataDirectory, string name, Guid uuid, TimeSpan diskPatience)
    {
        SpillFiles.Remove(name, SpillFiles.Find(directory, name, uuid, adoptedToo: false), diskPatience);
        SharedFile.TryUnlink(directory, StoreNames.SpillMap(name, uuid));
        SharedFile.TryUnlink(dataDirectory, StoreNames.Data(name, uuid));
        SharedFile.TryUnlink(directory, StoreNames.Pins(name, uuid, StoreNames.WritersDomain));
        SharedFile.TryUnlink(directory, StoreNames.Lock(name, uuid, StoreNames.WritersDomain));
        SharedFile.TryUnlink(directory, StoreNames.New(name, uuid));
    }

    private static bool IsHugetlbfs(string directory) => new DriveInfo(directory).DriveFormat == "hugetlbfs";
}
