using FastPlasma.Load.Measuring;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Load.Peers;

/// <summary>One file for each object in a folder in memory: what needs no library at all.</summary>
internal sealed class TmpfsFilesPeer : IPeer
{
    public string Name => "tmpfs-files";

    public string Description =>
        "One file per object on tmpfs (/dev/shm), with the .NET file API: a put writes to a temporary name and renames, a get opens, reads into a buffer that is used again, and closes (a copy, also when untouched). " +
        "A missing object costs the exception of a missing file, a delete asks File.Exists first. No fsync.";

    public bool IsShared => true;

    public string? Missing => null;

    public bool ReplacesOnPut => true;

    public IPeerInstance Start(PeerSetup setup) => new Instance(setup.Directory);

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address);

    private sealed class Instance(string directory) : IPeerInstance
    {
        public string Address => directory;

        public void Dispose()
        {
            foreach (string file in Directory.EnumerateFiles(directory))
                File.Delete(file);
        }
    }

    private sealed class Session(string directory) : IPeerSession
    {
        private int _clients;

        public IPeerClient Connect() => new Client(directory, $"{Environment.ProcessId}-{Interlocked.Increment(ref _clients)}");

        public void Dispose()
        {
        }
    }

    private sealed class Client(string directory, string owner) : IPeerClient
    {
        private readonly string _temporary = Path.Combine(directory, $"new-{owner}");
        private byte[] _buffer = new byte[Keys.SizeBytes];

        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            using (SafeFileHandle file = File.OpenHandle(_temporary, FileMode.CreateNew, FileAccess.Write))
                RandomAccess.Write(file, value, 0);
            File.Move(_temporary, PathOf(key), overwrite: true);
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            sum = 0;
            int length;
            try
            {
                using SafeFileHandle file = File.OpenHandle(PathOf(key));
                length = checked((int)RandomAccess.GetLength(file));
                if (length > _buffer.Length)
                    _buffer = GC.AllocateUninitializedArray<byte>(length);
                for (int done = 0; done < length;)
                {
                    int read = RandomAccess.Read(file, _buffer.AsSpan(done, length - done), done);
                    if (read == 0)
                        throw new EndOfStreamException($"The file ended after {done} of {length} bytes.");
                    done += read;
                }
            }
            catch (FileNotFoundException)
            {
                return -1;
            }

            if (touch)
                sum = Payload.Sum(_buffer.AsSpan(0, length));
            return length;
        }

        public bool Contains(ReadOnlySpan<byte> key) => File.Exists(PathOf(key));

        public bool Delete(ReadOnlySpan<byte> key)
        {
            string path = PathOf(key);
            if (!File.Exists(path))
                return false;
            File.Delete(path);
            return true;
        }

        public void Dispose()
        {
        }

        private string PathOf(ReadOnlySpan<byte> key) => string.Concat(directory, "/", Convert.ToHexStringLower(key));
    }
}
