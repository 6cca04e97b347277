using System.Globalization;

namespace FastPlasma.Tests;

/// <summary>How long the random tests that can run for any time do run: some seconds in the suite, as long as FASTPLASMA_TEST_SECONDS says in a stress run.</summary>
internal static class LongRun
{
    /// <summary>Duration of a test that takes <paramref name="shortSeconds"/> in the suite.</summary>
    internal static TimeSpan Of(double shortSeconds) =>
        TimeSpan.FromSeconds(double.TryParse(Environment.GetEnvironmentVariable("FASTPLASMA_TEST_SECONDS"), CultureInfo.InvariantCulture, out double seconds) ? seconds : shortSeconds);

    /// <summary>FASTPLASMA_TEST_SEED, to repeat a run, or another one each time; failures print it.</summary>
    internal static int Seed { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("FASTPLASMA_TEST_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : Environment.TickCount;
}
