using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>What the comments of the shared-memory structs say is what the compiler made of them.</summary>
public sealed partial class StructLayoutTests
{
    public static TheoryData<Type> SharedStructs =>
    [
        .. new[] { typeof(ChunkRecord).Assembly, typeof(StoreHeader).Assembly, typeof(Libc).Assembly }
            .SelectMany(static assembly => assembly.GetTypes())
            .Where(static type => type is { IsValueType: true, IsExplicitLayout: true } && !type.FullName!.Contains('<') && type != typeof(ObjectId)),
    ];

    [Fact]
    public void Every_shared_struct_is_looked_at()
    {
        string[] names = [.. SharedStructs.Select(static row => row.Data.Name).Order(StringComparer.Ordinal)];
        string[] expected =
        [
            nameof(AllocatorHeader), nameof(BlockPlace), nameof(CatalogHeader), nameof(ChunkRecord), nameof(DomainRecord), nameof(EventSlot), nameof(Libc.Flock), nameof(Libc.NamedId), nameof(NodeRecord), nameof(ObjectEntry),
            nameof(ParticipantBlock), nameof(PinSlot), nameof(PinsHeader), nameof(SlotChunk), nameof(SpaceWaiter),
            nameof(SpillDirectoryRecord), nameof(SpillFileHeader), nameof(SpillHeader), nameof(SpillRecordHeader), nameof(Libc.Statfs), nameof(Libc.Statx), nameof(StoreHeader),
        ];
        Assert.Equal(expected, names);
    }

    /// <summary>What nodes send each other; docs/protocol.md has their tables.</summary>
    public static TheoryData<Type> WireStructs =>
        [.. typeof(global::FastPlasma.Transfer.PlasmaNode).Assembly.GetTypes().Where(static type => type is { IsValueType: true, IsExplicitLayout: true } && !type.FullName!.Contains('<'))];

    [Theory]
    [MemberData(nameof(SharedStructs))]
    [MemberData(nameof(WireStructs))]
    public void Fields_lie_inside_do_not_overlap_and_are_aligned(Type type)
    {
        int size = SizeOf(type), end = 0;
        Assert.Equal(type.StructLayoutAttribute!.Size, size);
        foreach ((FieldInfo field, int offset, int bytes) in FieldsOf(type))
        {
            Assert.True(offset >= end, $"{type.Name}.{field.Name} at {offset} overlaps what ends at {end}");
            end = offset + bytes;
            Assert.True(end <= size, $"{type.Name}.{field.Name} ends at {end}, the struct at {size}");
            Assert.False(field.FieldType == typeof(bool) || field.FieldType.IsPointer || !field.FieldType.IsValueType, $"{type.Name}.{field.Name} means nothing to another process");
            int alignment = field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer ? SizeOf(buffer.ElementType) : field.FieldType.IsPrimitive || field.FieldType.IsEnum ? bytes : field.FieldType == typeof(Guid) ? 8 : 4;
            Assert.True(offset % alignment == 0, $"{type.Name}.{field.Name} at {offset} is not aligned to {alignment}");
        }
    }

    [Theory]
    [MemberData(nameof(SharedStructs))]
    public void Comments_give_the_offset_and_size_of_every_field(Type type)
    {
        if (type.DeclaringType == typeof(Libc) || type == typeof(SlotChunk))
            return; // The system's own structs, and one without fields.
        Dictionary<string, (int Offset, int Bytes)> documented = TableOf(type);
        foreach ((FieldInfo field, int offset, int bytes) in FieldsOf(type))
        {
            if (field.Name.StartsWith("Reserved", StringComparison.Ordinal))
                continue;
            Assert.True(documented.TryGetValue(field.Name, out (int Offset, int Bytes) said), $"{type.Name}.{field.Name} is not in the table of its comment");
            Assert.Equal((offset, bytes), said);
            documented.Remove(field.Name);
        }
        if (type == typeof(ParticipantBlock))
        {
            Assert.Equal((ParticipantBlock.HintsOffset, ParticipantBlock.HintCount * sizeof(ulong)), documented["Hints"]);
            Assert.Equal((ParticipantBlock.CondemnedOffset, ParticipantBlock.CondemnedCount * sizeof(ulong)), documented["Condemned"]);
            documented.Clear();
        }
        Assert.Empty(documented);
    }

    [Fact]
    public void An_object_id_is_28_bytes_without_padding() => Assert.Equal(ObjectId.SizeBytes, Unsafe.SizeOf<ObjectId>());

    [Fact]
    public void A_block_place_inside_an_entry_does_not_reach_the_next_field()
    {
        var entry = new ObjectEntry { QuotaAccount = 0x11223344, SpillPlace = 0x5566778899AABBCC };
        entry.Block = new BlockPlace { Index = ulong.MaxValue, Count = uint.MaxValue };
        Assert.Equal(0x11223344u, entry.QuotaAccount);
        Assert.Equal(0x5566778899AABBCCul, entry.SpillPlace);
    }

    [Fact]
    public void The_fingerprint_of_the_layout_is_that_of_version_5()
    {
        // A failure here means that stores of an older build can no longer be read: raise StoreHeader.LayoutVersionValue, then put the new value here.
        Assert.Equal(5u, StoreHeader.LayoutVersionValue);
        Assert.Equal(2459436058907703201ul, StoreHeader.CurrentFingerprint);
    }

    private static IEnumerable<(FieldInfo Field, int Offset, int Bytes)> FieldsOf(Type type) => type
        .GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public)
        .Select(static field => (Field: field, Offset: field.GetCustomAttribute<FieldOffsetAttribute>()!.Value, Bytes: SizeOf(field)))
        .OrderBy(static f => f.Offset);

    private static int SizeOf(FieldInfo field) =>
        field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer ? buffer.Length * SizeOf(buffer.ElementType) : SizeOf(field.FieldType);

    private static int SizeOf(Type type) =>
        (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    /// <summary>Rows "off bytes name" of the remarks in the documentation file that the compiler wrote.</summary>
    private static Dictionary<string, (int Offset, int Bytes)> TableOf(Type type)
    {
        string file = Path.ChangeExtension(type.Assembly.Location, ".xml");
        string remarks = XDocument.Load(file).Descendants("member")
            .Single(member => (string?)member.Attribute("name") == $"T:{type.FullName!.Replace('+', '.')}").Element("remarks")!.Value;
        return Row().Matches(remarks)
            .Where(static row => row.Groups[3].Value != "reserved")
            .ToDictionary(static row => row.Groups[3].Value, static row => (int.Parse(row.Groups[1].Value), int.Parse(row.Groups[2].Value)));
    }

    [GeneratedRegex(@"^\s*(\d+)\s+(\d+)\s+(\w+)", RegexOptions.Multiline)]
    private static partial Regex Row();
}
