using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace FastPlasma.Cli;

/// <summary>Two questions that .NET cannot answer.</summary>
internal static unsafe partial class Os
{
    private const int CurrentDirectory = -100, StatxType = 1, StatxBytes = 256, StatxModeOffset = 28;
    private const int ModeTypeMask = 0xF000, ModeRegular = 0x8000;
    private const short PollError = 8;

    /// <summary>Whether the reader of stdout has gone away. The console stream of .NET swallows EPIPE, so an endless writer has to ask.</summary>
    internal static bool IsStdoutClosed()
    {
        if (!OperatingSystem.IsLinux())
            return false;
        var query = new PollQuery { Descriptor = 1 };
        return Poll(&query, 1, 0) > 0 && (query.Happened & PollError) != 0;
    }

    /// <summary>Whether a path exists and is a device, pipe or socket, which must be written in place and never replaced by a rename.</summary>
    internal static bool IsSpecialFile(string path)
    {
        if (!OperatingSystem.IsLinux() || !File.Exists(path))
            return false;
        byte* buffer = stackalloc byte[StatxBytes];
        // SAFETY: the kernel writes one struct statx, which is 256 bytes long on every architecture; its mode is 16 bits at offset 28.
        return Statx(CurrentDirectory, path, 0, StatxType, buffer) == 0 && (*(ushort*)(buffer + StatxModeOffset) & ModeTypeMask) != ModeRegular;
    }

    [SupportedOSPlatform("linux")]
    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(PollQuery* queries, nuint count, int timeoutMs);

    [SupportedOSPlatform("linux")]
    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int directory, string path, int flags, uint mask, byte* buffer);

    /// <summary>struct pollfd of poll(2).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollQuery
    {
        public int Descriptor;
        public short Asked;
        public short Happened;
    }
}
