namespace FastPlasma.Cli.Children;

/// <summary>Order statistics of measured values.</summary>
internal static class Quantiles
{
    /// <summary>Sorts <paramref name="values"/> and returns the value below which <paramref name="quantile"/> of them lie (nearest rank).</summary>
    internal static double Of(double[] values, double quantile)
    {
        if (values.Length == 0)
            return 0;
        Array.Sort(values);
        return values[Math.Clamp((int)Math.Ceiling(quantile * values.Length) - 1, 0, values.Length - 1)];
    }
}
