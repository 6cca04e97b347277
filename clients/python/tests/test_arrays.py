"""numpy arrays in the store."""

import json
import unittest
from typing import Any

import numpy as np
import numpy.typing as npt

from fastplasma import BadFormat, Closed, NotFound, ObjectOptions
from fastplasma import _arrays

from .support import StoreCase


class ArraysTests(StoreCase):
    def test_arrays_of_every_kind_come_back_read_only_and_in_place(self) -> None:
        record = np.zeros(3, dtype=[("a", "<i4"), ("b", "<f8", (2,)), (("a title", "c"), "S5"), ("d", [("x", "u1"), ("y", ">u2")])])
        record["b"][1] = 7
        arrays: "list[npt.NDArray[Any]]" = [
            np.arange(24, dtype="f8").reshape(2, 3, 4), np.arange(5, dtype=">i2"), np.array(3.5), np.zeros((0, 4)), np.zeros((3, 0, 2), "u1"), np.array([True, False]),
            np.array([1 + 2j, 3]), np.array(["ä", "xyz"]), np.array([b"ab", b"c"]), np.array(["2026-01-01", "NaT"], "M8[ns]"), np.array([5], "m8[s]"),
            np.arange(3, dtype="f2"), record, np.zeros(4, np.dtype([("a", "u1"), ("b", "f8")], align=True)), np.array([b"abc"], "V3"),
        ]
        for i, array in enumerate(arrays):
            with self.subTest(dtype=array.dtype, shape=array.shape):
                self.store.put(i, array)
                got = self.store.get(i)
                self.assertEqual((array.dtype, array.shape), (got.dtype, got.shape))
                self.assertEqual(array.tobytes(), got.tobytes())
                self.assertFalse(got.flags.writeable)
                obj = self.store.pin(i)
                self.assertEqual(_arrays.CONTENT_TYPE, obj.content_type)
                if array.size:
                    self.assertAddressWithin(got.ctypes.data, obj, got.nbytes)

    def test_writing_to_a_result_raises(self) -> None:
        self.store.put("a", np.arange(5))
        got = self.store.get("a")
        with self.assertRaises(ValueError):
            got[0] = 1
        with self.assertRaises(ValueError):
            got.flags.writeable = True
        with self.assertRaises(ValueError):
            got[1:].flags.writeable = True
        with self.assertRaises(ValueError):
            np.add(got, 1, out=got)

    def test_a_put_of_a_contiguous_array_copies_once_and_a_get_never(self) -> None:
        array = np.arange(100_000, dtype="f8").reshape(100, 1000)
        self.store.put("c", array)
        self.store.put("f", np.asfortranarray(array))
        for key in ("c", "f"):
            np.testing.assert_array_equal(array, self.store.get(key))
        self.assertTrue(self.store.get("f").flags.f_contiguous)
        counts = self.store.stats().process
        self.assertEqual((2 * array.nbytes, 0), (counts.put_copied_bytes, counts.get_copied_bytes))
        self.assertEqual(0, self.store.copies.gathered_bytes)

    def test_an_array_that_is_not_contiguous_is_copied_together_first(self) -> None:
        array = np.arange(100, dtype="i4")[::3]
        self.store.put("a", array)
        np.testing.assert_array_equal(array, self.store.get("a"))
        self.assertEqual(array.nbytes, self.store.copies.gathered_bytes)
        self.store.put("b", np.arange(12).reshape(3, 4)[:, ::-1])
        np.testing.assert_array_equal([[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]], self.store.get("b"))
        self.store.put("c", np.broadcast_to(np.float64(5), (3, 3)))
        np.testing.assert_array_equal(np.full((3, 3), 5.0), self.store.get("c"))

    def test_an_array_is_filled_in_place_and_sealed(self) -> None:
        with self.store.create_array("a", (3, 4), "f4") as writer:
            array = writer.array
            array[:] = 7
            self.assertNotIn("a", self.store)
            data = writer.data
        np.testing.assert_array_equal(np.full((3, 4), 7, "f4"), self.store.get("a"))
        with self.assertRaises(ValueError):
            data[0] = 1
        with self.assertRaises(ValueError):
            array[0, 0] = 1
        counts = self.store.stats().process
        self.assertEqual((1, 0, 0), (counts.creates, counts.create_bytes - 48, counts.put_copied_bytes))
        with self.store.create_array("none", 0, "f8") as empty:
            self.assertEqual((0,), empty.array.shape)
        self.assertEqual(0, self.store.get("none").size)

    def test_the_array_of_a_sealed_writer_stays_valid_when_the_object_is_deleted(self) -> None:
        with self.store.create_array("a", 1000, "i8") as writer:
            writer.array[:] = range(1000)
        array = writer.array
        del writer
        self.store.delete("a")
        for i in range(200):
            self.store.put(i, bytes(8000))
        np.testing.assert_array_equal(np.arange(1000), array)
        del array
        self.assertEqual(0, self.store.stats().condemned_count)

    def test_an_exception_aborts_the_array_and_its_memory_is_not_written_any_more(self) -> None:
        with self.assertRaises(KeyError):
            with self.store.create_array("a", 10, "i8") as writer:
                raise KeyError
        with self.assertRaises(ValueError):
            writer.array[0] = 1
        with self.assertRaises(Closed):
            writer.data
        with self.assertRaises(NotFound):
            self.store.get("a")

    def test_arrays_of_objects_are_pickles_and_never_arrays(self) -> None:
        array = np.array([{"a": 1}, None], dtype=object)
        self.store.put("a", array)
        self.assertEqual([{"a": 1}, None], self.store.get("a").tolist())
        with self.assertRaises(TypeError):
            self.store.put_array("b", array)
        with self.assertRaises(TypeError):
            self.store.create_array("b", 3, object)
        with self.assertRaises(TypeError):
            self.store.get_array("a")

    def test_a_subclass_of_arrays_keeps_its_class(self) -> None:
        masked = np.ma.masked_array([1, 2, 3], mask=[0, 1, 0])  # type: ignore[no-untyped-call]
        self.store.put("masked", masked)
        self.assertEqual([1, None, 3], self.store.get("masked").tolist())
        self.store.put_array("list", [[1, 2], [3, 4]])
        self.assertEqual([[1, 2], [3, 4]], self.store.get_array("list").tolist())

    def test_metadata_that_does_not_fit_the_payload_is_refused(self) -> None:
        good = {"descr": "<f8", "shape": [2], "order": "C"}
        bad: "list[Any]" = [
            {**good, "shape": [3]}, {**good, "shape": [1]}, {**good, "shape": [-2]}, {**good, "shape": [1 << 62, 4]}, {**good, "shape": "2"}, {**good, "shape": [2.0]}, {**good, "descr": "|O"},
            {**good, "descr": "nonsense"}, {**good, "descr": 5}, {**good, "descr": [["a", "|O"]]}, {**good, "order": "X"}, {"shape": [2]}, [], "text", None,
        ]
        for i, metadata in enumerate([json.dumps(m).encode() for m in bad] + [b"", b"\xff\xfe", b"{"]):
            with self.subTest(metadata=metadata):
                self.store.put_bytes(i, bytes(16), ObjectOptions(metadata=metadata, content_type=_arrays.CONTENT_TYPE))
                with self.assertRaises(BadFormat):
                    self.store.get(i)

    def test_an_array_has_no_metadata_or_media_type_of_the_caller(self) -> None:
        with self.assertRaises(ValueError):
            self.store.put("a", np.arange(3), ObjectOptions(metadata=b"mine"))
        with self.assertRaises(ValueError):
            self.store.put("a", np.arange(3), ObjectOptions(content_type="text/plain"))
        self.store.put("a", np.arange(3), ObjectOptions(name="shown", checksum=True))
        with self.store.pin("a") as obj:
            self.assertEqual(("shown", True), (obj.name, obj.verify()))

    def test_the_size_of_an_array_does_not_overflow(self) -> None:
        self.assertEqual(8 << 60, _arrays.size_of(np.dtype("f8"), (1 << 30, 1 << 30)))
        for shape in ((1 << 30, 1 << 30), (1 << 62,)):
            with self.assertRaises(Exception) as caught:
                self.store.create_array("a", shape, "u1")
            self.assertRegex(type(caught.exception).__name__, "TooLarge|InvalidArgument")


if __name__ == "__main__":
    unittest.main()
