using System.Runtime.CompilerServices;
using FastPlasma.Allocator;
using FastPlasma.Copying;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <summary>One attachment to a shared-memory store of immutable objects. Any number of processes attach to one store; no server process exists.</summary>
/// <remarks>
/// All members may be called by any number of threads at once. A process may attach several times, to one store or to several. Dispose detaches: calls that come later throw
/// <see cref="ObjectDisposedException"/>; while handles are open their bytes stay as they are, and the attachment ends with the last of them.
/// </remarks>
public sealed unsafe partial class PlasmaStore : IDisposable
{
    private const int CreateAttempts = 16;

    // The value of _openMark once Dispose was called; no process has it.
    private const int Closed = -1;

    [ThreadStatic]
    private static ThreadSlots? t_last;

    [ThreadStatic]
    private static List<ThreadSlots>? t_all;

    private readonly PlasmaOptions _options;
    private readonly StoreFiles _files;
    private readonly StoreMemory _memory;
    private readonly ParticipantTable _participants;
    private readonly SlotTable _slots;
    private readonly SlotScan _scan;
    private readonly ObjectIndex _index;
    private readonly WaitWords _waits;
    private readonly EventRing _events;
    private readonly Reclaimer _reclaimer;
    private readonly BlockAllocator _allocator;
    private readonly Evictor _evictor;
    private readonly SpaceQueue _spaceQueue;
    private readonly Recovery _recovery;
    private readonly SpillSpace? _spill;
    private readonly OperationCounts _countsAtAttach;
    private readonly long _capacity;

    // What the read path needs, next to each other instead of behind the objects above.
    private readonly BucketTable _buckets;
    private readonly ObjectEntry* _entries;
    private readonly uint _entryCount;
    private readonly byte* _payload;
    private readonly long* _sequences;
    private readonly ulong* _spaceWord;
    private readonly ulong* _ownHints;
    private readonly uint _account;
    private readonly int _copyThreads;

    /// <summary>Whether objects of this store can be on disk.</summary>
    private readonly bool _hasSpill;

    // Open as long as the first and the last are the same: a fork changes the first in the child, Dispose the last.
    private readonly int* _processMark = ForkMark.Word;
    private readonly int _openedIn = ForkMark.OfThisProcess();
    private int _openMark;
    private int _slowCalls;
    private int _mayDetach;
    private int _detaches; // Somebody has begun to.
    private volatile bool _detached;

    /// <summary>Held by the background thread while it is busy with this store, and by Dispose while it detaches.</summary>
    private readonly Lock _maintenance = new();

