using System.Runtime.InteropServices;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Nodes;

/// <summary>One request of a reader of another user.</summary>
/// <param name="Participant">Its place in its domain.</param>
/// <param name="Index">Of the record.</param>
/// <param name="Record">What it says.</param>
/// <param name="IsWhole">Whether two looks found the same; else its writer was at it, and it is to be looked at again.</param>
internal readonly record struct ForeignRequest(int Participant, int Index, NodeRecord Record, bool IsWhole);

/// <summary>Finds requests of readers of another user: their file is read, never mapped or written, and twice, because a read may meet the writer half-way. One thread.</summary>
internal sealed class ForeignRequests
{
    private readonly byte[] _first = new byte[ParticipantBlock.RequestCount * NodeRecord.SizeBytes], _second = new byte[ParticipantBlock.RequestCount * NodeRecord.SizeBytes];
    private readonly List<ForeignRequest> _found = [];

    /// <summary>What is asked there. The list is this object's, until the next call.</summary>
    /// <param name="pins">File of the domain; null for none.</param>
    /// <param name="ofDisk">Requests to bring objects back from disk, or all others.</param>
    internal List<ForeignRequest> Read(SharedFile? pins, bool ofDisk)
    {
        _found.Clear();
        Span<byte> head = stackalloc byte[128];
        if (pins is null || pins.ReadAt(0, head) < head.Length)
            return _found; // Truncated by its own user, who has lost its requests with it.
        int high = Math.Clamp(MemoryMarshal.Read<int>(head[64..]), 0, StoreGeometry.ReaderParticipantCountMax);
        for (int k = 0; k < high; k++)
        {
            long at = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes;
            if (pins.ReadAt(at, head) < head.Length)
                break;
            if (MemoryMarshal.Read<int>(head) == 0)
                continue;
            if (pins.ReadAt(at + ParticipantBlock.RequestsOffset, _first) < _first.Length || pins.ReadAt(at + ParticipantBlock.RequestsOffset, _second) < _second.Length)
                break;
            for (int r = 0; r < ParticipantBlock.RequestCount; r++)
            {
                ReadOnlySpan<byte> bytes = _second.AsSpan(r * NodeRecord.SizeBytes, NodeRecord.SizeBytes);
                NodeRecord record = MemoryMarshal.Read<NodeRecord>(bytes);
                var word = new NodeRecordWord(record.Word);
                if (word.State == NodeRecordState.Asked && (word.Priority == (int)NodePriority.Restore) == ofDisk)
                    _found.Add(new ForeignRequest(k, r, record, _first.AsSpan(r * NodeRecord.SizeBytes, NodeRecord.SizeBytes).SequenceEqual(bytes)));
            }
        }
        return _found;
    }
}
