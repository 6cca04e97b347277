using System.Diagnostics;
using FastPlasma.Transfer;

namespace FastPlasma.Cli.Commands;

/// <summary>What pull and push have in common.</summary>
internal static class MoveReport
{
    internal static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    /// <summary>Moves the objects under a progress bar, and tells of each that did not come.</summary>
    /// <returns>The exit code.</returns>
    internal static int Run(Call call, string label, ObjectKey[] keys, Func<ObjectId[], IProgress<double>, Task<PullReport>> move)
    {
        ObjectId[] ids = [.. keys.Select(static key => key.Id).Distinct()];
        long began = Stopwatch.GetTimestamp();
        PullReport report = LongWork.Run(call, label, progress => move(ids, progress).GetAwaiter().GetResult());
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        Dictionary<ObjectId, PullFailure> failures = report.Failures.DistinctBy(static failure => failure.Id).ToDictionary(static failure => failure.Id);
        int exitCode = ExitCodes.Ok;
        var objects = new List<MovedObjectJson>();
        foreach (ObjectKey key in keys.DistinctBy(static key => key.Id))
        {
            failures.TryGetValue(key.Id, out PullFailure? failure);
            objects.Add(new MovedObjectJson(key.Id, key.Text, failure?.Status ?? PlasmaStatus.Ok, failure?.Reason));
            if (failure is null)
                continue;
            int code = call.Report(CliException.Of(failure.Status, $"object {key} did not come: {failure.Status}, {failure.Reason}"));
            exitCode = exitCode == ExitCodes.Ok ? code : exitCode;
        }
        if (call.Json)
            call.WriteJson(new MovedJson(report.Here, ids.Length - report.Here, seconds, [.. objects]), CliJson.Documents.MovedJson);
        else
            call.WriteLine($"{label}: {Sizes.Count(report.Here)} of {Sizes.Count(ids.Length)} objects in {Sizes.Duration(TimeSpan.FromSeconds(seconds))}");
        return exitCode;
    }
}