    private PlasmaStore(StoreFiles files, PlasmaOptions options)
    {
        _files = files;
        _options = options;
        _openMark = _openedIn;
        Access = files.Access;
        ParticipantTable? participants = null;
        StoreMemory? memory = null;
        try
        {
            OsException.LoadNames();
            _copyThreads = ParallelCopy.ThreadCountOf(options.CopyThreads); // Before anything is taken.
            memory = new StoreMemory(files.Meta, files.Data, files.Geometry, files.Access, mayWriteWaits: files.Domain == 0);
            participants = ParticipantTable.Open(files);
            files.Lock.Dispose(); // Only a name to open descriptions from; its own description holds no lock.
            _memory = memory;
            _participants = participants;
            _capacity = memory.Geometry.CapacityBytes;
            _scan = new SlotScan(memory, files, participants);
            _index = new ObjectIndex(memory);
            _waits = new WaitWords(memory, _scan);
            _reclaimer = new Reclaimer(memory, participants, _scan, _index, _waits);
            _evictor = new Evictor(memory, participants, _scan);
            _spaceQueue = new SpaceQueue(memory, participants);

            var reserver = new ChunkReserver(
                files.Data, files.Meta, memory.Geometry.WordsOffset, memory.WriteView,
                fault: HugePagesAsked != HugePages.Never && HugeAdvice.Counts(files.Data.Path), collapse: HugePagesAsked == HugePages.Require && !IsHugetlb(files.Data.Path));
            if (HugePagesAsked != HugePages.Never)
            {
                memory.ReadView.TryAdviseHugePages();
                memory.WriteView?.TryAdviseHugePages();
            }

            _hasSpill = memory.Header->SpillDirectoryCount > 0;
            if (files.Spill is not null)
                _reclaimer.Spill = _spill = new SpillSpace(files.Spill, _reclaimer, participant: -1, isAnonymous: files.Name.Length == 0);

            // Two steps: a place is needed before anything can carry its number, and repairing a place needs most of the rest.
            participants.Attach(files.Access, index => Repair(index, reserver));
            _events = new EventRing(memory, _waits, _scan, participants.Index);
            _allocator = new BlockAllocator(memory.Chunks, reserver, _reclaimer, participants.Index);
            _reclaimer.Allocator = _allocator;
            _spill?.UseAs(participants.Index);
            if (Access == StoreAccess.ReadWrite)
                _spill?.CloseUntilTakenBack(files.Name);
            if (files.IsNew)
                _spill?.TakeOver(memory, _index, participants.Index, options.Logger);
            _recovery = new Recovery(memory, participants, _scan, _reclaimer, _events, _waits, options.Logger);
            _slots = new SlotTable(participants);
            _scan.OpenForeign();
            _buckets = new BucketTable(memory);
            _entries = memory.Entries;
            _entryCount = (uint)memory.Geometry.ObjectCountMax;
            _payload = memory.Payload;
            _sequences = _slots.Sequences;
            _spaceWord = _reclaimer.SpaceWord;
            _ownHints = ParticipantTable.Hints(participants.Own);
            Mailbox = new NodeMailbox(memory, participants, _waits);
            if (Access == StoreAccess.ReadWrite)
            {
                if (memory.Header->BootId != OsIdentity.BootId)
                    memory.Header->BootId = OsIdentity.BootId;
                // CRASH attach-booted: this boot's number beside the mark that nobody is left, which is true: whoever died here has changed nothing.
                FailPoint.Pass("attach-booted");
                CountWriter(memory.Header);
                AdvanceClock();
            }
            _countsAtAttach = CountsOf(participants.Own);
            _account = (uint)participants.Index + 1 | (uint)participants.Own->AttachCount << 9; // Below 2^9 places; a place's next owner has another account.
            LifeTokens? spiller = Access == StoreAccess.ReadWrite && _spill is not null && options.SpillsAhead ? participants.OpenTokens() : null;
            try
            {
                Maintainer.Register(this);
                if (spiller is not null)
                    StartSpilling(spiller);
            }
            catch
            {
                spiller?.Dispose();
                throw;
            }
        }
        catch
        {
            GC.SuppressFinalize(this);
            _slots?.GiveSequencesBack();
            _spill?.Dispose();
            participants?.Dispose();
            memory?.Dispose();
            files.Dispose();
            throw;
        }
    }

    /// <summary>Name given at creation; empty for an anonymous store.</summary>
    public string Name => _files.Name;

    /// <summary>Unique id of the store's files.</summary>
    public Guid Uuid => _files.Uuid;

    /// <summary>Limit of payload memory in bytes.</summary>
    public long CapacityBytes => _capacity;

    /// <summary>Limit of objects at one time.</summary>
    public int ObjectCountMax => _memory.Geometry.ObjectCountMax;

    /// <summary>Rights of this attachment.</summary>
    public StoreAccess Access { get; }

    internal SlotTable? Slots => _slots;

    internal StoreMemory Memory => _memory;

    internal BlockAllocator Allocator => _allocator;

    internal ParticipantTable Participants => _participants;

    internal ObjectIndex Index => _index;

    internal EventRing Events => _events;

    /// <summary>Where objects are written when memory is short; null when the store has no spill directories, or this is a reader of another user.</summary>
    internal SpillSpace? Spill => _spill;

    internal WaitWords Waits => _waits;

    /// <summary>Where this attachment asks its store's node service.</summary>
    internal NodeMailbox Mailbox { get; }

    /// <summary>Where the socket of the node service's control channel is; null for an anonymous store.</summary>
    internal (string Directory, string Name, string TemporaryName)? NodeSocket =>
        Name.Length == 0 ? null : (_files.Directory, Files.StoreNames.Node(Name, Uuid), Files.StoreNames.NodeNew(Uuid));

    internal HugePages HugePagesAsked => (HugePages)_memory.Header->HugePages;

    /// <summary>Opens a store, or creates it when there is none of that name.</summary>
    /// <param name="name">1 to 128 letters, digits, '.', '_' or '-'.</param>
    /// <param name="options">Geometry and rights count only if the store is created now.</param>
    /// <exception cref="PlasmaFormatException">Files under that name are no store of this build.</exception>
    /// <exception cref="UnauthorizedAccessException">The user is neither writer nor admitted reader.</exception>
    /// <exception cref="IOException">The system refused memory or files.</exception>
    /// <exception cref="OutOfMemoryException">The system refused the thread that maintains stores.</exception>
    public static PlasmaStore OpenOrCreate(string name, PlasmaOptions? options = null)
    {
        options ??= new PlasmaOptions();
        for (int attempt = 0; attempt < 16; attempt++) // Others may create or destroy at the same time; each round one of them has succeeded.
        {
            StoreFiles? files = StoreFiles.TryOpen(name, options);
            if (files is not null)
                return new PlasmaStore(files, options).Opened();
            if (options.Access != StoreAccess.ReadWrite)
                break;
            if (TryCreate(name, options) is { } store)
                return store;
        }
        throw NoSuchStore(name, options);
    }

