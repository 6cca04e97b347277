namespace FastPlasma.Tests.Linearizability;

/// <summary>Control of the checker: histories that no store may have are refused, histories that look odd and have an order are not.</summary>
public sealed class CheckerTests
{
    private readonly List<HistoryCall> _calls = [];

    [Fact]
    public void A_get_after_the_delete_has_no_explanation()
    {
        ulong a = Put(0, 10, process: 0);
        Call(CallKind.Delete, 20, 30, process: 1);
        Call(CallKind.Get, 40, 50, process: 2, name: a);
        Refused(CallKind.Get);
    }

    [Fact]
    public void A_get_that_overlaps_the_delete_may_answer_either()
    {
        ulong a = Put(0, 10, process: 0);
        Call(CallKind.Delete, 20, 30, process: 1);
        Call(CallKind.Get, 25, 50, process: 2, name: a);
        Call(CallKind.Get, 25, 50, process: 3, status: PlasmaStatus.NotFound);
        Accepted();
    }

    [Fact]
    public void Two_gets_one_after_the_other_do_not_see_an_overlapping_delete_undone()
    {
        ulong a = Put(0, 10, process: 0);
        Call(CallKind.Delete, 20, 90, process: 1);
        Call(CallKind.Get, 30, 40, process: 2, status: PlasmaStatus.NotFound);
        Call(CallKind.Get, 50, 60, process: 3, name: a);
        Refused(CallKind.Get);
    }

    [Fact]
    public void Of_two_creates_of_one_id_one_succeeds()
    {
        Create(0, 10, process: 0);
        Create(5, 15, process: 1);
        Refused(CallKind.Create);
    }

    [Fact]
    public void Two_creates_succeed_with_an_abort_between_them()
    {
        Create(0, 10, process: 0);
        Call(CallKind.Abort, 1, 12, process: 0, thread: 1);
        Create(5, 15, process: 1);
        Accepted();
    }

    [Fact]
    public void Nobody_aborts_what_another_process_creates()
    {
        Create(0, 10, process: 0);
        Call(CallKind.Abort, 20, 30, process: 1);
        Refused(CallKind.Abort);
    }

    [Fact]
    public void A_get_reads_the_incarnation_that_is_there()
    {
        ulong a = Put(0, 10, process: 0);
        Call(CallKind.Delete, 20, 30, process: 0);
        Put(40, 50, process: 0);
        Call(CallKind.Get, 60, 70, process: 1, name: a);
        Refused(CallKind.Get);
    }

    [Fact]
    public void Torn_bytes_are_nobodys()
    {
        Put(0, 10, process: 0);
        Call(CallKind.Get, 5, 20, process: 1, name: RecordedCall.TornContent);
        Refused(CallKind.Get);
    }

