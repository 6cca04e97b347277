using System.Globalization;
using System.Runtime.Intrinsics;

namespace FastPlasma.Tests;

/// <summary>Code with vectors gives the same results whatever width the processor, or the compiler, has.</summary>
public sealed class VectorWidthTests(ITestOutputHelper output) : StoreTest
{
    [Theory]
    [InlineData(512, "DOTNET_EnableAVX512=1")]
    [InlineData(256, "DOTNET_EnableAVX512=0")]
    [InlineData(128, "DOTNET_EnableAVX=0")]
    public void Every_width_finds_and_copies_the_same(int bits, string setting)
    {
        int seed = Environment.TickCount, here = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
        output.WriteLine($"seed {seed}, widest vectors here: {here} bits");
        WorkerProcess worker = StartWorker(null, uid: null, ["env", setting]);
        Assert.Equal(Math.Min(bits, here).ToString(CultureInfo.InvariantCulture), worker.Call($"vectors {seed}"));
    }
}