    /// <summary>Opens an existing store.</summary>
    /// <exception cref="FileNotFoundException">There is none of that name.</exception>
    /// <inheritdoc cref="OpenOrCreate"/>
    public static PlasmaStore Open(string name, PlasmaOptions? options = null)
    {
        options ??= new PlasmaOptions();
        return new PlasmaStore(StoreFiles.TryOpen(name, options) ?? throw NoSuchStore(name, options), options).Opened();
    }

    /// <summary>Creates a store whose name must be free.</summary>
    /// <exception cref="IOException">The name is taken, or the system refused memory or files.</exception>
    /// <exception cref="OutOfMemoryException">The system refused the thread that maintains stores.</exception>
    /// <inheritdoc cref="OpenOrCreate"/>
    public static PlasmaStore Create(string name, PlasmaOptions? options = null)
    {
        options ??= new PlasmaOptions();
        return TryCreate(name, options) ?? throw new IOException($"A store named '{name}' exists already.");
    }

    /// <summary>Null when the name is taken. The creator is attached before the store gets its name, so that a store never stays behind whose creator was refused.</summary>
    internal static PlasmaStore? TryCreate(string name, PlasmaOptions options)
    {
        for (int attempt = 1; ; attempt++) // Ends: at most so many attempts.
        {
            StoreFiles? files = StoreFiles.TryCreate(name, options);
            if (files is null)
                return null;
            var store = new PlasmaStore(files, options);
            try
            {
                if (files.TryPublish())
                {
                    // CRASH spill-adopted: the store has the objects of an earlier one, and their catalogue is valid still; the next writer takes it back before it changes anything.
                    FailPoint.Pass("spill-adopted");
                    store.TakeBackCatalogs();
                    return store;
                }
                store.Dispose();
                return null;
            }
            catch (OsException e) when (e.ErrorNumber == Libc.ENOENT && attempt < CreateAttempts)
            {
                store.Dispose(); // Another creator took our temporary file for a dead one's in the instant between its creation and its lock.
            }
            catch
            {
                store.Dispose();
                throw;
            }
        }
    }

    /// <summary>Creates a store without a name, for the threads of this process; it vanishes with it.</summary>
    public static PlasmaStore CreateAnonymous(PlasmaOptions? options = null)
    {
        options ??= new PlasmaOptions();
        return new PlasmaStore(StoreFiles.CreateAnonymous(options), options).Opened();
    }

