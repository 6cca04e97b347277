using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using FastPlasma.Interop;

namespace FastPlasma.Tests.Interop;

/// <summary>The header, the library's symbols and the C# side say the same.</summary>
[Collection(CollectionOfInterop.Name)]
public sealed partial class InteropHeaderTests(CLibrary library)
{
    private static readonly Type[] s_structs =
    [
        typeof(FpId), typeof(FpStoreOptions), typeof(FpStoreDetails), typeof(FpObjectOptions), typeof(FpBuffer), typeof(FpWriter), typeof(FpObject), typeof(FpWaitOptions), typeof(FpObjectDetails), typeof(FpEvent),
        typeof(FpObjectInfo), typeof(FpPinHolder), typeof(FpOperationCounts), typeof(FpStoreStats), typeof(FpParticipantInfo), typeof(FpFullReport), typeof(FpMemoryHolder), typeof(FpVerifyReport),
    ];

    [Fact]
    public void Library_exports_what_the_header_declares_and_nothing_else()
    {
        string[] declared = Declared();
        string[] symbols = CLibrary.Run("nm", "-D", "--defined-only", CLibrary.SharedObject).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] exported = [.. symbols.Where(static s => s.Contains(" T ", StringComparison.Ordinal)).Select(static s => s.Split(' ')[2]).Order()];
        Assert.Equal([.. declared.Select(static name => name + "@@FASTPLASMA_0")], exported);
        Assert.Equal(["FASTPLASMA_0"], symbols.Where(static s => !s.Contains(" T ", StringComparison.Ordinal)).Select(static s => s.Split(' ')[2]));
        Assert.True(declared.Length > 50);
    }

    [Fact]
    public void Library_has_its_soname_stays_loaded_and_needs_the_c_library_only()
    {
        string[] lines = [.. CLibrary.Run("objdump", "-p", CLibrary.SharedObject).Split('\n').Select(static l => l.Trim())];
        Assert.Contains(lines, static l => l.StartsWith("SONAME", StringComparison.Ordinal) && l.EndsWith(" libfastplasma.so.0", StringComparison.Ordinal));
        const int nodelete = 8; // DF_1_NODELETE, elf.h.
        string flags = Assert.Single(lines, static l => l.StartsWith("FLAGS_1", StringComparison.Ordinal)).Split(' ')[^1];
        Assert.NotEqual(0, Convert.ToInt32(flags, 16) & nodelete);
        foreach (string needed in lines.Where(static l => l.StartsWith("NEEDED", StringComparison.Ordinal)).Select(static l => l.Split(' ')[^1]))
            Assert.Contains(needed, (string[])["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"]);
    }

    [Fact]
    public void Statuses_and_constants_of_the_header_are_those_of_the_store()
    {
        Dictionary<string, int> constants = ConstantPattern().Matches(Code()).ToDictionary(static m => m.Groups[1].Value, static m => int.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture));
        foreach (Status status in Enum.GetValues<Status>())
        {
            Assert.Equal((int)status, constants[NameOf(status)]);
            Assert.True(status == Status.Ok || StatusText.MessageOf(status).Length > 5);
        }
        Assert.Equal(constants.Keys.Where(static k => k != "FP_INFINITE" && !k.StartsWith("FP_ID_", StringComparison.Ordinal) && !k.StartsWith("FP_VERSION_", StringComparison.Ordinal)).Order(), Enum.GetValues<Status>().Select(NameOf).Concat(OtherConstants().Select(static c => c.Name)).Order());
        foreach (PlasmaStatus status in Enum.GetValues<PlasmaStatus>())
            Assert.Equal(status.ToString(), ((Status)status).ToString());
        foreach ((string name, int value) in OtherConstants())
            Assert.Equal(value, constants[name]);
    }

    [Fact]
    public void Names_of_statuses_are_those_of_the_header()
    {
        string calls = string.Concat(Enum.GetValues<Status>().Select(static s => $"puts(fp_status_name({NameOf(s)}));\n"));
        string said = CLibrary.Run(library.Build(library.Write("names.c", $"#include <fastplasma.h>\n#include <stdio.h>\nint main(void) {{\n{calls}return 0; }}\n")));
        Assert.Equal(string.Concat(Enum.GetValues<Status>().Select(static s => NameOf(s) + "\n")), said);
    }

    private static string NameOf(Status status) => "FP_" + SnakeCase(status.ToString()).ToUpperInvariant();

    private static IEnumerable<(string Name, int Value)> OtherConstants() =>
    [
        ("FP_READ_WRITE", (int)StoreAccess.ReadWrite), ("FP_READ_ONLY", (int)StoreAccess.ReadOnly), ("FP_HUGE_PAGES_NEVER", (int)HugePages.Never), ("FP_HUGE_PAGES_AUTO", (int)HugePages.Auto),
        ("FP_HUGE_PAGES_REQUIRE", (int)HugePages.Require), ("FP_KEEP", (int)Retention.Keep), ("FP_EVICTABLE", (int)Retention.Evictable), ("FP_DEFAULT_RETENTION", -1),
        ("FP_SEALED", (int)PlasmaEventKind.Sealed), ("FP_DELETED", (int)PlasmaEventKind.Deleted), ("FP_EVICTED", (int)PlasmaEventKind.Evicted), ("FP_EXPIRED", (int)PlasmaEventKind.Expired),
        ("FP_STATE_CREATING", (int)ObjectState.Creating), ("FP_STATE_SEALED", (int)ObjectState.Sealed), ("FP_STATE_CONDEMNED", (int)ObjectState.Condemned),
        ("FP_STATE_UNLOADING", (int)ObjectState.Unloading), ("FP_STATE_SPILLED", (int)ObjectState.Spilled), ("FP_STATE_RESTORING", (int)ObjectState.Restoring), ("FP_STATE_EMPTYING", (int)ObjectState.Emptying),
        ("FP_STORE_NAME_SIZE", FpStoreDetails.NameSizeBytes), ("FP_METADATA_SIZE_MAX", PlasmaStore.MetadataBytesMax), ("FP_NAME_SIZE_MAX", PlasmaStore.NameBytesMax),
        ("FP_CONTENT_TYPE_SIZE_MAX", PlasmaStore.ContentTypeBytesMax),
        ("FP_LOG_DEBUG", 1), ("FP_LOG_INFORMATION", 2), ("FP_LOG_WARNING", 3), ("FP_LOG_ERROR", 4),
    ];

    [Fact]
    public void Structs_have_the_sizes_and_offsets_that_a_c_compiler_gives_them()
    {
        var program = new StringBuilder("#include <fastplasma.h>\n#include <stdio.h>\nint main(void) {\n");
        var expected = new StringBuilder();
        foreach (Type type in s_structs)
        {
            string name = SnakeCase(type.Name);
            program.Append(CultureInfo.InvariantCulture, $"printf(\"{name} %zu\\n\", sizeof({name}));\n");
            expected.Append(CultureInfo.InvariantCulture, $"{name} {Marshal.SizeOf(type)}\n");
            foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic))
            {
                string member = SnakeCase(field.Name);
                program.Append(CultureInfo.InvariantCulture, $"printf(\"{name}.{member} %zu %zu\\n\", offsetof({name}, {member}), sizeof(((({name} *)0)->{member})));\n");
                expected.Append(CultureInfo.InvariantCulture, $"{name}.{member} {Marshal.OffsetOf(type, field.Name)} {SizeOf(field)}\n");
            }
        }
        program.Append("return 0; }\n");
        Assert.Equal(expected.ToString(), CLibrary.Run(library.Build(library.Write("offsets.c", program.ToString()))));
        Assert.Equal([.. s_structs.Select(static t => SnakeCase(t.Name)).Order()], StructPattern().Matches(Code()).Select(static m => m.Groups[1].Value).Order());
    }

    [Fact]
    public void Structs_that_have_grown_are_taken_with_their_first_size()
    {
        Assert.Equal(FpStoreStats.FirstSizeBytes, Marshal.OffsetOf<FpStoreStats>(nameof(FpStoreStats.PopulateTargetBytes)));
        Assert.Equal(FpStoreOptions.FirstSizeBytes, Marshal.OffsetOf<FpStoreOptions>(nameof(FpStoreOptions.DefaultTimeToLiveMs)));
        Assert.Equal(FpObjectOptions.FirstSizeBytes, Marshal.OffsetOf<FpObjectOptions>(nameof(FpObjectOptions.TimeToLiveMs)));
        Assert.Equal(FpFullReport.FirstSizeBytes, Marshal.OffsetOf<FpFullReport>(nameof(FpFullReport.ReservationError)));
    }

    [Theory]
    [InlineData("header.c", "-std=c99")]
    [InlineData("header.c", "-std=c17")]
    [InlineData("header.cpp", "-std=c++17")]
    [InlineData("header.cpp", "-std=c++20")]
    public void Header_compiles_alone_without_a_warning(string name, string standard)
    {
        string source = library.Write(name, "#include <fastplasma.h>\nint main(void) { return FP_OK; }\n");
        CLibrary.Run(name.EndsWith('p') ? "g++" : "gcc", standard, "-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-I", CLibrary.Include, "-fsyntax-only", source);
    }

    private static int SizeOf(FieldInfo field)
    {
        if (field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer)
            return buffer.Length * Marshal.SizeOf(buffer.ElementType);
        Type type = field.FieldType;
        return type.IsPointer || type.IsFunctionPointer || type.IsUnmanagedFunctionPointer ? IntPtr.Size : Marshal.SizeOf(type);
    }

    /// <summary>The functions that the header declares.</summary>
    internal static string[] Declared() => [.. FunctionPattern().Matches(Code()).Select(static m => m.Groups[1].Value).Order()];

    /// <summary>The header without its comments.</summary>
    private static string Code() => CommentPattern().Replace(File.ReadAllText(CLibrary.Header), "");

    private static string SnakeCase(string name) => string.Concat(name.Select(static (c, i) => char.IsUpper(c) ? (i > 0 ? "_" : "") + char.ToLowerInvariant(c) : c.ToString()));

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex CommentPattern();

    [GeneratedRegex(@"^(?!static )[a-z][a-z_ ]*\*?\s*\*?(fp_[a-z_]+)\([^;]*\);", RegexOptions.Multiline)]
    private static partial Regex FunctionPattern();

    [GeneratedRegex(@"\b(FP_[A-Z_]+)\s*=?\s*\(?(-?\d+)")]
    private static partial Regex ConstantPattern();

    [GeneratedRegex(@"^typedef struct (fp_[a-z_]+) \{", RegexOptions.Multiline)]
    private static partial Regex StructPattern();
}
