using FastPlasma.Files;
using FastPlasma.Format;
using Mono.Unix.Native;

namespace FastPlasma.Stress.Fuzz;

/// <summary>Applies mutations to the files of a store, behind its back.</summary>
internal sealed unsafe class FuzzDamage(string folder, string name, Guid uuid, StoreGeometry geometry)
{
    private const int DeviceMajorMinorOfNull = 0x103;

    internal void Apply(in FuzzMutation m)
    {
        switch (m.Kind)
        {
            case "set" or "add" or "xor":
                Change(FuzzFields.Find(m.Target, geometry), m);
                break;
            case "noise" or "zero":
                Overwrite(FuzzFields.Find(m.Target, geometry), m);
                break;
            case "sign":
                Sign();
                break;
            case "size":
                Check(Syscall.truncate(PathOf(m.Target), (long)m.Number), m);
                break;
            case "append":
                using (FileStream file = new(PathOf(m.Target), FileMode.Append))
                    file.Write(new byte[m.Number]);
                break;
            case "mode":
                Check(Syscall.chmod(PathOf(m.Target), (FilePermissions)m.Number), m);
                break;
            case "owner":
                Check(Syscall.chown(PathOf(m.Target), (uint)m.Number, uint.MaxValue), m);
                break;
            case "remove":
                Check(Syscall.unlink(PathOf(m.Target)), m);
                break;
            case "replace":
                Replace(PathOf(m.Target), m);
                break;
            default:
                throw new FormatException($"There is no mutation '{m.Kind}'.");
        }
    }

    private string PathOf(string file) => Path.Combine(folder, file switch
    {
        "meta" => StoreNames.Meta(name),
        "data" => StoreNames.Data(name, uuid),
        "pins" => StoreNames.Pins(name, uuid, StoreNames.WritersDomain),
        "lock" => StoreNames.Lock(name, uuid, StoreNames.WritersDomain),
        _ => throw new FormatException($"A store has no file '{file}'."),
    });

    private void Change(FuzzPlace place, in FuzzMutation m)
    {
        using FileStream file = OpenFile(place.File);
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        file.Position = place.Offset;
        _ = file.ReadAtLeast(bytes[..place.Bytes], place.Bytes, throwOnEndOfStream: false);
        ulong old = BitConverter.ToUInt64(bytes);
        BitConverter.TryWriteBytes(bytes, m.Kind switch { "set" => m.Number, "add" => old + m.Number, _ => old ^ m.Number });
        file.Position = place.Offset;
        file.Write(bytes[..place.Bytes]);
    }

    private void Overwrite(FuzzPlace place, in FuzzMutation m)
    {
        string[] halves = m.Value.Split(':');
        byte[] bytes = new byte[FuzzMutation.ParseNumber(halves[0])];
        if (m.Kind == "noise")
            new Random(halves.Length > 1 ? (int)FuzzMutation.ParseNumber(halves[1]) : 0).NextBytes(bytes);
        using FileStream file = OpenFile(place.File);
        file.Position = place.Offset;
        file.Write(bytes);
    }

    private void Sign()
    {
        using FileStream file = OpenFile("meta");
        byte[] head = new byte[StoreHeader.SizeBytes];
        _ = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        fixed (byte* p = head)
            ((StoreHeader*)p)->HeaderChecksum = StoreHeader.ChecksumOf((StoreHeader*)p);
        file.Position = 0;
        file.Write(head);
    }

    private void Replace(string path, in FuzzMutation m)
    {
        string aside = path + ".aside";
        if (m.Value == "symlink")
            File.Move(path, aside);
        else
            Check(Syscall.unlink(path), m);
        switch (m.Value)
        {
            case "fifo":
                Check(Syscall.mkfifo(path, FilePermissions.S_IRUSR | FilePermissions.S_IWUSR), m);
                break;
            case "directory":
                Directory.CreateDirectory(path);
                break;
            case "device":
                Check(Syscall.mknod(path, FilePermissions.S_IFCHR | FilePermissions.S_IRUSR | FilePermissions.S_IWUSR, DeviceMajorMinorOfNull), m);
                break;
            case "symlink":
                File.CreateSymbolicLink(path, aside);
                break;
            case "hardlink":
                File.WriteAllBytes(aside, new byte[8192]);
                Check(Syscall.link(aside, path), m);
                break;
            case "empty":
                File.WriteAllBytes(path, []);
                break;
            case "foreign":
                File.WriteAllText(path, string.Concat(Enumerable.Repeat("This is somebody's letter. ", 4000)));
                break;
            case "other": // The same file of another store.
                PlasmaStore.Create("other", FuzzStore.Options(folder)).Dispose();
                string kind = path[(path.LastIndexOf(uuid.ToString("N"), StringComparison.Ordinal) is var at && at < 0 ? path.Length : at + 32)..];
                File.Copy(kind.Length == 0 ? Path.Combine(folder, StoreNames.Meta("other")) : Directory.EnumerateFiles(folder, $"{StoreNames.Meta("other")}.*{kind}").Single(), path);
                break;
            default:
                throw new FormatException($"There is no replacement '{m.Value}'.");
        }
    }

    private FileStream OpenFile(string file) => new(PathOf(file), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);

    private static void Check(int result, in FuzzMutation m)
    {
        if (result != 0)
            throw new IOException($"{m}: {Stdlib.GetLastError()}");
    }
}
