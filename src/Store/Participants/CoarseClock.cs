namespace FastPlasma.Participants;

/// <summary>UTC ticks to 0.1 s, written by the maintainer thread and read for the price of a load. Used where a time is shown or compared roughly.</summary>
internal static class CoarseClock
{
    internal const int PeriodMs = 100;

    private static long s_ticks = DateTime.UtcNow.Ticks;

    internal static long UtcTicks => Volatile.Read(ref s_ticks);

    /// <summary>Tenths of a second, wrapping after 13 years.</summary>
    internal static uint Tick => (uint)(UtcTicks / (TimeSpan.TicksPerMillisecond * PeriodMs));

    internal static void Advance() => Volatile.Write(ref s_ticks, DateTime.UtcNow.Ticks);
}
