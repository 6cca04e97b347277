using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma.Stress.Fuzz;

/// <summary>Makes cases: new ones that write interesting values to interesting words, and variations of known ones.</summary>
internal sealed class FuzzGenerator(Random random, IReadOnlyList<FuzzCase> corpus)
{
    private static readonly string[] FileKinds = ["meta", "data", "pins", "lock"];
    private static readonly string[] Replacements = ["fifo", "directory", "device", "symlink", "hardlink", "empty", "foreign", "other"];

    internal FuzzCase Next()
    {
        if (corpus.Count > 0 && random.Next(4) == 0)
            return Vary(corpus[random.Next(corpus.Count)]);
        var phase = (FuzzPhase)random.Next(3);
        int count = phase == FuzzPhase.Race ? random.Next(2, 12) : random.Next(3) == 0 ? random.Next(2, 6) : 1;
        var mutations = new List<FuzzMutation>();
        for (int i = 0; i < count; i++)
            mutations.Add(phase == FuzzPhase.Rest && random.Next(4) == 0 ? OnFile() : InFile());
        if (phase == FuzzPhase.Rest && mutations.Exists(static m => m.Target.StartsWith("header.", StringComparison.Ordinal)) && random.Next(3) > 0)
            mutations.Add(new FuzzMutation("meta", "sign", "0"));
        return new FuzzCase(phase, mutations);
    }

    /// <summary>A known case with one mutation more, changed or less, or in another phase.</summary>
    private FuzzCase Vary(FuzzCase known)
    {
        List<FuzzMutation> mutations = [.. known.Mutations];
        bool onFiles = mutations.Exists(static m => m.Kind is not ("set" or "add" or "xor" or "noise" or "zero"));
        int which = random.Next(mutations.Count);
        switch (random.Next(4))
        {
            case 0:
                mutations.Insert(which, InFile());
                break;
            case 1 when mutations[which].Kind is "set" or "add" or "xor":
                mutations[which] = mutations[which] with { Kind = "set", Value = Hex(InterestingValue(8)) };
                break;
            case 2 when mutations.Count > 1:
                mutations.RemoveAt(which);
                break;
            default:
                mutations.Add(InFile());
                break;
        }
        return new FuzzCase(onFiles ? FuzzPhase.Rest : (FuzzPhase)random.Next(3), mutations);
    }

    private FuzzMutation OnFile()
    {
        string file = FileKinds[random.Next(FileKinds.Length)];
        return random.Next(7) switch
        {
            0 => new FuzzMutation(file, "size", $"{random.Next(3) switch { 0 => random.Next(3) * 4096, 1 => random.Next(1 << 14), _ => random.Next(1 << 22) }}"),
            1 => new FuzzMutation(file, "append", $"{random.Next(1, 10_000)}"),
            2 => new FuzzMutation(file, "replace", Replacements[random.Next(Replacements.Length)]),
            3 => new FuzzMutation(file, "mode", $"{random.Next(3) switch { 0 => 0, 1 => 0x1B6, _ => 0x100 }}"),
            4 => new FuzzMutation(file, "owner", $"{random.Next(1, 3) * 32767}"),
            5 => new FuzzMutation(file, "remove", "0"),
            _ => new FuzzMutation($"{file}+{random.Next(16) * 4096}", random.Next(2) == 0 ? "zero" : "noise", random.Next(2) == 0 ? "4096" : $"{random.Next(1, 4096)}:{random.Next(1000)}"),
        };
    }

    private FuzzMutation InFile()
    {
        if (random.Next(12) == 0)
            return new FuzzMutation($"{(random.Next(2) == 0 ? "meta" : "pins")}+{random.Next(40) * 4096 + random.Next(512) * 8}", random.Next(4) == 0 ? "zero" : "noise", $"{8 << random.Next(8)}:{random.Next(1000)}");
        (string target, int bytes) = Field();
        return random.Next(4) switch
        {
            0 => new FuzzMutation(target, "xor", Hex(1UL << random.Next(bytes * 8))),
            1 => new FuzzMutation(target, "add", random.Next(2) == 0 ? "1" : "-1"),
            _ => new FuzzMutation(target, "set", Hex(InterestingValue(bytes))),
        };
    }

