namespace FastPlasma.Counted;

/// <summary>One operation that is counted.</summary>
/// <param name="Name">As in the baseline.</param>
/// <param name="Count">N; more of what is expensive would only take longer.</param>
/// <param name="Before">Prepares so many runs; not counted.</param>
/// <param name="Run">So many runs.</param>
/// <param name="After">Cleans up after so many runs; not counted.</param>
internal sealed record Operation(string Name, int Count, Action<int> Before, Action<int> Run, Action<int> After);
