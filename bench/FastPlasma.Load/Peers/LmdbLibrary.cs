using System.Reflection;
using System.Runtime.InteropServices;
using LightningDB;

namespace FastPlasma.Load.Peers;

/// <summary>Which native library LightningDB gets: the package's own, or the system's where the package's does not load.</summary>
/// <remarks>
/// The package's library of version 0.23 needs glibc 2.38. The calls that <see cref="LmdbPeer"/> makes have the same signatures, flags and codes in LMDB 0.9, which distributions have; the calls that LMDB 1.0 added are not made.
/// </remarks>
internal static unsafe class LmdbLibrary
{
    private const string Name = "lmdb", SystemName = "liblmdb.so.0", Package = "liblmdb0";

    private static readonly Lock s_lock = new();

    private static bool s_resolved;

    /// <summary>What to install, or null when one of the two loads.</summary>
    internal static string? Missing => Load() == 0 ? $"neither the LMDB library of the LightningDB package nor the system's {SystemName} loads (Debian: apt-get install {Package})" : null;

    /// <summary>What the library calls itself.</summary>
    internal static string Version
    {
        get
        {
            nint library = Load();
            if (library == 0)
                return "LMDB";
            // SAFETY: char *mdb_version(int *major, int *minor, int *patch) takes null pointers and returns a constant.
            var version = (delegate* unmanaged<int*, int*, int*, byte*>)NativeLibrary.GetExport(library, "mdb_version");
            return Marshal.PtrToStringUTF8((nint)version(null, null, null)) ?? "LMDB";
        }
    }

    /// <summary>Makes LightningDB use it; does nothing the second time.</summary>
    internal static void Resolve()
    {
        lock (s_lock)
        {
            if (s_resolved)
                return;
            NativeLibrary.SetDllImportResolver(typeof(LightningEnvironment).Assembly, static (name, _, _) => name == Name ? Load() : 0);
            s_resolved = true;
        }
    }

    private static nint Load()
    {
        Assembly assembly = typeof(LightningEnvironment).Assembly;
        return NativeLibrary.TryLoad(Name, assembly, null, out nint library) || NativeLibrary.TryLoad(SystemName, assembly, null, out library) ? library : 0;
    }
}
