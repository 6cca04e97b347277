using System.Diagnostics;

namespace FastPlasma.Tests.Linearizability;

/// <summary>A store whose records are all taken by objects that may go.</summary>
public sealed class RecordShortageTests : StoreTest
{
    [Fact]
    public void Threads_that_evict_each_other_s_objects_never_run_out_of_records()
    {
        const int Records = 16, Threads = 4;
        PlasmaStore store = Anonymous(new PlasmaOptions { CapacityBytes = 4 << 20, ObjectCountMax = Records });
        long end = Stopwatch.GetTimestamp() + Stopwatch.Frequency, refused = 0, made = 0;
        Eventually.Run[] threads = [.. Enumerable.Range(0, Threads).Select(t => Eventually.Start(() =>
        {
            for (int i = 0; Stopwatch.GetTimestamp() < end; i++)
            {
                PlasmaStatus status = store.TryPut(Id($"{t}-{i}"), [(byte)t], Evictable);
                Assert.True(status is PlasmaStatus.Ok or PlasmaStatus.TooManyObjects, $"put: {status}");
                Interlocked.Increment(ref status == PlasmaStatus.Ok ? ref made : ref refused);
            }
        }))];
        Array.ForEach(threads, static thread => thread.Join());
        Assert.True(made > 1000, $"{made} objects");
        Assert.True(refused == 0, $"{refused} of {made + refused} puts found no record, although {store.ObjectCountMax - Threads} objects may always go");
    }
}
