using System.Runtime.CompilerServices;

namespace FastPlasma.Interop;

/// <summary>Gives out numbers for objects to callers that cannot hold references, and knows a number that it no longer serves from one that it never gave.</summary>
/// <remarks><code>
/// bits   what
///  0-11  place in the table, from 1
/// 12-43  generation of the place, from 1
/// 48-55  kind of the table; such an address no process can have, so using a handle as pointer faults
/// </code>NULL is no handle. A generation comes again after four thousand million uses of one place.</remarks>
internal sealed class HandleTable<T>(byte kind, Func<T, bool> hasEnded)
    where T : class
{
    private const int PlaceBits = 12, GenerationShift = PlaceBits, KindShift = 48;
    private const int PlaceMask = (1 << PlaceBits) - 1;

    private readonly Lock _lock = new();
    private readonly Place[] _places = new Place[1 << PlaceBits];

    private struct Place
    {
        internal T? Item;
        internal nint Handle;
        internal uint Generation;
    }

    /// <summary>The object of a handle.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryFind(nint handle, out T item)
    {
        ref Place place = ref _places[(int)handle & PlaceMask];

        // First the object, then the handle: a handle never comes twice, so the object that was there before belongs to it. OBSERVE handle.
        item = Volatile.Read(ref place.Item)!;
        return Volatile.Read(ref place.Handle) == handle && item is not null;
    }

    /// <summary>What to answer for a handle that is not found.</summary>
    internal Status Missing(nint handle)
    {
        int place = (int)handle & PlaceMask;
        uint generation = (uint)(handle >> GenerationShift);
        bool given = place != 0 && generation != 0 && generation <= Volatile.Read(ref _places[place].Generation) && Compose(place, generation) == handle;
        return given ? Status.Closed : Status.InvalidArgument;
    }

    /// <summary>A new handle; 0 when all places are taken. The first place whose object has ended is used again, so that those which are kept beyond their end are few.</summary>
    internal nint Add(T item)
    {
        lock (_lock)
        {
            for (int index = 1; index <= PlaceMask; index++)
            {
                ref Place place = ref _places[index];
                if (place.Item is not null && !hasEnded(place.Item))
                    continue;
                Volatile.Write(ref place.Handle, 0);
                place.Generation = Math.Max(1, unchecked(place.Generation + 1));
                place.Item = item;

                // PUBLISH handle: after the object. OBSERVE in TryFind.
                Volatile.Write(ref place.Handle, Compose(index, place.Generation));
                return place.Handle;
            }
            return 0;
        }
    }

    /// <summary>Takes a handle out: true for one caller only.</summary>
    internal bool TryRemove(nint handle, out T item)
    {
        lock (_lock)
        {
            if (!TryFind(handle, out item))
                return false;
            ref Place place = ref _places[(int)handle & PlaceMask];
            Volatile.Write(ref place.Handle, 0);
            place.Item = null;
            return true;
        }
    }

    private nint Compose(int place, uint generation) => (nint)((ulong)kind << KindShift | (ulong)generation << GenerationShift | (uint)place);
}
