using System.Diagnostics;
using System.Runtime.InteropServices;

namespace FastPlasma.Worker;

/// <summary>Allocates and frees blocks of all sizes through the store, fills each with a pattern of its own and looks for foreign bytes before it frees it.</summary>
/// <remarks>Each size is a whole block, so no byte of a block is left out. Sizes come in waves of a few classes, so that slabs are made and retired, and runs cut and merged, all the time.</remarks>
internal sealed unsafe class Scrambler(PlasmaStore store, int process)
{
    /// <summary>A cheat for controls: writes a word before its own block now and then, as an owner of a block that somebody else has too would.</summary>
    internal const string Trespasser = "trespasser";

    private const int GrainBytes = 16 << 10, ChunkBytes = 2 << 20, StepsPerWave = 200;

    private sealed record Block(ulong Name, ObjectId Id, int Length, ObjectWriter? Writer);

    private long _allocated, _full;

    /// <summary>Returns how many blocks were had and how often the store was full.</summary>
    internal string Run(int seed, int threads, int ms, bool cheat)
    {
        Exception? failure = null;
        long end = Stopwatch.GetTimestamp() + Stopwatch.Frequency * ms / 1000;
        Thread[] all = [.. Enumerable.Range(0, threads).Select(t => new Thread(() =>
        {
            try
            {
                Run(new Random(unchecked((seed * 31 + process) * 31 + t)), ((ulong)(process + 1) << 48) | ((ulong)t << 40), end, cheat);
            }
#pragma warning disable CA1031 // Thrown below.
            catch (Exception e)
#pragma warning restore CA1031
            {
                Interlocked.CompareExchange(ref failure, e, null);
            }
        }))];
        Array.ForEach(all, static t => t.Start());
        Array.ForEach(all, static t => t.Join());
        return failure is null ? $"{_allocated} {_full}" : throw failure;
    }

    private void Run(Random random, ulong name, long end, bool cheat)
    {
        var held = new List<Block>();
        int shift = 6, heldMax = 8;
        try
        {
            for (int step = 0; Stopwatch.GetTimestamp() < end; step++)
            {
                if (step % StepsPerWave == 0)
                {
                    (shift, heldMax) = (random.Next(6, 14), random.Next(4, 64));
                    if (random.Next(2) == 0)
                        store.Trim();
                }
                if (held.Count > 0 && (held.Count >= heldMax || random.Next(2) == 0))
                {
                    int pick = random.Next(held.Count);
                    Block block = held[pick];
                    held.RemoveAt(pick);
                    End(block);
                    continue;
                }
                name++;
                int length = random.Next(4) == 0 ? GrainBytes * random.Next(9, 180) : (8 + random.Next(8)) << shift;
                if (Begin(name, length, seal: random.Next(3) == 0, cheat) is { } got)
                    held.Add(got);
                else if (held.Count > 0)
                    heldMax = held.Count; // Full: free before more is wanted.
            }
        }
        finally
        {
            held.ForEach(End);
        }
    }

    private Block? Begin(ulong name, int length, bool seal, bool cheat)
    {
        var id = ObjectId.FromName($"s{name}");
        PlasmaStatus status = store.TryCreate(id, length, out ObjectWriter writer);
        if (status is PlasmaStatus.StoreFull)
        {
            Interlocked.Increment(ref _full);
            return null;
        }
        if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"create: {status}");
        Interlocked.Increment(ref _allocated);
        MemoryMarshal.Cast<byte, ulong>(writer.Span).Fill(name);
        if (cheat && (nint)writer.Pointer % ChunkBytes != 0)
            *((ulong*)writer.Pointer - 1) = name; // SAFETY: not the first block of its chunk, so this is the same chunk of the mapping.
        if (!seal)
            return new Block(name, id, length, writer);
        writer.Seal();
        return new Block(name, id, length, null);
    }

    private void End(Block block)
    {
        if (block.Writer is { } writer)
        {
            Check(block, writer.Span);
            writer.Dispose();
            return;
        }
        using (PlasmaObject obj = store.Get(block.Id, TimeSpan.Zero))
        {
            PlasmaStatus deleted = store.Delete(block.Id); // Its memory stays while it is read.
            if (deleted != PlasmaStatus.Ok)
                throw new InvalidOperationException($"delete: {deleted}");
            Check(block, obj.Span);
        }
    }

    private static void Check(Block block, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        int at = words.IndexOfAnyExcept(block.Name);
        if (at >= 0 || bytes.Length != block.Length)
            throw new InvalidOperationException($"foreign bytes in block {block.Name:x} of {block.Length} bytes: {(at < 0 ? 0 : words[at]):x} at {at * sizeof(ulong)}");
    }
}
