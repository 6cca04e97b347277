using System.CommandLine;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma get, fastplasma cat</summary>
internal static class GetCommand
{
    private const int PieceBytes = 4 << 20;

    private static readonly Argument<string> Key = new("ID|NAME") { Description = $"The object. {StoreOptions.KeyForms}" };

    private static readonly Argument<string[]> Keys = StoreOptions.Keys($"The objects, in this order. {StoreOptions.KeyForms}");

    private static readonly Option<string?> OutputFile = new("--output", "-o")
    {
        Description = "File to write; it appears, or replaces an older one, when it is complete. Default: stdout.",
        HelpName = "FILE",
    };

    /// <summary>How long a writer of the store is given to bring an object back from disk.</summary>
    private static readonly TimeSpan s_diskPatience = TimeSpan.FromSeconds(10);

    private static readonly Option<TimeSpan?> Timeout = StoreOptions.Timeout("How long to wait for the object to be sealed, and for the disk if it is there. Default: not at all, and 10 s for the disk.");

    internal static Command CreateGet() => new StoreCommand(
        "get", "Write an object's payload to a file or to stdout, straight from shared memory.",
        "fastplasma get model.bin -o /tmp/model.bin",
        "fastplasma get name:ticks --timeout 5s | wc -c")
    {
        Key, OutputFile, Timeout,
    }.NegativeWhen("not found, or the deadline passed").Runs(RunGet);

    internal static Command CreateCat() => new StoreCommand(
        "cat", "Write the payloads of objects to stdout, one after the other.",
        "fastplasma cat part-0 part-1 > whole")
    {
        Keys,
    }.NegativeWhen("an object was not found; the others are written").Runs(RunCat);

    private static int RunGet(Call call)
    {
        ObjectKey key = ObjectKey.Parse(call.Value(Key)!);
        using PlasmaStore store = OpenToRead(call);
        using PlasmaObject found = Find(call, store, key, call.Value(Timeout));
        if (call.Value(OutputFile) is not { } file)
        {
            WriteToStdout(call, found);
            return ExitCodes.Ok;
        }

        long began = Stopwatch.GetTimestamp();
        PlasmaObject source = found;
        LongWork.Run(call, Path.GetFileName(file), progress => WriteToFile(source, file, progress));
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        if (call.Json)
            call.WriteJson(new GetJson(found.Id, found.Name, file, found.Length, seconds), CliJson.Documents.GetJson);
        else
            call.WriteLine($"{found.Id}  {Sizes.Bytes(found.Length)}  {Sizes.Rate(found.Length, seconds)}  {TextTable.Printable(file)}");
        return ExitCodes.Ok;
    }

    private static int RunCat(Call call)
    {
        ObjectKey[] keys = [.. call.Value(Keys)!.Select(ObjectKey.Parse)];
        using PlasmaStore store = OpenToRead(call);
        int exitCode = ExitCodes.Ok;
        foreach (ObjectKey key in keys)
        {
            try
            {
                using PlasmaObject found = Find(call, store, key, null);
                WriteToStdout(call, found);
            }
            catch (Exception e) when (Failure.Of(e) is { ExitCode: ExitCodes.Negative } || e is CliException { Status: nameof(PlasmaStatus.NotResident) })
            {
                exitCode = Math.Max(exitCode, call.Report(e));
            }
        }

        return exitCode;
    }

    /// <summary>For reading only, or for writing where objects may have to come back from disk and this user may write: then no other writer is needed.</summary>
    private static PlasmaStore OpenToRead(Call call)
    {
        PlasmaStore reader = call.Open(StoreAccess.ReadOnly);
        if (!reader.HasSpill)
            return reader;
        try
        {
            PlasmaStore writer = call.Open(StoreAccess.ReadWrite);
            reader.Dispose();
            return writer;
        }
        catch (Exception e) when (e is CliException or PlasmaException or UnauthorizedAccessException or IOException)
        {
            return reader; // Another user's store: its writers are asked.
        }
    }

