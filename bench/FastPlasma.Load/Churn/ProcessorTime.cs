using System.ComponentModel;
using System.Runtime.InteropServices;

namespace FastPlasma.Load.Churn;

/// <summary>Processor time of the calling thread, in user code and in the kernel: a neighbour that takes the core does not count.</summary>
internal static unsafe partial class ProcessorTime
{
    private const int CLOCK_THREAD_CPUTIME_ID = 3;

    internal static long Nanoseconds
    {
        get
        {
            long* time = stackalloc long[2]; // struct timespec: seconds, nanoseconds.
            if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, time) != 0)
                throw new Win32Exception();
            return time[0] * 1_000_000_000 + time[1];
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int clock_gettime(int clock, long* time);
}
