using System.Text;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Spill;

/// <content>The first page of a spill file: whose it is, and which catalogues of it count.</content>
internal sealed unsafe partial class SpillFiles
{
    /// <summary>Epoch of a spill file.</summary>
    /// <exception cref="OsException">Its header cannot be read.</exception>
    internal static ulong EpochOf(SharedFile file) =>
        ChangeEpoch(file, raise: false, out ulong epoch) is null ? epoch : throw new OsException("read the header of", file.Path, Libc.EIO);

    /// <summary>Makes every catalogue of a spill file void. Says why that cannot be done, or null.</summary>
    internal static string? RaiseEpoch(SharedFile file) => ChangeEpoch(file, raise: true, out _);

    private static string? ChangeEpoch(SharedFile file, bool raise, out ulong epoch)
    {
        epoch = 0;
        byte* page = (byte*)ForkMark.MapWiped(SpillFileHeader.SizeBytes);
        try
        {
            int errno = file.TryReadParts(0, [new IoPart(page, SpillFileHeader.SizeBytes)], out long read);
            if (errno != 0 || read < SpillFileHeader.SizeBytes)
                return $"read the header of {file.Path}: {(errno != 0 ? OsException.Describe(errno) : $"it ends after {read} bytes")}";
            if (CheckFileHeader(page, file.Path, out _) is { } problem)
                return problem;
            var header = (SpillFileHeader*)page;
            epoch = header->Epoch;
            if (!raise)
                return null;
            header->Epoch++;
            header->Checksum = 0;
            header->Checksum = SpillRecord.Hash(page, SpillFileHeader.SizeBytes);
            errno = file.TryWriteParts(0, [new IoPart(page, SpillFileHeader.SizeBytes)]);
            if (errno == 0)
                errno = file.TrySync();
            return errno == 0 ? null : $"write the header of {file.Path}: {OsException.Describe(errno)}";
        }
        finally
        {
            ForkMark.Unmap(page, SpillFileHeader.SizeBytes);
        }
    }

    private static void WriteFileHeader(SharedFile file, Guid id, string name, string folder)
    {
        byte[] page = new byte[SpillFileHeader.SizeBytes];
        fixed (byte* p = page)
        {
            var header = (SpillFileHeader*)p;
            header->Magic = SpillFileHeader.MagicValue;
            header->Version = SpillFileHeader.VersionValue;
            header->FileId = id;
            header->CreatedAt = DateTime.UtcNow.Ticks;
            header->Epoch = 1;
            header->BootId = OsIdentity.BootId;
            header->StoreDevice = folder.Length == 0 ? 0 : SharedFile.DeviceOf(folder);
            header->NameBytes = Encoding.UTF8.GetBytes(name, page.AsSpan(SpillFileHeader.NameOffset, SpillFileHeader.DirectoryOffset - SpillFileHeader.NameOffset));
            header->DirectoryBytes = Encoding.UTF8.GetBytes(folder, page.AsSpan(SpillFileHeader.DirectoryOffset));
            header->Checksum = SpillRecord.Hash(p, page.Length);
        }
        file.WriteAt(0, page);
    }

    /// <summary>Reads and checks a spill file's first page; says what is wrong, or null.</summary>
    internal static string? ReadFileHeader(SharedFile file, out SpillFileFacts facts)
    {
        facts = default;
        if (!file.Facts().IsRegular)
            return $"{file.Path} is not a regular file";
        byte[] page = new byte[SpillFileHeader.SizeBytes];
        int read = file.ReadAt(0, page);
        if (read < page.Length)
            return $"{file.Path} ends after {read} bytes, its header has {page.Length}";
        fixed (byte* p = page)
            return CheckFileHeader(p, file.Path, out facts);
    }

    private static string? CheckFileHeader(byte* page, string path, out SpillFileFacts facts)
    {
        facts = default;
        var header = (SpillFileHeader*)page;
        if (header->Magic != SpillFileHeader.MagicValue)
            return $"{path} begins with 0x{header->Magic:x}, expected 0x{SpillFileHeader.MagicValue:x} of a spill file";
        if (header->Version != SpillFileHeader.VersionValue)
            return $"{path} has version {header->Version}, expected {SpillFileHeader.VersionValue}";
        ulong said = header->Checksum;
        header->Checksum = 0;
        ulong hash = SpillRecord.Hash(page, SpillFileHeader.SizeBytes);
        header->Checksum = said;
        if (hash != said)
            return $"the header of {path} has the checksum 0x{hash:x16}, expected 0x{said:x16}: it is damaged";
        if (header->NameBytes is < 0 or > SpillFileHeader.DirectoryOffset - SpillFileHeader.NameOffset || header->DirectoryBytes is < 0 or > SpillFileHeader.DirectoryBytesMax)
            return $"the header of {path} has lengths {header->NameBytes} and {header->DirectoryBytes}: it is damaged";
        facts = new SpillFileFacts(
            header->FileId, Encoding.UTF8.GetString(page + SpillFileHeader.NameOffset, header->NameBytes), Encoding.UTF8.GetString(page + SpillFileHeader.DirectoryOffset, header->DirectoryBytes), header->CreatedAt, header->Epoch, header->BootId, header->StoreDevice);
        return null;
    }
}

/// <summary>What a spill file says of itself.</summary>
internal readonly record struct SpillFileFacts(Guid FileId, string StoreName, string StoreDirectory, long CreatedAtTicks, ulong Epoch, Guid BootId, ulong StoreDevice);
