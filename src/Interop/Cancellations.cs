namespace FastPlasma.Interop;

/// <summary>What a fp_cancellation stands for.</summary>
internal static class Cancellations
{
    private const byte Kind = 0xA3;

    internal static readonly HandleTable<CancellationTokenSource> All = new(Kind, static _ => false);
}
