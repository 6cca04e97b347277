using System.Diagnostics;
using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench;

/// <summary>Times of batches, in nanoseconds per operation.</summary>
internal sealed class Series(int count)
{
    private readonly double[] _values = new double[count];

    internal double Median => Quantile(0.5);

    internal double P99 => Quantile(0.99);

    internal double this[int index]
    {
        get => _values[index];
        set => _values[index] = value;
    }

    internal double Quantile(double quantile) => Quantiles.Of((double[])_values.Clone(), quantile);

    /// <summary>Time of one batch.</summary>
    internal static double Time(Action<int> batch, int operations)
    {
        long start = Stopwatch.GetTimestamp();
        batch(operations);
        return (Stopwatch.GetTimestamp() - start) * (1e9 / Stopwatch.Frequency) / operations;
    }

    /// <summary>Measures two things in turns, batch by batch, so that what disturbs one disturbs the other.</summary>
    internal static (Series Subject, Series Ceiling) Measure(int batches, int operations, Action<int> subject, Action<int> ceiling)
    {
        Warm(operations, subject, ceiling);
        Series subjects = new(batches), ceilings = new(batches);
        for (int i = 0; i < batches; i++)
        {
            subjects[i] = Time(subject, operations);
            ceilings[i] = Time(ceiling, operations);
        }

        return (subjects, ceilings);
    }

    /// <summary>Runs code until the runtime has compiled its final form, which it does in the background in two steps.</summary>
    internal static void Warm(int operations, params ReadOnlySpan<Action<int>> batches)
    {
        for (int step = 0; step < 4; step++)
        {
            foreach (Action<int> batch in batches)
                for (int i = 0; i < 40; i++)
                    batch(operations);
            Thread.Sleep(150);
        }
    }
}
