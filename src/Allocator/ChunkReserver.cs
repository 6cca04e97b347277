using FastPlasma.Native;

namespace FastPlasma.Allocator;

/// <summary>Backs chunks with memory and gives it back. The caller owns the chunks (Reserving or Punching) before it calls.</summary>
internal sealed class ChunkReserver : ChunkBacking
{
    /// <summary>What has to be left in the control group after a reservation: room for page tables and managed heaps of those who use it.</summary>
    internal const long HeadroomMinBytes = 16L << 20;

    private readonly SharedFile _data;
    private readonly MappedView? _writeView;
    private readonly bool _fault;
    private readonly bool _collapse;

    /// <param name="data">The data file.</param>
    /// <param name="meta">The file with the block words.</param>
    /// <param name="wordsOffset">Where they begin in it.</param>
    /// <param name="writeView">Writable mapping of the data file, for huge pages.</param>
    /// <param name="fault">Whether to reserve by faults of that mapping, which get 2 MiB pages where only faults do.</param>
    /// <param name="collapse">Whether memory that cannot be made of 2 MiB pages is none. Making them of small ones takes the kernel milliseconds, and on a busy machine a hundred times that.</param>
    internal ChunkReserver(SharedFile data, SharedFile meta, long wordsOffset, MappedView? writeView, bool fault, bool collapse)
        : base(meta, wordsOffset)
    {
        (_data, _writeView, _fault, _collapse) = (data, writeView, fault, collapse);
    }

    /// <inheritdoc/>
    internal override bool TryReserveData(long chunk, long count)
    {
        long offset = chunk * ChunkMap.ChunkBytes, bytes = count * ChunkMap.ChunkBytes;
        long headroom = CgroupMemory.HeadroomBytes();
        if (headroom != long.MaxValue && headroom - HeadroomMinBytes < bytes)
        {
            LastError = $"the memory control group has {headroom} bytes left, {bytes} are needed and {HeadroomMinBytes} stay free";
            return false;
        }

        // A fault does not say why it has no memory; the file does.
        int errno = _fault && _writeView?.TryPopulateWrite(offset, bytes) == 0 ? 0 : _data.TryReserve(offset, bytes);
        if (errno != 0)
        {
            LastError = $"reserve {bytes} bytes at {offset} of {_data.Path}: {OsException.Describe(errno)}";
            GiveBack();
            return false;
        }
        if (_collapse && _writeView is not null)
        {
            errno = _writeView.TryCollapse(offset, bytes);
            if (errno != 0)
            {
                LastError = $"2 MiB pages for {bytes} bytes at {offset} of {_data.Path}: {OsException.Describe(errno)}";
                GiveBack();
                return false;
            }
        }
        return true;

        // A part of the range may be backed, and chunks that are called Unbacked must not hold memory that others miss. They were nobody's before, so there is nothing in them.
        void GiveBack() => _ = _data.TryPunch(offset, bytes);
    }

    /// <inheritdoc/>
    internal override bool TryPunch(long chunk) => _data.TryPunch(chunk * ChunkMap.ChunkBytes, ChunkMap.ChunkBytes) == 0;
}
