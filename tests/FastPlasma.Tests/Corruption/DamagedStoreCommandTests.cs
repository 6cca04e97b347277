namespace FastPlasma.Tests;

/// <summary>Every command that opens a store, on damaged stores: an exit code and a message, never a signal or a hang.</summary>
public sealed class DamagedStoreCommandTests(ITestOutputHelper output) : StoreTest
{
    [Theory]
    [InlineData("meta cut", 3)]
    [InlineData("pins noise", 3)]
    [InlineData("entries noise", 0)]
    [InlineData("index and chunks noise", 0)]
    public void Commands_end_with_a_code_and_a_message(string damage, int kind)
    {
        VerifyAtEnd = false;
        PlasmaStore store = Named(out string name);
        for (int i = 0; i < 20; i++)
            store.Put(Id($"{i}"), Pattern.Of(i, 5000), new ObjectOptions { Name = $"{i}", Checksum = true });
        (long buckets, long entries, long chunks) = (store.Memory.Geometry.BucketsOffset, store.Memory.Geometry.EntriesOffset, store.Memory.Geometry.AllocatorOffset);
        store.Dispose();
        string meta = $"/dev/shm/fastplasma.{name}";
        switch (damage)
        {
            case "meta cut":
                Overwrite(meta, 100, 0, cut: true);
                break;
            case "pins noise":
                Overwrite(Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}.*.pins.w").Single(), 0, 20_000);
                break;
            case "entries noise":
                Overwrite(meta, entries, 128 * 1024);
                break;
            default:
                Overwrite(meta, buckets, (int)(entries - buckets));
                Overwrite(meta, chunks, 8192);
                break;
        }
        string[][] commands =
        [
            ["ls", "--store", name], ["stat", "--store", name], ["get", "--store", name, "1"], ["put", "--store", name, "/etc/passwd"], ["rm", "--store", name, "2"],
            ["verify", "--store", name], ["wait", "--store", name, "--timeout", "10ms", "3"], ["evict", "--store", name, "1M"], ["stores"], ["destroy", "--store", name, "--yes"],
        ];
        foreach (string[] command in commands)
        {
            (int code, string text, string error) = CliProcess.Run(null, command);
            output.WriteLine($"{command[0]}: {code} {error.ReplaceLineEndings(" ")}");
            Assert.InRange(code, 0, 127); // Above are deaths by a signal.
            Assert.DoesNotContain("   at ", error, StringComparison.Ordinal); // A stack is no message.
            Assert.DoesNotContain("Unhandled", error, StringComparison.Ordinal);
            if (kind == 3 && command[0] is not ("stores" or "destroy"))
            {
                Assert.NotEqual(0, code);
                Assert.Contains(name, error, StringComparison.Ordinal);
            }
            Assert.True(code == 0 || error.Length + text.Length > 0, $"{command[0]} ended with {code} and without a word");
        }
    }

    private static void Overwrite(string path, long offset, int bytes, bool cut = false)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        if (cut)
            file.SetLength(offset);
        file.Position = offset;
        file.Write(Pattern.Of(bytes, bytes));
    }
}
