using System.IO.MemoryMappedFiles;
using System.Numerics;
using System.Runtime.InteropServices;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Peers;

/// <summary>What people write by hand: a memory-mapped file with a hash table and an arena, guarded by a named mutex; a get copies out under the lock.</summary>
internal sealed class MmfMutexPeer : IPeer
{
    public string Name => "mmf-mutex";

    public string Description =>
        "Written by hand as one does: a memory-mapped file on tmpfs with an open-addressed hash table and an arena of powers of two, guarded by a named Mutex of .NET. A get copies into a buffer that is used again, " +
        "under the lock, since nothing else keeps the bytes (a copy, also when untouched). The mutex of a dead process is taken over; what it was changing is not repaired.";

    public bool IsShared => true;

    public string? Missing => null;

    public IPeerInstance Start(PeerSetup setup)
    {
        string path = Path.Combine(setup.Directory, "table");
        Session.Create(path, setup);
        return new Instance(path);
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address);

    private sealed class Instance(string path) : IPeerInstance
    {
        public string Address => path;

        public void Dispose() => File.Delete(path);
    }

    /// <summary>Begin of the file.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Header
    {
        public int SlotMask;
        public SizeClassArena Arena;
    }

    /// <summary>One place of the hash table.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 48)]
    private unsafe struct Slot
    {
        public fixed byte Key[Keys.SizeBytes];
        public int Length; // -1: empty
        public long Offset;
    }

    private sealed unsafe class Session : IPeerSession
    {
        private const int TableOffset = 4096;
        private readonly MemoryMappedFile _file;
        private readonly MemoryMappedViewAccessor _view;
        private readonly Mutex _mutex;
        private readonly byte* _base;

        internal Session(string path)
        {
            _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open);
            _view = _file.CreateViewAccessor();
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _base);
            _mutex = new Mutex(initiallyOwned: false, $"Global\\{Path.GetDirectoryName(path)!.Replace('/', '.').TrimStart('.')}");
        }

        private Header* Head => (Header*)_base;

        private Slot* Slots => (Slot*)(_base + TableOffset);

        internal static void Create(string path, PeerSetup setup)
        {
            int slots = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1024, 2 * setup.ObjectCountMax));
            long arena = TableOffset + ((long)slots * sizeof(Slot)), total = arena + SizeClassArena.BytesFor(setup.CapacityBytes, setup.ObjectBytesMax);
            using (FileStream file = new(path, FileMode.CreateNew))
                file.SetLength(total);
            using Session session = new(path);
            session.Head->SlotMask = slots - 1;
            session.Head->Arena.Reset(arena, total);
            for (int i = 0; i < slots; i++)
                session.Slots[i].Length = -1;
        }

        public IPeerClient Connect() => new Client(this);

        public void Dispose()
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
            _mutex.Dispose();
        }

        internal void Lock()
        {
            try
            {
                _mutex.WaitOne();
            }
            catch (AbandonedMutexException)
            {
                // Its owner died; the mutex is ours. That the table is whole is hoped, as it mostly is in such code.
            }
        }

        internal void Unlock() => _mutex.ReleaseMutex();

        internal void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            Slot* slot = Find(key);
            if (slot->Length >= 0)
                throw new InvalidOperationException("The key is in use.");
            long offset = Head->Arena.Allocate(_base, value.Length);
            if (offset == 0)
                throw new InvalidOperationException($"No memory for {value.Length} bytes.");

            // SAFETY: the arena gave a block of at least that many bytes inside the file; a slot is inside the table.
            value.CopyTo(new Span<byte>(_base + offset, value.Length));
            key.CopyTo(new Span<byte>(slot->Key, Keys.SizeBytes));
            slot->Offset = offset;
            slot->Length = value.Length;
        }

        /// <summary>Copies an object out; its length, or -1.</summary>
        internal int Get(ReadOnlySpan<byte> key, ref byte[] buffer)
        {
            Slot* slot = Find(key);
            int length = slot->Length;
            if (length < 0)
                return -1;
            if (length > buffer.Length)
                buffer = GC.AllocateUninitializedArray<byte>(length);
            new ReadOnlySpan<byte>(_base + slot->Offset, length).CopyTo(buffer); // SAFETY: as in Put.
            return length;
        }

        internal bool Contains(ReadOnlySpan<byte> key) => Find(key)->Length >= 0;

        internal bool Delete(ReadOnlySpan<byte> key)
        {
            Slot* slot = Find(key);
            if (slot->Length < 0)
                return false;
            Head->Arena.Free(_base, slot->Offset, slot->Length);

            // Linear probing without tombstones: those behind move up, unless they are at home between the hole and themselves.
            int mask = Head->SlotMask, hole = (int)(slot - Slots);
            for (int i = (hole + 1) & mask; Slots[i].Length >= 0; i = (i + 1) & mask)
            {
                int home = Home(new ReadOnlySpan<byte>(Slots[i].Key, Keys.SizeBytes));
                if (((i - home) & mask) < ((i - hole) & mask))
                    continue;
                Slots[hole] = Slots[i];
                hole = i;
            }

            Slots[hole].Length = -1;
            return true;
        }

        /// <summary>The slot of the key, or the empty one where it belongs. Ends: the table is at most half full.</summary>
        private Slot* Find(ReadOnlySpan<byte> key)
        {
            int mask = Head->SlotMask;
            for (int i = Home(key); ; i = (i + 1) & mask)
            {
                Slot* slot = Slots + i;
                if (slot->Length < 0 || key.SequenceEqual(new ReadOnlySpan<byte>(slot->Key, Keys.SizeBytes)))
                    return slot;
            }
        }

        private int Home(ReadOnlySpan<byte> key) => (int)MemoryMarshal.Read<ulong>(key) & Head->SlotMask;
    }

    private sealed class Client(Session session) : IPeerClient
    {
        private byte[] _buffer = new byte[Keys.SizeBytes];

        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            session.Lock();
            try
            {
                session.Put(key, value);
            }
            finally
            {
                session.Unlock();
            }
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            int length;
            session.Lock();
            try
            {
                length = session.Get(key, ref _buffer);
            }
            finally
            {
                session.Unlock();
            }

            sum = touch && length > 0 ? Payload.Sum(_buffer.AsSpan(0, length)) : 0;
            return length;
        }

        public bool Contains(ReadOnlySpan<byte> key)
        {
            session.Lock();
            try
            {
                return session.Contains(key);
            }
            finally
            {
                session.Unlock();
            }
        }

        public bool Delete(ReadOnlySpan<byte> key)
        {
            session.Lock();
            try
            {
                return session.Delete(key);
            }
            finally
            {
                session.Unlock();
            }
        }

        public void Dispose()
        {
        }
    }
}
