using System.Globalization;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>A forked child of a process that has a store open is refused with a reason, and takes nothing from its parent.</summary>
public sealed class ForkTests : StoreTest
{
    [Fact]
    public void Forked_child_is_refused_with_a_reason_and_takes_nothing_from_its_parent()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), Pattern.Of(1, 100_000));
        WorkerProcess parent = StartWorker(name);
        Assert.Equal("Ok", parent.Call("hold pin a 1000"));
        Assert.Equal("Ok", parent.Call("create writer w 50000"));
        foreach (string outcome in parent.Call("fork pin writer").Split('|'))
        {
            string[] parts = outcome.Split(": ", 2);
            if (parts[0] is "valid" or "open" or "release" or "abort" or "dispose" or "dispose again")
                Assert.Equal("done", parts[1]);
            else
                Assert.True(parts[1].StartsWith($"InvalidOperationException The store '{name}' was opened before a fork, and this is the forked child", StringComparison.Ordinal), outcome);
        }

        // The child has released, aborted and disposed what it could, and has ended: the parent's token, pin and writer are as they were.
        Assert.Equal(0, store.Maintain());
        ParticipantInfo participant = store.Stats().Participants.Single(p => p.ProcessId == parent.Id);
        Assert.Equal((1, 1, true), (participant.Pins, participant.Creating, participant.Alive));
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Assert.Equal(1, store.Stats().CondemnedCount);
        Assert.Equal(WorkerProcess.Describe(Pattern.Of(1, 100_000)), parent.Call("read pin"));
        parent.Call("release pin");
        Assert.Equal(0, store.Stats().CondemnedCount);
        parent.Call("fill writer 2");
        Assert.Equal("Ok", parent.Call("seal writer"));
        Assert.Equal("Ok", parent.Call("put more 10 3"));
        using PlasmaObject made = store.Get(Id("w"), TimeSpan.Zero);
        Same(Pattern.Of(2, 50_000), made.Span);
    }

    [Fact]
    public void Forked_child_that_opens_the_store_itself_is_a_participant_of_its_own()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), Pattern.Of(1, 1000));
        WorkerProcess parent = StartWorker(name);
        Assert.Equal($"{WorkerProcess.Describe(Pattern.Of(1, 1000))} 3", parent.Call($"fork-reopen {name} a b"));
        Assert.True(store.Contains(Id("b")));
        Assert.Equal("Ok", parent.Call("put c 10 1"));
        Assert.Equal(2, store.Stats().Participants.Count);
    }

    [Fact]
    public void Token_that_a_forked_child_keeps_after_its_parents_death_is_reported_and_recovered_when_the_child_ends()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), new byte[1000]);
        WorkerProcess parent = StartWorker(name);
        Assert.Equal("Ok", parent.Call("hold pin a 1000"));
        int child = int.Parse(parent.Call("fork-stay"), CultureInfo.InvariantCulture);
        try
        {
            Assert.False(store.Stats().Participants.Single(p => p.ProcessId == parent.Id).TokenKept);
            parent.Kill();
            Assert.Equal(0, store.Maintain());
            ParticipantInfo participant = store.Stats().Participants.Single(p => p.ProcessId == parent.Id);
            Assert.True(participant is { Alive: true, TokenKept: true, Pins: 1 }, participant.ToString());
            VerifyReport report = store.Verify();
            Assert.Empty(report.Problems);
            string note = Assert.Single(report.Notes);
            Assert.Contains($"process {parent.Id} ", note, StringComparison.Ordinal);
            Assert.Contains($"process {child} ", note, StringComparison.Ordinal);
        }
        finally
        {
            Assert.Equal(0, Syscall.kill(child, Signum.SIGKILL));
        }
        Eventually.True(() => store.Maintain() >= 0 && store.Stats().Participants.Count == 1, "the parent's place is recovered");
        Assert.Empty(store.Verify().Notes);
    }
}
