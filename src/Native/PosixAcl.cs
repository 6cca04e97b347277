using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>Adds one named user to a file's POSIX access control list. Source of the binary form: linux/posix_acl_xattr.h.</summary>
internal static unsafe class PosixAcl
{
    internal const ushort Read = 4, Write = 2;

    private const string Attribute = "system.posix_acl_access";
    private const uint Version = 2;
    private const int HeaderBytes = 4, EntryBytes = 8, EntryCountMax = 1024;
    private const ushort TagUserOwner = 1, TagUser = 2, TagGroupOwner = 4, TagGroup = 8, TagMask = 16, TagOther = 32;
    private const uint NoId = uint.MaxValue;

    private readonly record struct Entry(ushort Tag, ushort Permissions, uint Id);

    /// <summary>Gives user <paramref name="uid"/> the rights in <paramref name="permissions"/> on the file; its other rights stay.</summary>
    /// <exception cref="OsException">EOPNOTSUPP when the file system has no access control lists; EPERM when the caller does not own the file.</exception>
    internal static void Grant(SharedFile file, uint uid, ushort permissions)
    {
        List<Entry> entries = ReadEntries(file);
        entries.RemoveAll(e => (e.Tag == TagUser && e.Id == uid) || e.Tag == TagMask);
        entries.Add(new Entry(TagUser, permissions, uid));

        // The mask bounds everybody but owner and others; it has to allow what the entries say.
        ushort mask = 0;
        foreach (Entry e in entries)
            if (e.Tag is TagUser or TagGroupOwner or TagGroup)
                mask |= e.Permissions;
        entries.Add(new Entry(TagMask, mask, NoId));
        entries.Sort(static (a, b) => a.Tag != b.Tag ? a.Tag.CompareTo(b.Tag) : a.Id.CompareTo(b.Id));

        byte[] value = new byte[HeaderBytes + entries.Count * EntryBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(value, Version);
        for (int i = 0; i < entries.Count; i++)
        {
            Span<byte> at = value.AsSpan(HeaderBytes + i * EntryBytes);
            BinaryPrimitives.WriteUInt16LittleEndian(at, entries[i].Tag);
            BinaryPrimitives.WriteUInt16LittleEndian(at[2..], entries[i].Permissions);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], entries[i].Id);
        }
        fixed (byte* p = value)
        {
            if (Libc.fsetxattr(file.Descriptor, Attribute, p, (nuint)value.Length, 0) != 0)
                throw OsException.FromLastError("set access control list of", $"{file.Path} for uid {uid}");
        }
    }

    private static List<Entry> ReadEntries(SharedFile file)
    {
        byte[] value = new byte[HeaderBytes + EntryCountMax * EntryBytes];
        nint bytes;
        fixed (byte* p = value)
            bytes = Libc.fgetxattr(file.Descriptor, Attribute, p, (nuint)value.Length);
        var entries = new List<Entry>();
        if (bytes >= HeaderBytes)
        {
            for (int at = HeaderBytes; at + EntryBytes <= bytes; at += EntryBytes)
            {
                ReadOnlySpan<byte> e = value.AsSpan(at);
                entries.Add(new Entry(
                    BinaryPrimitives.ReadUInt16LittleEndian(e), BinaryPrimitives.ReadUInt16LittleEndian(e[2..]), BinaryPrimitives.ReadUInt32LittleEndian(e[4..])));
            }
            return entries;
        }

        int errno = Marshal.GetLastPInvokeError();
        if (bytes < 0 && errno is not Libc.ENODATA)
            throw new OsException("read access control list of", file.Path, errno);
        uint mode = file.Facts().Mode; // Without a list the mode bits are the list.
        entries.Add(new Entry(TagUserOwner, (ushort)((mode >> 6) & 7), NoId));
        entries.Add(new Entry(TagGroupOwner, (ushort)((mode >> 3) & 7), NoId));
        entries.Add(new Entry(TagOther, (ushort)(mode & 7), NoId));
        return entries;
    }
}
