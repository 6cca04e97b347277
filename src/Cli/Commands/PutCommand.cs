using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma put</summary>
internal static class PutCommand
{
    /// <summary>Piece of one read: large enough to hide the system call, small enough for a smooth progress bar and a quick Ctrl-C.</summary>
    private const int PieceBytes = 4 << 20;

    private const string Stdin = "-";

    private static readonly Argument<string[]> Files = new("FILE")
    {
        Description = "Files to put, one object each; - reads stdin.",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<string?> Id = new("--id") { Description = "Id of the object: 56 or 40 hexadecimal digits.", HelpName = "HEX" };

    private static readonly Option<string?> Name = new("--name", "-n")
    {
        Description = "Name of the object, from which its id follows. Default: the file's name; stdin without a name gets a random id.",
        HelpName = "NAME",
    };

    private static readonly Option<bool> Evictable = new("--evictable") { Description = "The object may be dropped when memory is short." };

    private static readonly Option<TimeSpan?> TimeToLive = StoreOptions.TimeToLive("How long the object lives from its seal on. Default: as the store says.");

    private static readonly Option<bool> Checksum = new("--checksum") { Description = "Store a checksum at seal, which verify compares." };

    private static readonly Option<TimeSpan?> Timeout = StoreOptions.Timeout("How long to wait for memory when the store is full. Default: not at all.");

    internal static Command Create() => new StoreCommand(
        "put", "Put files as objects. A file is read straight into shared memory; stdin of unknown length is collected first.",
        "fastplasma put model.bin",
        "gzip -dc ticks.gz | fastplasma put --name ticks --checksum -")
    {
        Files, Id, Name, Evictable, TimeToLive, Checksum, Timeout,
    }.NegativeWhen("the id exists already").Runs(Run);

    private static int Run(Call call)
    {
        string[] files = call.Value(Files)!;
        (string? idText, string? name) = (call.Value(Id), call.Value(Name));
        if (idText is not null && name is not null)
            throw CliException.Usage("--id and --name exclude each other: the id of a named object follows from its name");
        if (files.Length > 1 && (idText ?? name) is not null)
            throw CliException.Usage($"--id and --name take one FILE, {files.Length} were given");
        if (files.Count(static file => file == Stdin) > 1)
            throw CliException.Usage("stdin (-) can be read once");
        if (name is { Length: 0 })
            throw CliException.Usage("an object name has at least one character");
        ObjectId? id = idText is null ? null : ObjectKey.ParseId(idText);

        using PlasmaStore store = call.Open(StoreAccess.ReadWrite);
        var done = new List<PutJson>();
        int exitCode = ExitCodes.Ok;
        foreach (string file in files)
        {
            try
            {
                bool isTyped = file == Stdin && call.Context.InputIsTerminal; // A bar would get between the lines.
                PutJson put = LongWork.Run(
                    call, file == Stdin ? "stdin" : Path.GetFileName(file), progress => PutNamed(call, store, file, id, name, progress), quiet: isTyped);
                done.Add(put);
                if (!call.Json)
                    call.WriteLine($"{put.Id}  {Sizes.Bytes(put.SizeBytes)}  {Sizes.Rate(put.SizeBytes, put.Seconds)}  {TextTable.Printable(put.Name)}".TrimEnd());
            }
            catch (Exception e) when (files.Length > 1 && Failure.Of(e).ExitCode is ExitCodes.Negative or ExitCodes.InputOutput or ExitCodes.Full)
            {
                // One bad file does not keep the others out.
                int code = call.Report(e);
                exitCode = exitCode == ExitCodes.Ok ? code : exitCode;
            }
        }

        if (call.Json)
            call.WriteJson([.. done], CliJson.Documents.PutJsonArray);
        return exitCode;
    }

    /// <summary>What the store says names the id; people typed a file.</summary>
    private static PutJson PutNamed(Call call, PlasmaStore store, string file, ObjectId? id, string? name, LongWork progress)
    {
        try
        {
            return Put(call, store, file, id, name, progress);
        }
        catch (PlasmaException e) when (e is not StoreFullException)
        {
            throw CliException.Of(e.Status, $"cannot put '{TextTable.Printable(file)}' into store '{store.Name}': {Failure.MessageOf(e)}");
        }
    }

    private static PutJson Put(Call call, PlasmaStore store, string file, ObjectId? id, string? name, LongWork progress)
    {
        if (file != Stdin)
        {
            string fileName = Path.GetFileName(file);
            if (fileName.Length == 0)
                throw CliException.Usage($"'{file}' names a directory, not a file");
            name ??= fileName;
            using SafeFileHandle handle = OpenFile(file);
            long length = LengthOf(handle, file);
            return length > 0 // Files of /proc and the like say 0 and have something all the same.
                ? PutFile(call, store, handle, 0, length, file, id ?? ObjectId.FromName(name), name, progress)
                : PutStream(call, store, new FileStream(handle, FileAccess.Read, bufferSize: 0), file, id ?? ObjectId.FromName(name), name, progress);
        }

        ObjectId stdinId = id ?? (name is null ? ObjectId.NewRandom() : ObjectId.FromName(name));
        name ??= "";
        if (!OperatingSystem.IsWindows())
        {
            // A redirected file has a length: the copy through private memory is spared.
            var handle = new SafeFileHandle(0, ownsHandle: false);
            using var stdin = new FileStream(handle, FileAccess.Read, bufferSize: 0);
            if (stdin.CanSeek && LengthOf(handle, Stdin) is > 0 and var length && stdin.Position <= length)
                return PutFile(call, store, handle, stdin.Position, length - stdin.Position, "stdin", stdinId, name, progress);
        }

        return PutStream(call, store, Console.OpenStandardInput(), "stdin", stdinId, name, progress);
    }

    private static SafeFileHandle OpenFile(string file)
    {
        try
        {
            if (Directory.Exists(file))
                throw new IOException("it is a directory");
            return File.OpenHandle(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.InputOutput("open", file, e is FileNotFoundException or DirectoryNotFoundException ? new IOException("no such file", e) : e);
        }
    }

    /// <summary>The length of a regular file; -1 for what has none, such as a pipe.</summary>
    private static long LengthOf(SafeFileHandle handle, string file)
    {
        try
        {
            return RandomAccess.GetLength(handle);
        }
        catch (NotSupportedException)
        {
            return -1;
        }
        catch (IOException e)
        {
            throw CliException.InputOutput("read the length of", file, e);
        }
    }

    private static ObjectOptions OptionsOf(Call call, string name) => new()
    {
        Name = name,
        TimeToLive = call.Value(TimeToLive),
        Retention = call.Value(Evictable) ? Retention.Evictable : null,
        Checksum = call.Value(Checksum),
        Timeout = call.Value(Timeout),
    };

    /// <summary>The kernel writes the file's bytes into the object's memory: no copy in user space.</summary>
    private static PutJson PutFile(
        Call call, PlasmaStore store, SafeFileHandle handle, long start, long length, string file, ObjectId id, string name, LongWork progress)
    {
        long began = Stopwatch.GetTimestamp();
        using ObjectWriter writer = store.Create(id, length, OptionsOf(call, name));
        for (long offset = 0; offset < length;)
        {
            int read = Read(handle, writer.GetSpan(offset, (int)Math.Min(PieceBytes, length - offset)), start + offset, file);
            if (read == 0)
                throw Changed(file, length, $"ended after {offset} bytes");
            offset += read;
            progress.Report((double)offset / length);
        }

        Span<byte> beyond = stackalloc byte[1];
        if (Read(handle, beyond, start + length, file) != 0)
            throw Changed(file, length, "has more now");
        writer.Seal();
        return new PutJson(id, name, file, length, 0, Stopwatch.GetElapsedTime(began).TotalSeconds);
    }

    private static int Read(SafeFileHandle handle, Span<byte> destination, long offset, string file)
    {
        try
        {
            return RandomAccess.Read(handle, destination, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.InputOutput("read", file, e);
        }
    }

    private static CliException Changed(string file, long length, string how) =>
        new(ExitCodes.InputOutput, Failure.InputOutputStatus, $"'{file}' changed while it was read: it had {length} bytes and {how}; nothing was put");

    /// <summary>The length has to be known before memory can be taken: collects everything in private memory, then copies it once.</summary>
    private static PutJson PutStream(Call call, PlasmaStore store, Stream stream, string file, ObjectId id, string name, LongWork progress)
    {
        long began = Stopwatch.GetTimestamp();
        using var collected = new ChunkList();
        try
        {
            while (stream.Read(collected.Free()) is > 0 and var read)
            {
                collected.Advance(read);
                progress.Report(double.NaN);
                if (collected.Length > store.CapacityBytes)
                    throw CliException.Of(PlasmaStatus.TooLarge, $"'{file}' has more than {Sizes.Bytes(store.CapacityBytes)}, which is the capacity of store '{store.Name}'");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.InputOutput("read", file, e);
        }

        using ObjectWriter writer = store.Create(id, collected.Length, OptionsOf(call, name));
        long offset = 0;
        foreach (ChunkList.Chunk chunk in collected.Chunks)
        {
            for (int position = 0; position < chunk.UsedBytes; position += PieceBytes)
            {
                ReadOnlySpan<byte> piece = chunk.Used.Slice(position, Math.Min(PieceBytes, chunk.UsedBytes - position));
                writer.CopyFrom(piece, offset);
                offset += piece.Length;
                progress.Report((double)offset / collected.Length);
            }
        }

        writer.Seal();
        return new PutJson(id, name, file, collected.Length, collected.Length, Stopwatch.GetElapsedTime(began).TotalSeconds);
    }

    /// <summary>Growing memory outside the managed heap, in chunks that double from 1 to 64 MiB; nothing is moved when it grows.</summary>
    private sealed unsafe class ChunkList : IDisposable
    {
        private const int ChunkBytesMin = 1 << 20, ChunkBytesMax = 64 << 20;

        private readonly List<Chunk> _chunks = [];

        internal IReadOnlyList<Chunk> Chunks => _chunks;

        internal long Length { get; private set; }

        /// <summary>Unused memory, never empty.</summary>
        internal Span<byte> Free()
        {
            if (_chunks.Count == 0 || _chunks[^1].UsedBytes == _chunks[^1].Bytes)
                _chunks.Add(new Chunk(_chunks.Count == 0 ? ChunkBytesMin : Math.Min(2 * _chunks[^1].Bytes, ChunkBytesMax)));
            return _chunks[^1].Free;
        }

        internal void Advance(int bytes)
        {
            _chunks[^1].UsedBytes += bytes;
            Length += bytes;
        }

        public void Dispose()
        {
            foreach (Chunk chunk in _chunks)
                chunk.Dispose();
            _chunks.Clear();
        }

        internal sealed class Chunk(int bytes) : IDisposable
        {
            private byte* _memory = (byte*)NativeMemory.Alloc((nuint)bytes);

            internal int Bytes => bytes;

            internal int UsedBytes { get; set; }

            // SAFETY: the chunk has `bytes` bytes, of which Advance never marks more as used than Free offered; its list outlives every span.
            internal ReadOnlySpan<byte> Used => new(_memory, UsedBytes);

            internal Span<byte> Free => new(_memory + UsedBytes, bytes - UsedBytes);

            public void Dispose()
            {
                NativeMemory.Free(_memory);
                _memory = null;
            }
        }
    }
}
