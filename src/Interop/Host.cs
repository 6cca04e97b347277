using System.Runtime.InteropServices;

namespace FastPlasma.Interop;

/// <summary>What the library's own C files do for the managed part.</summary>
internal static unsafe partial class Host
{
    /// <summary>The id of a content, without the OpenSSL that <see cref="ObjectId.FromContent"/> needs.</summary>
    internal static ObjectId IdOf(byte* content, nuint size)
    {
        byte* digest = stackalloc byte[32];
        Sha256(content, size, digest);
        return *(ObjectId*)digest; // Its first bytes.
    }

    [LibraryImport("fastplasma-host", EntryPoint = "fp_host_sha256")]
    private static partial void Sha256(byte* content, nuint size, byte* digest);
}
