using System.Diagnostics;

namespace FastPlasma.Native;

/// <summary>Named places between two writes to shared memory, at which a test lets its process die.</summary>
/// <remarks>The calls exist only in builds with the constant FAILPOINTS; no product build defines it. Each carries the name of the CRASH comment that says what is left behind and who repairs it.</remarks>
internal static class FailPoint
{
    private static readonly Dictionary<string, int> s_passes = [];
    private static string? s_armed;
    private static int s_armedPass;
    private static bool s_watching;

    /// <summary>From now on passes are counted, and pass number <paramref name="pass"/> of the point <paramref name="name"/> is death by SIGKILL.</summary>
    internal static void Watch(string? name, int pass) => (s_armedPass, s_armed, s_watching) = (pass, name, true);

    /// <summary>Which points were passed how often, each as NAME:COUNT.</summary>
    internal static string[] Passed()
    {
        lock (s_passes)
            return [.. s_passes.Select(static p => $"{p.Key}:{p.Value}")];
    }

    /// <summary>Marks the place.</summary>
    [Conditional("FAILPOINTS")]
    internal static void Pass(string name)
    {
        if (!s_watching)
            return;
        lock (s_passes)
        {
            s_passes[name] = s_passes.GetValueOrDefault(name) + 1;
            if (name == s_armed && s_passes[name] == s_armedPass)
                Process.GetCurrentProcess().Kill();
        }
    }
}
