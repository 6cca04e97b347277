using System.Diagnostics;

namespace FastPlasma.Native;

/// <summary>Named places between two writes to shared memory, at which a test lets its process die.</summary>
/// <remarks>The calls exist only in builds with the constant FAILPOINTS; no product build defines it. Each carries the name of the CRASH comment that says what is left behind and who repairs it.</remarks>
internal static class FailPoint
{
    private static string? s_armed;
    private static int s_passesLeft;

    /// <summary>From now on the <paramref name="pass"/>th pass of the point <paramref name="name"/> is death by SIGKILL.</summary>
    internal static void Arm(string name, int pass) => (s_passesLeft, s_armed) = (pass, name);

    /// <summary>Marks the place.</summary>
    [Conditional("FAILPOINTS")]
    internal static void Pass(string name)
    {
        if (name == s_armed && Interlocked.Decrement(ref s_passesLeft) == 0)
            Process.GetCurrentProcess().Kill();
    }
}
