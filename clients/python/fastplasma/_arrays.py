"""numpy arrays as objects: the elements are the payload, dtype and shape are the metadata. numpy is imported only when one is read or made."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, Sequence, Tuple, Union

from ._errors import BadFormat

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONTENT_TYPE = "application/x-fastplasma-ndarray"


def is_storable(value: object) -> bool:
    """Whether a value is an array that is stored as one: exactly ``numpy.ndarray``, without Python objects in it, of a dtype that can be written down."""
    np = sys.modules.get("numpy")
    if np is None or type(value) is not np.ndarray:
        return False
    return _can_be_written_down(value.dtype)


def header(dtype: "np.dtype[Any]", shape: Sequence[int], order: str) -> bytes:
    """Metadata of an array: JSON with ``descr`` (as in .npy files), ``shape`` and ``order``."""
    return json.dumps({"descr": _descr_of(dtype), "shape": list(shape), "order": order}, separators=(",", ":")).encode()


def size_of(dtype: "np.dtype[Any]", shape: Sequence[int]) -> int:
    """Bytes of the elements. Python's numbers do not overflow."""
    return math.prod(shape) * dtype.itemsize


def shape_of(shape: Union[int, Sequence[int]]) -> Tuple[int, ...]:
    dims = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in dims):
        raise ValueError(f"A shape has no negative numbers: {dims}.")
    return dims


def dtype_for(dtype: "npt.DTypeLike") -> "np.dtype[Any]":
    """A dtype whose elements are bytes and not Python objects."""
    import numpy as np

    made: "np.dtype[Any]" = np.dtype(dtype)
    if made.hasobject:
        raise TypeError(f"Arrays of {made} hold Python objects; put them as pickles.")
    if not _can_be_written_down(made):
        raise TypeError(f"The dtype {made!r} cannot be written down.")
    return made


def contiguous(array: "npt.NDArray[Any]") -> "tuple[npt.NDArray[Any], str, int]":
    """The array, or a C-contiguous copy; its order, ``C`` or ``F``; and how many bytes were copied for that."""
    import numpy as np

    if array.flags.c_contiguous:
        return array, "C", 0
    if array.flags.f_contiguous:
        return array, "F", 0
    return np.ascontiguousarray(array), "C", array.nbytes


def over(data: memoryview, dtype: "np.dtype[Any]", shape: Sequence[int], order: str = "C") -> "npt.NDArray[Any]":
    """An array in place."""
    import numpy as np

    return np.ndarray(tuple(shape), dtype, buffer=data, order="F" if order == "F" else "C")


def read(metadata: bytes, data: memoryview) -> "npt.NDArray[Any]":
    """The read-only array that an object is. BadFormat if metadata and payload do not fit together."""
    try:
        parsed = json.loads(metadata)
        shape, order = parsed["shape"], parsed["order"]
        dtype = _dtype_of(parsed["descr"])
        if not all(type(n) is int and n >= 0 for n in shape) or order not in ("C", "F"):
            raise ValueError(f"shape {shape}, order {order}")
        if dtype.hasobject:
            raise ValueError(f"dtype {dtype} holds objects")
        if size_of(dtype, shape) != data.nbytes:
            raise ValueError(f"{shape} of {dtype} has {size_of(dtype, shape):,} bytes, the payload {data.nbytes:,}")
        return over(data, dtype, shape, order)
    except (ValueError, TypeError, KeyError, SyntaxError) as e:
        raise BadFormat(f"The object says that it is an array and is none: {e!r}.") from e


def _can_be_written_down(dtype: "np.dtype[Any]") -> bool:
    return not dtype.hasobject and dtype.metadata is None and _dtype_of(_descr_of(dtype)) == dtype


def _descr_of(dtype: "np.dtype[Any]") -> Any:
    from numpy.lib import format as npy

    convert: Any = npy.dtype_to_descr
    return convert(dtype)


def _dtype_of(descr: Any) -> "np.dtype[Any]":
    from numpy.lib import format as npy

    convert: Any = npy.descr_to_dtype
    made: "np.dtype[Any]" = convert(_tuples(descr))
    return made


def _tuples(descr: Any) -> Any:
    """What JSON made lists, as numpy wants it: a list of tuples (name or (title, name), descr[, shape])."""
    if isinstance(descr, str):
        return descr
    if not isinstance(descr, (list, tuple)):
        raise ValueError(f"descr {descr!r}")
    fields = []
    for field in descr:
        name, kind, *shape = field
        fields.append((tuple(name) if isinstance(name, list) else name, _tuples(kind), *(tuple(s) if isinstance(s, list) else s for s in shape)))
    return fields
