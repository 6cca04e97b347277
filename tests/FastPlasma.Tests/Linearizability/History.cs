using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace FastPlasma.Tests.Linearizability;

/// <summary>A call of a history of one id.</summary>
/// <param name="Kind">What was asked; <see cref="CallKind.None"/> stands for the recovery of a dead process.</param>
/// <param name="Process">Who asked.</param>
/// <param name="Thread">On which thread.</param>
/// <param name="Number">As how manieth.</param>
/// <param name="Invoked">Not later than its first effect.</param>
/// <param name="Returned">Not earlier than its last; of a pending call, when its process was surely dead.</param>
/// <param name="Name">As in <see cref="RecordedCall"/>.</param>
/// <param name="Status">The answer.</param>
/// <param name="IsPending">Whether there was no answer: the process died, so each step may or may not have happened.</param>
internal readonly record struct HistoryCall(
    CallKind Kind, int Process, int Thread, int Number, long Invoked, long Returned, ulong Name, PlasmaStatus Status, bool IsPending = false)
{
    /// <summary>The call itself, in the form of a creation's name.</summary>
    internal ulong Key => RecordedCall.NameOf(Process, Thread, 0, Number);

    internal static HistoryCall Of(in RecordedCall call, long deadAt) => new(
        call.Kind, call.Process, call.Thread, call.Number, call.Invoked, call.Returned == 0 ? deadAt : call.Returned, call.Name, call.Status, call.Returned == 0);

    /// <summary>Recovery of what a process was creating when it was killed, at any time after <paramref name="killedAt"/>.</summary>
    internal static HistoryCall Recovery(int process, long killedAt) => new(CallKind.None, process, 0, 0, killedAt, long.MaxValue, 0, PlasmaStatus.Ok, IsPending: true);
}

/// <summary>Histories in words.</summary>
internal static class CallText
{
    /// <summary>A creation by the call that made it.</summary>
    internal static string NameOf(ulong name) => name == RecordedCall.TornContent
        ? "TORN BYTES"
        : string.Create(CultureInfo.InvariantCulture, $"P{RecordedCall.ProcessOf(name)}.{(name >> 40) & 0xFF}#{name & 0xFF_FFFF}");

    internal static string Describe(IReadOnlyList<HistoryCall> calls)
    {
        var text = new StringBuilder();
        long zero = calls.Count == 0 ? 0 : calls.Min(static c => c.Invoked);
        foreach (HistoryCall call in calls.OrderBy(static c => c.Invoked))
            text.AppendLine(CultureInfo.InvariantCulture, $"  {Us(call.Invoked - zero),10} {(call.Returned == long.MaxValue ? "..." : Us(call.Returned - zero)),10} us  {Describe(call)}");
        return text.ToString();
    }

    internal static string Describe(in HistoryCall call)
    {
        if (call.Kind == CallKind.None)
            return $"P{call.Process} is dead: what it was creating may vanish";
        bool named = call.Kind is CallKind.Create or CallKind.Put or CallKind.Seal or CallKind.Dispose;
        string answer = call.IsPending ? "killed in it" : call.Kind == CallKind.Get && call.Status == PlasmaStatus.Ok ? $"the bytes of {NameOf(call.Name)}" : $"{call.Status}";
        return $"P{call.Process}.{call.Thread}#{call.Number} {call.Kind}{(named ? $" {NameOf(call.Name)}" : "")} -> {answer}";
    }

    private static string Us(long ticks) => (ticks * 1e6 / Stopwatch.Frequency).ToString("0.000", CultureInfo.InvariantCulture);
}