    private static PlasmaObject Find(Call call, PlasmaStore store, ObjectKey key, TimeSpan? asked)
    {
        TimeSpan timeout = asked ?? TimeSpan.Zero;
        PlasmaStatus status = store.TryGet(key.Id, timeout, out PlasmaObject found, cancellationToken: call.Cancellation);
        if (status == PlasmaStatus.NotResident && asked is null)
            status = store.TryGet(key.Id, timeout = s_diskPatience, out found, cancellationToken: call.Cancellation); // It is there; what is not waited for is its seal.
        return status switch
        {
            PlasmaStatus.Ok => found,
            PlasmaStatus.NotFound => throw CliException.Of(status, $"no sealed object {key} in store '{store.Name}'"),
            PlasmaStatus.Timeout => throw CliException.Of(status, $"object {key} was not sealed in store '{store.Name}' within {Sizes.Duration(timeout)}: {store.DescribeAbsence(key.Id)}"),
            PlasmaStatus.NotResident when store.LateIsDisk => throw new CliException(ExitCodes.InputOutput, status.ToString(), $"object {key} of store '{store.Name}' is on disk and cannot be read: {store.DescribeAbsence(key.Id)}"),
            PlasmaStatus.NotResident => throw CliException.Of(status, $"object {key} is on disk and was not brought back into memory of store '{store.Name}' within {Sizes.Duration(timeout)}: {store.DescribeAbsence(key.Id)}"),
            PlasmaStatus.TooManyPins => throw CliException.Of(status, "no pin slot of this process is free"),
            _ => throw CliException.Of(status, $"object {key} cannot be read: {status}"),
        };
    }

    private static void WriteToStdout(Call call, in PlasmaObject source)
    {
        Stream output = call.Context.PayloadOutput;
        try
        {
            for (long offset = 0; offset < source.Length; offset += PieceBytes)
            {
                call.Cancellation.ThrowIfCancellationRequested();
                output.Write(source.GetSpan(offset, (int)Math.Min(PieceBytes, source.Length - offset)));
                if (call.Context.IsOutputClosed())
                    return;
            }

            output.Flush();
        }
        catch (IOException e)
        {
            throw CliException.InputOutput("write", "stdout", e);
        }
    }

    private static long WriteToFile(in PlasmaObject source, string file, LongWork progress)
    {
        string? temporary = null;
        try
        {
            if (Directory.Exists(file))
                throw new IOException("it is a directory");
            if (Os.IsSpecialFile(file))
            {
                // A device or pipe is written in place: a rename would put a plain file where it was.
                using var device = new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
                for (long offset = 0; offset < source.Length; offset += PieceBytes)
                {
                    device.Write(Piece(source, offset));
                    progress.Report((double)offset / source.Length);
                }

                return source.Length;
            }

            // A link stays a link: its target is replaced.
            var info = new FileInfo(file);
            string target = (info.LinkTarget is null ? info : info.ResolveLinkTarget(returnFinalTarget: true) ?? info).FullName;
            string path = Path.Join(Path.GetDirectoryName(target), $".{Path.GetFileName(target)}.{Path.GetRandomFileName()}");
            using (SafeFileHandle handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, source.Length))
            {
                temporary = path;
                for (long offset = 0; offset < source.Length; offset += PieceBytes)
                {
                    RandomAccess.Write(handle, Piece(source, offset), offset);
                    progress.Report((double)offset / source.Length);
                }
            }

            File.Move(path, target, overwrite: true);
            temporary = null;
            return source.Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.InputOutput("write", file, e is DirectoryNotFoundException ? new IOException("no such directory", e) : e);
        }
        finally
        {
            if (temporary is not null)
                File.Delete(temporary);
        }
    }

    private static ReadOnlySpan<byte> Piece(in PlasmaObject source, long offset) => source.GetSpan(offset, (int)Math.Min(PieceBytes, source.Length - offset));
}
