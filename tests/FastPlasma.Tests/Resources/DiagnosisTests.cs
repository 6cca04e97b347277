using System.Text.Json;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>Who waits in vain is told what for, and who keeps what since when.</summary>
public sealed class DiagnosisTests : StoreTest
{
    private const int MiB = 1 << 20;

    // The kernel keeps 15 characters.
    private const string Comm = "FastPlasma.Work";

    [Fact]
    public void Full_store_says_who_reads_what_was_deleted_and_since_when()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("read"), new byte[4 * MiB]);
        store.Put(Id("deleted"), new byte[6 * MiB]);
        WorkerProcess worker = StartWorker(name);
        foreach (string id in (string[])["read", "deleted"])
            Assert.Equal("Ok", worker.Call($"hold {id} {id} 1000"));
        store.Delete(Id("deleted"));
        StoreFullException e = Assert.Throws<StoreFullException>(() => store.Put(Id("b"), new byte[8 * MiB], new ObjectOptions { Timeout = Ms(20) }));
        Assert.Contains($"no room for {8 * MiB} bytes (waited 00:00:00.0200000): {10 * MiB} of {16 * MiB} bytes are used, {10 * MiB} pinned by readers, {4 * MiB} in objects that may not be dropped, {6 * MiB} deleted but still read, 0 being written; the largest free run is {6 * MiB}.", e.Message, StringComparison.Ordinal);
        Assert.Contains($" Process {worker.Id} ({Comm}) holds {10 * MiB} bytes in 2 pins since 20", e.Message, StringComparison.Ordinal);
        MemoryHolder holder = Assert.Single(e.Report.Holders);
        Assert.Equal((worker.Id, Comm, 2, 2, 10L * MiB, false, false), (holder.ProcessId, holder.ProcessName, holder.Objects, holder.Pins, holder.Bytes, holder.Stopped, holder.OtherPidNamespace));
        Assert.InRange(DateTimeOffset.UtcNow - holder.Since, TimeSpan.FromSeconds(-1), Eventually.Patience);
        Assert.Empty(e.Report.Creators);
    }

    [Fact]
    public void Full_store_and_late_object_name_the_stopped_process_that_is_creating()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name);
        Assert.Equal("Ok", worker.Call($"create w slow {10 * MiB}"));
        worker.Stop();
        StoreFullException e = Assert.Throws<StoreFullException>(() => store.Put(Id("b"), new byte[8 * MiB]));
        Assert.Contains($"{10 * MiB} being written", e.Message, StringComparison.Ordinal);
        Assert.Contains($" Process {worker.Id} ({Comm}, stopped) is creating 1 objects with {10 * MiB} bytes since 20", e.Message, StringComparison.Ordinal);
        Assert.True(Assert.Single(e.Report.Creators) is { Stopped: true, Objects: 1, Bytes: 10 * MiB });
        string late = Assert.Throws<TimeoutException>(() => store.Get(Id("slow"), Ms(1))).Message;
        Assert.Contains($"was not sealed within 00:00:00.0010000: it is Creating, by process {worker.Id} ({Comm}, stopped), since 20", late, StringComparison.Ordinal);
        Assert.Contains("nobody has begun to create it", Assert.Throws<TimeoutException>(() => store.Get(Id("nothing"), Ms(1))).Message, StringComparison.Ordinal);
        worker.Continue();
        Assert.Contains($"({Comm}, alive)", Assert.Throws<TimeoutException>(() => store.Get(Id("slow"), Ms(1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Store_with_room_in_pieces_says_so()
    {
        PlasmaStore store = Named(out _);
        for (int i = 0; i < 16; i++)
            store.Put(Id($"{i}"), new byte[MiB]);
        for (int i = 0; i < 16; i += 2)
            store.Delete(Id($"{i}"));
        StoreFullException e = Assert.Throws<StoreFullException>(() => store.Put(Id("b"), new byte[2 * MiB]));
        Assert.Contains($"; {8 * MiB} bytes are free, but not in one piece; the largest free run is {MiB}.", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Full_quota_is_told_from_a_full_store()
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(Small with { QuotaBytes = 4 * MiB });
        store.Put(Id("a"), new byte[3 * MiB]);
        StoreFullException e = Assert.Throws<StoreFullException>(() => store.Put(Id("b"), new byte[2 * MiB]));
        Assert.Contains($"no room for {2 * MiB} bytes: this attachment holds {3 * MiB} bytes of its quota of {4 * MiB}: ", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("not in one piece", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pins_are_listed_with_process_command_handles_and_time()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("read"), new byte[100], new ObjectOptions { Name = "read" });
        store.Put(Id("idle"), new byte[100], new ObjectOptions { Name = "idle" });
        WorkerProcess worker = StartWorker(name);
        Assert.Equal("Ok", worker.Call("hold one read 1000"));
        Assert.Equal("Ok", worker.Call("hold two read 1000"));
        store.Delete(Id("read"));
        CliRun run = CliRun.Of("ls", "--pins", "-s", name).Ok();
        Assert.Equal(2, run.Lines.Length);
        Assert.Equal(["ID", "NAME", "SIZE", "STATE", "PID", "PROCESS", "PINS", "SINCE", "AGE"], run.Lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Matches($@"condemned +{worker.Id} +{Comm} +2 +20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ ", run.Lines[1]);
        JsonElement json = Assert.Single(CliRun.Of("ls", "--pins", "--json", "-s", name).Ok().Json.EnumerateArray());
        JsonElement holder = Assert.Single(json.GetProperty("holders").EnumerateArray());
        Assert.Equal((worker.Id, Comm, 2, false), (holder.GetProperty("processId").GetInt32(), holder.GetProperty("processName").GetString(), holder.GetProperty("pins").GetInt32(), holder.GetProperty("otherPidNamespace").GetBoolean()));
    }

    [Fact]
    public void Token_that_a_child_keeps_is_shown_by_stat_and_verify()
    {
        Named(out string name);
        WorkerProcess worker = StartWorker(name);
        int child = int.Parse(worker.Call("fork-stay"), System.Globalization.CultureInfo.InvariantCulture);
        try
        {
            worker.Kill();
            Assert.Contains("gone, token kept by a child", CliRun.Of("stat", "-s", name).Ok().Output, StringComparison.Ordinal);
            CliRun verified = CliRun.Of("verify", "-s", name).Ok();
            Assert.Contains("note: Participant 1 of user 0: process ", verified.Output, StringComparison.Ordinal);
            Assert.Contains($"process {child} ({Comm})", verified.Output, StringComparison.Ordinal);
            Assert.Contains($"process {child} ", CliRun.Of("verify", "--json", "-s", name).Ok().Json.GetProperty("notes")[0].GetString(), StringComparison.Ordinal);
        }
        finally
        {
            Assert.Equal(0, Syscall.kill(child, Signum.SIGKILL));
        }
    }
}