    /// <summary>Last step of opening.</summary>
    private PlasmaStore Opened()
    {
        try
        {
            TakeBackCatalogs();
            return this;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Removes a store's files; false when there was no store. Processes that have it open keep what they have mapped until they detach.</summary>
    /// <param name="name">The store.</param>
    /// <param name="directory">Folder of its files; null is the system's shared memory.</param>
    /// <param name="keepSpilled">Whether the objects on disk of a persistent store (<see cref="PlasmaOptions.Persist"/>) stay for the next store of that name. Of a store that is not persistent nothing stays.</param>
    /// <exception cref="TimeoutException">The store is gone, but a spill directory has not answered for 30 seconds: the store's file there may be left for <see cref="CleanSpillDirectory"/>. That of a persistent store counts as persisted: until it is removed, the next store of that name has its objects again.</exception>
    public static bool Destroy(string name, string? directory = null, bool keepSpilled = false) => StoreFiles.Destroy(name, directory, keepSpilled, new PlasmaOptions().DiskPatience);

    /// <summary>Names of the stores in a directory (default: the system's shared memory), sorted.</summary>
    public static IReadOnlyList<string> ListStores(string? directory = null) => StoreFiles.List(directory);

    /// <summary>A call that may use the hot path's thread-private state begins; ends with <see cref="Leave"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ThreadSlots Enter()
    {
        ThreadSlots thread = EnterGet();
        if (IsForked)
            ThrowClosed(thread);
        return thread;
    }

    /// <summary>As <see cref="Enter"/>, for a get that finds its object: in a forked child it gets no slot. A miss looks for itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ThreadSlots EnterGet()
    {
        ThreadSlots? thread = t_last;
        if (thread is null || thread.Owner != this)
            thread = EnterSlow();
        thread.Busy++;
        if (IsDisposed)
            ThrowClosed(thread);
        return thread;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Leave(ThreadSlots thread) => Volatile.Write(ref thread.Busy, thread.Busy - 1);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ThreadSlots EnterSlow()
    {
        List<ThreadSlots> all = t_all ??= [];
        for (int i = all.Count - 1; i >= 0; i--)
        {
            if (all[i].Owner == this)
                return t_last = all[i];
            if (Volatile.Read(ref all[i].Owner._detaches) != 0)
                all.RemoveAt(i);
        }
        ThrowIfClosing();
        Interlocked.Increment(ref _slowCalls);
        try
        {
            ThrowIfClosing();
            var thread = new ThreadSlots(this);
            _slots.Register(thread);
            thread.EntryCursor = (uint)((long)_participants.Index * ObjectCountMax / StoreGeometry.ParticipantCountMax + thread.Chunk * 64L) % (uint)ObjectCountMax;
            all.Add(thread);
            return t_last = thread;
        }
        finally
        {
            EndSlowCall();
        }
    }

    private void ThrowClosed(ThreadSlots thread)
    {
        Leave(thread);
        TryDetach();
        throw ClosedException();
    }

    internal void ThrowIfClosing()
    {
        if (IsClosing)
            throw ClosedException();
    }

    internal void ThrowIfForked()
    {
        if (IsForked)
            throw ClosedException();
    }

    private Exception ClosedException() => IsForked
        ? new InvalidOperationException(ForkedMessage)
        : new ObjectDisposedException(nameof(PlasmaStore), $"The store '{Name}' is closed in this process.");

    internal string ForkedMessage =>
        $"The store '{Name}' was opened before a fork, and this is the forked child: the attachment, its handles and its writers are the parent's. Open the store again here, or call exec.";

    internal void BeginSlowCall()
    {
        if (!TryBeginSlowCall())
            throw ClosedException();
    }

    /// <summary>As <see cref="BeginSlowCall"/>; false when the attachment takes no more calls.</summary>
    internal bool TryBeginSlowCall()
    {
        Interlocked.Increment(ref _slowCalls);
        if (!IsClosing)
            return true;
        EndSlowCall();
        return false;
    }

    /// <inheritdoc cref="TryDetach"/>
    internal void EndSlowCall(bool waits = true)
    {
        if (Interlocked.Decrement(ref _slowCalls) == 0 && IsClosing)
            TryDetach(waits);
    }

    /// <summary>A writer is here: counts it, which takes the mark away that none is left.</summary>
    private static void CountWriter(StoreHeader* header)
    {
        ulong word;
        do // Ends: a failed exchange means that another writer came or left.
            word = Volatile.Read(ref header->WriterAttaches);
        while (Interlocked.CompareExchange(ref header->WriterAttaches, (word | StoreHeader.NoWriterLeft) + 1, word) != word); // PUBLISH writer: full fence, before anything is changed. OBSERVE in MarkIfLastWriter.
    }

    /// <summary>Repairs a place that this attachment is about to take over, under its token.</summary>
    private bool Repair(int index, ChunkReserver reserver)
    {
        if (_files.Domain != 0)
        {
            ClearOwnSlots(_participants.Block(index)); // A reader leaves nothing but pins.
            return true;
        }
        if (Access != StoreAccess.ReadWrite)
            return false; // Only writers recover.
        var events = new EventRing(_memory, _waits, _scan, index);
        _reclaimer.Allocator = new BlockAllocator(_memory.Chunks, reserver, _reclaimer, index);
        new Recovery(_memory, _participants, _scan, _reclaimer, events, _waits, _options.Logger).RecoverUnderToken(index);
        return true;
    }

    private static void ClearOwnSlots(ParticipantBlock* block)
    {
        int chunks = ParticipantTable.ChunkHigh(block);
        for (int c = 0; c < chunks; c++)
            for (int i = 0; i < SlotChunk.SlotCount; i++)
                Volatile.Write(ref ParticipantTable.Slots(ParticipantTable.Chunk(block, c))[i].Word, 0);
    }

    internal void RequireWriter()
    {
        if (Access != StoreAccess.ReadWrite)
            throw new InvalidOperationException($"The store '{Name}' is open with StoreAccess.ReadOnly.");
    }

    private static bool IsHugetlb(string path) => path.StartsWith('/') && new DriveInfo(Path.GetDirectoryName(path)!).DriveFormat == "hugetlbfs";

    private static FileNotFoundException NoSuchStore(string name, PlasmaOptions options) =>
        new($"There is no store named '{name}' in {StoreFiles.Resolve(options.Directory).Meta}.", name);
}
