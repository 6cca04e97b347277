namespace FastPlasma.Tests.Linearizability;

/// <summary>What one id is, between calls: the sequential specification of docs/concurrency.md, section 9.</summary>
internal enum Phase
{
    Absent, Creating, Sealed,
}

/// <summary>State of one id. <paramref name="InHand"/> is the call that has the creation in hand (<see cref="HistoryCall.Key"/>), 0 when its writer is open for anybody of its process.</summary>
internal readonly record struct IdState(Phase Phase, ulong Name, ulong InHand)
{
    internal static IdState Absent => default;

    internal bool IsOpen => Phase == Phase.Creating && InHand == 0;

    public override string ToString() => Phase switch
    {
        Phase.Absent => "absent",
        Phase.Creating => $"being created as {CallText.NameOf(Name)}{(InHand == 0 ? "" : $", in the hands of {CallText.NameOf(InHand)}")}",
        _ => $"sealed as {CallText.NameOf(Name)}",
    };
}

/// <summary>The steps of each call: at which state of the id each may happen, and what the id is afterwards.</summary>
/// <remarks>A call takes effect in one step, or in two where it first takes the creation in hand and then ends it; others may come between.</remarks>
internal static class ObjectModel
{
    internal static int StepCountOf(in HistoryCall call) => call.Kind switch
    {
        CallKind.Create or CallKind.Put or CallKind.Seal or CallKind.Abort when call.Status == PlasmaStatus.Ok || call.IsPending => 2,
        CallKind.Dispose => 2,
        _ => 1,
    };

    /// <summary>Whether a step is possible in <paramref name="state"/>. The steps of one call are asked for in order.</summary>
    internal static bool TryStep(in HistoryCall call, int step, IdState state, out IdState next)
    {
        next = state;
        ulong self = call.Key;
        bool inOwnHand = state.Phase == Phase.Creating && state.InHand == self;
        bool own = state.Phase == Phase.Creating && RecordedCall.ProcessOf(state.Name) == call.Process;
        switch (call.Kind)
        {
            case CallKind.Create or CallKind.Put when step == 0 && (call.Status == PlasmaStatus.Ok || call.IsPending):
                next = new IdState(Phase.Creating, call.Name, self);
                return state.Phase == Phase.Absent;
            case CallKind.Create when step == 1:
                next = state with { InHand = 0 };
                return inOwnHand;
            case CallKind.Put or CallKind.Seal when step == 1:
                next = new IdState(Phase.Sealed, call.Name, 0);
                return inOwnHand;
            case CallKind.Create or CallKind.Put:
                return call.Status == PlasmaStatus.Exists && state.Phase != Phase.Absent;
            case CallKind.Seal when call.Status == PlasmaStatus.Ok || call.IsPending:
                next = state with { InHand = self };
                return state.IsOpen && state.Name == call.Name;
            case CallKind.Seal:
                return call.Status == PlasmaStatus.Closed && !(state.IsOpen && state.Name == call.Name);
            case CallKind.Dispose when step == 0: // Says nothing: ends the creation if its writer is open, else does nothing.
                if (state.IsOpen && state.Name == call.Name)
                    next = state with { InHand = self };
                return true;
            case CallKind.Dispose:
                if (inOwnHand)
                    next = IdState.Absent;
                return true;
            case CallKind.Abort when call.Status == PlasmaStatus.Ok || call.IsPending:
                next = step == 0 ? state with { InHand = self } : IdState.Absent;
                return step == 0 ? own && state.InHand == 0 : inOwnHand;
            case CallKind.Abort:
                return call.Status switch
                {
                    PlasmaStatus.NotFound => state.Phase == Phase.Absent,
                    PlasmaStatus.NotOwner => state.Phase == Phase.Creating && !own,
                    PlasmaStatus.AlreadySealed => state.Phase == Phase.Sealed || (own && state.InHand != 0),
                    _ => false,
                };
            case CallKind.Get:
                return call.Status == PlasmaStatus.Ok ? state.Phase == Phase.Sealed && state.Name == call.Name : call.Status == PlasmaStatus.NotFound && state.Phase != Phase.Sealed;
            case CallKind.Contains:
                return call.Status == PlasmaStatus.Ok ? state.Phase == Phase.Sealed : call.Status == PlasmaStatus.NotFound && state.Phase != Phase.Sealed;
            case CallKind.Delete when call.Status == PlasmaStatus.Ok || call.IsPending:
                next = IdState.Absent;
                return state.Phase == Phase.Sealed;
            case CallKind.Delete:
                return call.Status switch
                {
                    PlasmaStatus.NotFound => state.Phase == Phase.Absent,
                    PlasmaStatus.NotSealed => state.Phase == Phase.Creating,
                    _ => false,
                };
            case CallKind.None: // A dead process: what it was creating goes.
                next = IdState.Absent;
                return own;
            default:
                return false;
        }
    }

    /// <summary>Whether leaving the call out of a history that has an order leaves one that has an order: it changes nothing.</summary>
    internal static bool ChangesNothing(in HistoryCall call) => !call.IsPending && call.Kind switch
    {
        CallKind.Get or CallKind.Contains => true,
        CallKind.Dispose or CallKind.None => false,
        _ => call.Status != PlasmaStatus.Ok,
    };
}