    [Fact]
    public void A_sealed_object_is_there()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Seal, 20, 30, process: 0, name: a);
        Call(CallKind.Contains, 40, 50, process: 1, status: PlasmaStatus.NotFound);
        Refused(CallKind.Contains);
    }

    [Fact]
    public void Nothing_is_there_before_the_seal()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Get, 20, 30, process: 1, name: a);
        Call(CallKind.Seal, 40, 50, process: 0, name: a);
        Refused(CallKind.Get);
    }

    [Fact]
    public void One_of_two_deletes_succeeds()
    {
        Put(0, 10, process: 0);
        Call(CallKind.Delete, 20, 30, process: 0);
        Call(CallKind.Delete, 20, 30, process: 1);
        Refused(CallKind.Delete);
    }

    [Fact]
    public void A_free_id_does_not_exist()
    {
        Put(0, 10, process: 0);
        Call(CallKind.Delete, 20, 30, process: 0);
        Call(CallKind.Create, 40, 50, process: 1, name: 1, status: PlasmaStatus.Exists);
        Refused(CallKind.Create);
    }

    /// <summary>The abort has taken the creation in hand, so the seal comes too late; the id is free only when the abort is through.</summary>
    [Fact]
    public void A_seal_may_say_closed_before_an_abort_has_freed_the_id()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Abort, 20, 90, process: 0, thread: 1);
        Call(CallKind.Seal, 30, 40, process: 0, name: a, status: PlasmaStatus.Closed);
        Call(CallKind.Create, 50, 60, process: 1, name: 1, status: PlasmaStatus.Exists);
        Create(70, 80, process: 2);
        Accepted();
        Call(CallKind.Create, 82, 85, process: 1, name: 2, status: PlasmaStatus.Ok);
        Refused(CallKind.Create);
    }

    [Fact]
    public void A_seal_does_not_say_closed_while_its_writer_is_open()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Seal, 20, 30, process: 0, name: a, status: PlasmaStatus.Closed);
        Refused(CallKind.Seal);
    }

    [Fact]
    public void An_abort_that_lost_to_a_seal_may_say_so_before_the_object_is_there()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Seal, 20, 90, process: 0, name: a);
        Call(CallKind.Abort, 30, 40, process: 0, thread: 1, status: PlasmaStatus.AlreadySealed);
        Call(CallKind.Get, 50, 60, process: 1, status: PlasmaStatus.NotFound);
        Accepted();
    }

    [Fact]
    public void What_a_killed_process_was_doing_may_have_happened_or_not()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Seal, 20, 100, process: 0, name: a, pending: true);
        _calls.Add(HistoryCall.Recovery(0, 90));
        List<HistoryCall> killed = [.. _calls];
        Call(CallKind.Get, 110, 120, process: 1, name: a);
        Accepted();
        _calls.Clear();
        _calls.AddRange(killed);
        Call(CallKind.Delete, 110, 120, process: 1, status: PlasmaStatus.NotSealed);
        Create(130, 140, process: 1);
        Accepted();
        Call(CallKind.Get, 150, 160, process: 2, name: a);
        Refused(CallKind.Get);
    }

    [Fact]
    public void Nothing_of_a_killed_process_happens_after_its_death()
    {
        ulong a = Create(0, 10, process: 0);
        Call(CallKind.Seal, 20, 100, process: 0, name: a, pending: true);
        Call(CallKind.Get, 110, 120, process: 1, status: PlasmaStatus.NotFound);
        Call(CallKind.Get, 130, 140, process: 1, name: a);
        Refused(CallKind.Get);
    }

    [Fact]
    public void A_creation_of_a_living_process_does_not_vanish()
    {
        Create(0, 10, process: 0);
        _calls.Add(HistoryCall.Recovery(1, 20));
        Create(30, 40, process: 2);
        Refused(CallKind.Create);
    }

    [Fact]
    public void A_failing_history_is_reduced_to_what_matters()
    {
        for (int i = 0; i < 50; i++) // Blocks of calls that have an order.
        {
            ulong earlier = Put(i * 100, i * 100 + 50, process: 0);
            Call(CallKind.Get, i * 100 + 20, i * 100 + 80, process: 1, name: earlier);
            Call(CallKind.Delete, i * 100 + 85, i * 100 + 90, process: 2);
        }
        ulong a = Put(6000, 6010, process: 0);
        Call(CallKind.Contains, 6005, 6050, process: 4);
        Call(CallKind.Get, 6006, 6020, process: 1, name: a);
        Call(CallKind.Delete, 6020, 6030, process: 2);
        Call(CallKind.Get, 6040, 6050, process: 3, name: a);
        LinearizabilityChecker.Failure failure = LinearizabilityChecker.Check(_calls)!;
        (List<HistoryCall> shortest, _) = LinearizabilityChecker.Shrink(_calls, failure);
        Assert.Equal([CallKind.Put, CallKind.Delete, CallKind.Get], shortest.Select(static c => c.Kind));
        Assert.Contains("P3.0#155 Get -> the bytes of P0.0#151", LinearizabilityChecker.Explain(_calls, failure), StringComparison.Ordinal);
    }

    private void Accepted() => Assert.Null(LinearizabilityChecker.Check(_calls));

    private void Refused(CallKind kind) => Assert.Equal(kind, LinearizabilityChecker.Check(_calls)?.Call.Kind);

    private ulong Put(long invoked, long returned, int process) => Call(CallKind.Put, invoked, returned, process, name: NextName(process));

    private ulong Create(long invoked, long returned, int process) => Call(CallKind.Create, invoked, returned, process, name: NextName(process));

    private ulong NextName(int process) => RecordedCall.NameOf(process, 0, 0, _calls.Count + 1);

    private ulong Call(CallKind kind, long invoked, long returned, int process, ulong name = 0, PlasmaStatus status = PlasmaStatus.Ok, int thread = 0, bool pending = false)
    {
        _calls.Add(new HistoryCall(kind, process, thread, _calls.Count + 1, invoked, returned, name, status, pending));
        return name;
    }
}
