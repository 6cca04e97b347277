using System.Runtime.CompilerServices;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Participants;

namespace FastPlasma;

/// <content>Handles that left managed code as plain numbers and come back from a caller who may have lost or changed them: every number is checked before memory is touched with it.</content>
public sealed unsafe partial class PlasmaStore
{
    private const uint SlotCountMax = ParticipantBlock.ChunkCountMax * SlotTable.SlotsPerChunkStride;

    /// <summary>Whether the attachment has ended: its mappings are gone, and none of its handles is open.</summary>
    internal bool IsDetached => _detached;

    /// <summary>Number of a record, to be given back to <see cref="TryRestore(uint, uint, long, out PlasmaObject)"/> or <see cref="Release(uint, uint, long)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint NumberOf(ObjectEntry* entry) => (uint)(entry - _entries);

    /// <summary>As <see cref="Release(int, long, ObjectEntry*)"/>; false when the numbers are no handle's.</summary>
    /// <remarks>A sequence that is no held one is refused before the slot is looked at: an exchange with such a value could take what nobody has.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool Release(uint entry, uint slot, long sequence)
    {
        if (entry >= _entryCount || slot >= SlotCountMax || (sequence & SlotTable.PhaseMask) != SlotTable.Held)
            return false;
        Release((int)slot, sequence, _entries + entry);
        return true;
    }

    /// <summary>Makes the handle of an open pin from its numbers; false when they are no handle's, or it was released.</summary>
    internal bool TryRestore(uint entry, uint slot, long sequence, out PlasmaObject obj)
    {
        obj = default;
        if (!IsHeld(entry, slot, sequence))
            return false;
        long offset = _entries[entry].DataOffset, bytes = _entries[entry].PayloadBytes;
        if (!StoreMemory.IsInside(offset, bytes, _capacity))
            return false;
        PlasmaObject.Init(out obj, this, _entries + entry, _payload + offset, bytes, (int)slot, sequence);
        return true;
    }

    /// <summary>Makes an open writer from its numbers; false when they are no writer's, or it was sealed or aborted. Its place and lengths are those of the record.</summary>
    internal bool TryRestore(uint entry, uint slot, long sequence, out ObjectWriter writer)
    {
        writer = default;
        if (!IsHeld(entry, slot, sequence))
            return false;
        ObjectEntry* record = _entries + entry;
        long offset = record->DataOffset, bytes = record->PayloadBytes, tailBytes = record->TailBytes;
        if (bytes < 0 || tailBytes < 0 || bytes > _capacity || tailBytes > _capacity || !StoreMemory.IsInside(offset, ObjectEntry.BytesNeeded(bytes, tailBytes), _capacity))
            return false;
        writer = new ObjectWriter(this, record, _memory.WritablePayload + offset, bytes, tailBytes, (int)slot, sequence);
        return true;
    }

    private bool IsHeld(uint entry, uint slot, long sequence) =>
        entry < _entryCount && slot < SlotCountMax && (sequence & SlotTable.PhaseMask) == SlotTable.Held && _slots.IsHeld((int)slot, sequence);
}
