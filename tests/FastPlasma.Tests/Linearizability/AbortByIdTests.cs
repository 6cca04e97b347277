using System.Diagnostics;

namespace FastPlasma.Tests.Linearizability;

/// <summary>Abort by id finds the writer among the announcements of its process, some of which name entries that another thread got.</summary>
public sealed class AbortByIdTests : StoreTest
{
    [Fact]
    public void Abort_by_id_ends_the_writer_of_that_id_and_no_other()
    {
        const int Records = 16, Putters = 3;
        PlasmaStore store = Anonymous(new PlasmaOptions { CapacityBytes = 4 << 20, ObjectCountMax = Records });
        for (int i = 0; i < store.ObjectCountMax - 1; i++) // One record is left: all threads want it, and losers keep their announcement while they look for another.
            store.Put(Id($"keep{i}"), []);
        long end = Stopwatch.GetTimestamp() + Stopwatch.Frequency;
        Eventually.Run[] putters = [.. Enumerable.Range(0, Putters).Select(t => Eventually.Start(() =>
        {
            ObjectId id = Id($"put{t}");
            while (Stopwatch.GetTimestamp() < end)
            {
                PlasmaStatus status = store.TryPut(id, [(byte)t]);
                Assert.True(status is PlasmaStatus.Ok or PlasmaStatus.TooManyObjects, $"put, which nobody aborts: {status}");
                if (status == PlasmaStatus.Ok)
                    Assert.Equal(PlasmaStatus.Ok, store.Delete(id));
            }
        }))];
        int aborted = 0;
        Eventually.Run aborter = Eventually.Start(() =>
        {
            ObjectId id = Id("aborted");
            while (Stopwatch.GetTimestamp() < end)
            {
                PlasmaStatus status = store.TryCreate(id, 1, out ObjectWriter writer);
                Assert.True(status is PlasmaStatus.Ok or PlasmaStatus.TooManyObjects, $"create: {status}");
                if (status != PlasmaStatus.Ok)
                    continue;
                Assert.Equal(PlasmaStatus.Ok, store.Abort(id));
                Assert.Equal((false, PlasmaStatus.Closed), (writer.IsOpen, writer.TrySeal()));
                aborted++;
            }
        });
        aborter.Join();
        Array.ForEach(putters, static putter => putter.Join());
        Assert.True(aborted > 100, $"{aborted} aborts");
        Assert.Equal((0, store.ObjectCountMax - 1, 0), (store.Stats().CreatingCount, store.Stats().SealedCount, store.Stats().Participants.Single().Pins));
    }
}