    private (string Target, int Bytes) Field()
    {
        // Numbers lean towards the objects, chunks and slots that the victim's store really has.
        switch (random.Next(20))
        {
            case 0:
                return Of("header.", random.Next(3) == 0 ? FuzzFields.SignedHeader : FuzzFields.OpenHeader);
            case 1:
                return Of($"domain:{random.Next(3)}.", FuzzFields.Domain);
            case 2:
                return ($"wait:{(random.Next(2) == 0 ? WaitWord.SpaceIndex + random.Next(3) : random.Next(WaitWord.Count))}", 8);
            case 3:
                return random.Next(4) switch
                {
                    0 => ("ring", 8),
                    1 => ($"hand:{random.Next(2) * 127}", 8),
                    2 => Of($"waiter:{random.Next(3)}.", FuzzFields.Waiter),
                    _ => ($"candidate:{random.Next(16)}", 8), // Of the candidates, or behind them of the visited.
                };
            case 4:
                return Of($"event:{random.Next(40)}.", FuzzFields.Event);
            case 5:
                return ($"stash:{random.Next(4)}", 8);
            case 6:
                return ($"bucket:{random.Next(256)}", 8);
            case 7 or 8 or 9 or 10:
                return Of($"entry:{random.Next(FuzzStore.ObjectCount + 6)}.", FuzzFields.Entry);
            case 11:
                return Of("allocator.", FuzzFields.Allocator);
            case 12 or 13:
                return Of($"chunk:{random.Next(FuzzStore.ChunkCount)}.", FuzzFields.Chunk);
            case 14:
                return ($"word:{random.Next(FuzzStore.ChunkCount)}:{random.Next(8)}", 8);
            case 15:
                return Of("pins.", FuzzFields.Pins);
            case 16:
                return random.Next(4) == 0
                    ? Of($"request:{random.Next(3)}:{random.Next(4)}.", FuzzFields.Request)
                    : Of($"participant:{random.Next(3)}.", FuzzFields.Participant);
            case 17:
                return ($"{(random.Next(2) == 0 ? "hint" : "condemned")}:{random.Next(3)}:{random.Next(32)}", 8);
            default:
                return Of($"slot:{random.Next(3)}:{random.Next(2)}:{random.Next(8)}.", FuzzFields.Slot);
        }
    }

    private (string Target, int Bytes) Of(string prefix, (string Name, int Offset, int Bytes)[] fields)
    {
        (string name, _, int bytes) = fields[random.Next(fields.Length)];
        return (prefix + name, bytes);
    }

    /// <summary>Borders of every kind of number, and well-formed words that name something else.</summary>
    private ulong InterestingValue(int bytes)
    {
        uint entry = (uint)random.Next(FuzzStore.ObjectCount + 4), generation = (uint)random.Next(4);
        ulong value = random.Next(16) switch
        {
            0 => 0,
            1 => 1,
            2 => ulong.MaxValue,
            3 => ulong.MaxValue >> 1,
            4 => 1UL << 63,
            5 => 1UL << random.Next(64),
            6 => (1UL << random.Next(64)) - 1,
            7 => FuzzStore.CapacityBytes - (ulong)random.Next(3),
            8 => FuzzStore.ObjectCountMax + (ulong)random.Next(3) - 1,
            9 => new StateWord(generation, random.Next(5), (ObjectState)random.Next(16), (ulong)random.Next(16)).Value,
            10 => new IndexWord((ulong)random.NextInt64(), generation, entry).Value,
            11 => new SlotWord((SlotKind)random.Next(5), generation, random.Next(2) == 0 ? entry : (uint)random.Next()).Value,
            12 => BlockOwner.Of(generation, entry),
            13 => new ChunkWord((ChunkState)random.Next(9), random.Next(2) == 0 ? random.Next(256) : random.Next(60), random.Next(3)).Value,
            14 => BlockPlace.LargeFlag | (uint)random.Next((int)(FuzzStore.CapacityBytes / ChunkMap.GrainBytes) + 2),
            _ => (ulong)random.NextInt64(),
        };
        return bytes == 8 ? value : value & ((1UL << bytes * 8) - 1);
    }

    private static string Hex(ulong value) => $"0x{value:x}";
}
