using FastPlasma.Format;
using FastPlasma.Participants;

namespace FastPlasma.Tests;

/// <summary>Entries that are deleted and still read stay findable, whoever leaves.</summary>
public sealed unsafe class CondemnedListTests : StoreTest
{
    [Fact]
    public void Entry_of_a_list_that_is_dropped_while_another_walks_is_freed_in_the_end()
    {
        PlasmaStore walker = Named(out string name), leaver = Open(name), reader = Open(name, StoreAccess.ReadOnly);
        leaver.Put(Id("a"), Pattern.Of(1, 1000));
        PlasmaObject pin = reader.Get(Id("a"), TimeSpan.Zero);
        Assert.Equal(PlasmaStatus.Ok, leaver.Delete(Id("a")));
        ulong* list = ParticipantTable.Condemned(leaver.Participants.Own);
        int place = new ReadOnlySpan<ulong>(list, ParticipantBlock.CondemnedCount).IndexOfAnyExcept(0UL);
        Assert.InRange(place, 0, ParticipantBlock.CondemnedCount - 1);

        // What a detach and a recovery do: ask for a walk, then drop the list. The walk falls between the two.
        Interlocked.Increment(ref walker.Memory.Header->OrphansRequested);
        walker.Maintain();
        Assert.Equal(walker.Memory.Header->OrphansRequested, walker.Memory.Header->OrphansDone);
        Volatile.Write(ref list[place], 0);

        pin.Dispose(); // A reader frees nothing.
        Assert.Equal(1, walker.Stats().CondemnedCount);
        walker.Maintain();
        Assert.Equal(0, walker.Stats().CondemnedCount);
    }

    [Fact]
    public void Threads_beyond_the_slot_chunks_are_refused_with_the_reason_until_one_ends()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1]);
        using var end = new ManualResetEventSlim();
        using var endOne = new ManualResetEventSlim();
        int got = 0;
        var threads = new List<Thread>();
        for (int i = 0; i < ParticipantBlock.ChunkCountMax - 1; i++) // This thread has one.
        {
            ManualResetEventSlim until = i == 0 ? endOne : end;
            var thread = new Thread(
                () =>
                {
                    if (store.TryGet(Id("a"), out PlasmaObject obj))
                        obj.Dispose();
                    Interlocked.Increment(ref got);
                    until.Wait();
                },
                256 << 10);
            thread.Start();
            threads.Add(thread);
        }
        try
        {
            Eventually.True(() => Volatile.Read(ref got) == threads.Count, "all threads have looked");
            for (int i = 0; i < 2; i++)
            {
                PlasmaException? refused = null;
                Eventually.Ends(() => refused = Assert.Throws<PlasmaException>(() => store.TryGet(Id("a"), out _)));
                Assert.Equal(PlasmaStatus.TooManyPins, refused!.Status);
                Assert.Contains("0 of 57344 are held and 1024 threads, of 1024 at most", refused.Message, StringComparison.Ordinal);
            }
            endOne.Set();
            threads[0].Join();
            Eventually.Ends(() =>
            {
                Assert.True(store.TryGet(Id("a"), out PlasmaObject obj));
                obj.Dispose();
            });
        }
        finally
        {
            endOne.Set();
            end.Set();
            threads.ForEach(static t => t.Join());
        }
    }
}
