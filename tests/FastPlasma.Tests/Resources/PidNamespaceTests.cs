using System.Globalization;

namespace FastPlasma.Tests;

/// <summary>Processes of several pid namespaces, as containers have them, share a store: life and death go by the token, never by the number of a process.</summary>
public sealed class PidNamespaceTests : StoreTest
{
    // The worker is process 1 of a namespace of its own, and dies with the program that started it; with it dies the whole namespace.
    private WorkerProcess StartInNamespace(string name)
    {
        WorkerProcess worker = StartWorker(null, uid: null, ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]);
        worker.Call($"open {name}");
        return worker;
    }

    [Fact]
    public void Same_number_in_two_namespaces_is_two_processes_and_the_death_of_one_is_not_the_others()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), new byte[100_000]);
        WorkerProcess one = StartInNamespace(name), two = StartInNamespace(name);
        Assert.Equal("Ok", one.Call("hold p a 1000"));
        Assert.Equal("Ok", two.Call("hold p a 1000"));
        Assert.Equal("Ok", one.Call("create w x 100000"));
        Assert.Equal("Ok", two.Call("create w y 100000"));

        // Seen from here both are 1, a number that means something else here; the one life that counts is the token's.
        ParticipantInfo[] foreign = [.. store.Stats().Participants.Where(static p => p.OtherPidNamespace)];
        Assert.Equal([1, 1], foreign.Select(static p => p.ProcessId));
        Assert.All(foreign, static p => Assert.True(p is { Alive: true, TokenKept: false, Pins: 1, Creating: 1 }, p.ToString()));
        Assert.All(Assert.Single(store.List(), static o => o.Id == Id("a")).Holders, static h => Assert.True(h is { ProcessId: 1, OtherPidNamespace: true, Pins: 1 }, h.ToString()));
        Assert.Equal(0, store.Maintain());
        Assert.Equal("0", one.Call("maintain"));
        Assert.Equal("0", two.Call("maintain"));
        string late = Assert.Throws<TimeoutException>(() => store.Get(Id("x"), Ms(1))).Message;
        Assert.Contains("process 1 (FastPlasma.Work, number of another pid namespace, alive)", late, StringComparison.Ordinal);

        // A survivor of another namespace notices the death, takes the id, and its own pin stays.
        one.Kill();
        Eventually.True(() => two.Call("create again x 1000") == "Ok", "the dead creator's id is free");
        Eventually.True(() => two.Call("maintain") == "0" && store.Stats().Participants.Count == 2, "one is recovered");
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Assert.Equal((1, 2), (store.Stats().CondemnedCount, store.Stats().CreatingCount));
        Assert.Equal(WorkerProcess.Describe(new byte[100_000]), two.Call("read p"));
        two.Kill();
        Eventually.True(() => store.Maintain() >= 0 && store.Stats() is { Participants.Count: 1, CondemnedCount: 0, CreatingCount: 0 }, "the other is recovered too");
    }

    [Fact]
    public void Death_of_a_namespace_frees_what_all_its_processes_kept()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), new byte[1000]);
        WorkerProcess worker = StartInNamespace(name);
        Assert.Equal("Ok", worker.Call("hold p a 1000"));
        Assert.True(int.Parse(worker.Call("fork-stay"), CultureInfo.InvariantCulture) > 1); // Keeps the token; ends with the namespace.
        worker.Kill();
        Eventually.True(() => store.Maintain() >= 0 && store.Stats() is { Participants.Count: 1 }, "the participant is recovered");
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Assert.Equal(0, store.Stats().CondemnedCount);
    }

    [Fact]
    public void Message_of_a_full_store_says_that_a_number_is_of_another_namespace()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), new byte[12 << 20]);
        WorkerProcess worker = StartInNamespace(name);
        Assert.Equal("Ok", worker.Call("hold p a 1000"));
        string message = Assert.Throws<StoreFullException>(() => store.Put(Id("b"), new byte[8 << 20])).Message;
        Assert.Contains("Process 1 (FastPlasma.Work, number of another pid namespace) holds ", message, StringComparison.Ordinal);
        CliRun listed = CliRun.Of("ls", "--pins", "-s", name).Ok();
        Assert.Contains("1 (other namespace)", listed.Output, StringComparison.Ordinal);
        Assert.Contains("1 (other namespace)", CliRun.Of("stat", "-s", name).Ok().Output, StringComparison.Ordinal);
    }
}
