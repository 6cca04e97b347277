using System.CommandLine;
using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Stress.Instructions;

/// <summary>Proves the tool: "planted-bugs" builds victims whose product source has a mistake in the order of its steps, and fails unless the attack finds each.</summary>
internal static class PlantedBugsCommand
{
    /// <param name="Name">Of the folder that it is built in.</param>
    /// <param name="Scenario">In which it shows.</param>
    /// <param name="Symbol">Part of the symbol at whose instructions victims die.</param>
    /// <param name="Edits">Texts that occur exactly once in a file, and what they become.</param>
    private sealed record Plant(string Name, string Scenario, string Symbol, params (string File, string Old, string New)[] Edits);

    private const string Announcement = "Volatile.Write(ref announcement->Word, new SlotWord(SlotKind.Own, generation, entryIndex).Value);";
    private const string BlockFree = "long freed = _memory.Chunks.Contains(place)";
    private const string EntryFree = "Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Free).Value & ~(StateWord.ParticipantMask | StateWord.MovableFlag | 0xFUL), state.Value);";

    private static readonly Plant[] s_plants =
    [
        // Who dies between the two leaves an entry that nobody's slots name.
        new("announced-too-late", "seal-small", "TryOwnEntry",
            ("Store/PlasmaStore.Create.cs", Announcement, ""),
            ("Store/PlasmaStore.Create.cs", """FailPoint.Pass("entry-taken");""", $"""FailPoint.Pass("entry-taken"); {Announcement}""")),

        // What the dead one was creating stays for ever.
        new("creations-not-aborted", "recover", "RecoverUnderToken", ("Store/Participants/Recovery.cs", "creations += AbortCreation(index, word) ? 1 : 0;", "creations++;")),

        // Who dies between the two leaves a block that belongs to nobody.
        new("freed-before-its-block", "delete", "Reclaimer__Free", ("Store/Reclaim/Reclaimer.cs", BlockFree, $"{EntryFree} {BlockFree}")),
    ];

    internal static Command Make()
    {
        var prefix = new Option<string>("--prefix") { Description = "Of the names of its stores.", DefaultValueFactory = static _ => $"stress{Environment.ProcessId}-" };
        var only = new Option<string[]>("--only") { Description = "Only these; all when left out.", AllowMultipleArgumentsPerToken = true };
        var command = new Command("planted-bugs", "Builds victims with known mistakes; fails unless the attack finds each of them.") { prefix, only };
        command.SetAction(parse =>
        {
            int missed = 0;
            string[] names = parse.GetValue(only) ?? [];
            Plant[] plants = [.. s_plants.Where(p => names.Length == 0 || names.Contains(p.Name))];
            foreach (Plant plant in plants)
            {
                var code = new VictimCode(Build(plant));
                AttackResult result = new Attack(code, Plan.Of(plant.Scenario), parse.GetValue(prefix)!, Math.Max(1, Environment.ProcessorCount)) { Symbol = plant.Symbol, FailuresMax = 5 }.Run(sample: 0, seed: 1, static _ => { });
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{plant.Name}: {(result.Failures.Count > 0 ? "found" : "NOT FOUND")}, addresses {result.Reached.Count}, kills {result.Kills}, failures {result.Failures.Count}"));
                if (result.Failures.Count > 0)
                    Console.WriteLine($"    first: {result.Failures[0]}");
                else
                    missed++;
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"planted {plants.Length}, not found {missed}"));
            return missed == 0 ? 0 : 1;
        });
        return command;
    }

    /// <summary>Copies the product's sources, makes the mistake, and publishes the victim from them. Returns the executable.</summary>
    private static string Build(Plant plant)
    {
        string folder = Path.Combine(Places.Artifacts, "planted", plant.Name), source = Path.Combine(folder, "src");
        if (Directory.Exists(source))
            Directory.Delete(source, recursive: true);
        foreach (string part in (string[])["Native", "Allocator", "Store"])
            foreach (string file in Directory.EnumerateFiles(Path.Combine(Places.Root, "src", part), "*.cs", SearchOption.AllDirectories))
            {
                string copy = Path.Combine(source, Path.GetRelativePath(Path.Combine(Places.Root, "src"), file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }
        foreach ((string file, string old, string changed) in plant.Edits)
        {
            string path = Path.Combine(source, file), text = File.ReadAllText(path);
            if (text.Split(old).Length != 2)
                throw new InvalidDataException($"'{old}' occurs {text.Split(old).Length - 1} times in {file}; the planted bug '{plant.Name}' needs it exactly once.");
            File.WriteAllText(path, text.Replace(old, changed, StringComparison.Ordinal));
        }
        string project = Path.Combine(Places.Root, "tests", "FastPlasma.Victim.FailPoints");
        var start = new ProcessStartInfo(
            "dotnet", ["publish", project, "-c", "Release", "--nologo", "-v", "quiet", "-p:PublishAot=true", "-p:StripSymbols=false", $"-p:ProductSource={source}", $"-p:ArtifactsPath={folder}"])
        {
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("dotnet did not start.");
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"The victim with the planted bug '{plant.Name}' does not build: {output}");
        return Path.Combine(folder, "publish", "FastPlasma.Victim.FailPoints", "release", "FastPlasma.Victim.FailPoints");
    }
}
