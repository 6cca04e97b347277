using System.CommandLine;
using System.Diagnostics;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma verify</summary>
internal static class VerifyCommand
{
    private static readonly Option<bool> NoChecksums = new("--no-checksums") { Description = "Check the structure only and do not read payloads." };

    internal static Command Create() => new StoreCommand(
        "verify", "Walk every invariant and checksum of a store. Nothing is changed: the store is opened read-only.",
        "fastplasma verify --store features")
    {
        NoChecksums,
    }.NegativeWhen("something is broken; it is listed").Runs(Run);

    private static int Run(Call call)
    {
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        long began = Stopwatch.GetTimestamp();
        VerifyReport report = LongWork.Run(call, $"verify {store.Name}", progress => store.Verify(!call.Value(NoChecksums), progress));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(began);
        bool ok = report.Problems.Count == 0;
        if (call.Json)
        {
            call.WriteJson(
                new VerifyJson(ok, report.Objects, report.ChecksumsVerified, report.PayloadBytes, elapsed.TotalSeconds, report.Problems, report.Notes), CliJson.Documents.VerifyJson);
        }
        else
        {
            foreach (string problem in report.Problems)
                call.WriteLine(TextTable.Printable(problem));
            foreach (string note in report.Notes)
                call.WriteLine($"note: {TextTable.Printable(note)}");
            call.WriteLine(
                $"{(ok ? "ok" : $"broken: {Sizes.Count(report.Problems.Count)} problems")}: {Sizes.Count(report.Objects)} objects, {Sizes.Bytes(report.PayloadBytes)}, "
                + $"{Sizes.Count(report.ChecksumsVerified)} checksums compared, {Sizes.Duration(elapsed)}");
        }

        return ok ? ExitCodes.Ok : ExitCodes.Negative;
    }
}
