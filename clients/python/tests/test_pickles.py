"""Any Python object in the store."""

import pickle
import struct
import unittest
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fastplasma import BadFormat, ObjectOptions, PickleRefused, Store, StoreOptions
from fastplasma import _pickling

from .support import StoreCase

ran: "list[str]" = []


@dataclass
class Point:
    x: int
    tags: "list[str]"


def spring() -> None:
    ran.append("trap")


class Trap:
    def __reduce__(self) -> Any:
        return spring, ()


class PicklesTests(StoreCase):
    def test_values_of_any_type_come_back(self) -> None:
        values: "list[Any]" = [None, 5, "größe", [1, {"a": (2, 3)}], Point(1, ["a"]), {1, 2}, 1 << 300, range(5), Exception("x"), [], [{"i": i, "name": f"n{i}"} for i in range(100)]]
        for i, value in enumerate(values):
            with self.subTest(value=repr(value)[:40]):
                self.store.put(i, value)
                got = self.store.get(i)
                self.assertEqual((type(value), repr(value)), (type(got), repr(got)))
                with self.store.pin(i) as obj:
                    self.assertEqual(_pickling.CONTENT_TYPE, obj.content_type)

    def test_a_frame_of_numbers_is_put_with_one_copy_and_got_with_none(self) -> None:
        frame = pd.DataFrame(np.random.default_rng(1).random((20_000, 8)), columns=list("abcdefgh"))
        self.store.put("frame", frame)
        got = self.store.get("frame")
        pd.testing.assert_frame_equal(frame, got)
        obj = self.store.pin("frame")
        for column in got:
            self.assertAddressWithin(got[column].to_numpy().ctypes.data, obj)
        copies, counts = self.store.copies, self.store.stats().process
        bytes_of_numbers = frame.to_numpy().nbytes
        self.assertEqual((0, 0), (counts.put_copied_bytes, counts.get_copied_bytes))
        self.assertEqual(obj.size, copies.written_bytes)
        self.assertLess(copies.written_bytes - bytes_of_numbers, 2000)
        self.assertLess(copies.pickled_bytes, 2000)
        self.assertEqual(copies.pickled_bytes, copies.unpickled_bytes)

    def test_frames_of_all_kinds_come_back(self) -> None:
        frame = pd.DataFrame({
            "i": np.arange(50), "f": np.linspace(0, 1, 50), "s": [f"text {i}" for i in range(50)], "t": pd.date_range("2026-01-01", periods=50),
            "c": pd.Categorical(["a", "b"] * 25), "b": np.arange(50) % 2 == 0, "n": pd.array([1, None] * 25, dtype="Int64"),
        }).set_index("t")
        self.store.put("frame", frame)
        pd.testing.assert_frame_equal(frame, self.store.get("frame"))
        self.store.put("series", frame["f"])
        pd.testing.assert_series_equal(frame["f"], self.store.get("series"))
        self.store.put("empty", pd.DataFrame())
        self.assertTrue(self.store.get("empty").empty)

    def test_writing_to_a_result_raises(self) -> None:
        self.store.put("frame", pd.DataFrame(np.zeros((10, 2))))
        got = self.store.get("frame")
        with self.assertRaises(ValueError):
            got.iloc[0, 0] = 1
        with self.assertRaises(ValueError):
            got.to_numpy()[0, 0] = 1
        got["new"] = 1  # The frame itself is a new object; only the bytes are shared.
        self.store.put("list", [np.arange(5), np.arange(100_000)])
        for array in self.store.get("list"):
            with self.assertRaises(ValueError):
                array[0] = 1

    def test_buffers_lie_at_multiples_of_64_and_zeros_between(self) -> None:
        arrays = [np.full(n, 7, "u1") for n in (1, 63, 64, 65, 0, 100_000)]
        with self.store.create("dirt", 200_000) as writer:
            writer.data[:] = b"\xff" * 200_000
        self.store.delete("dirt")
        self.store.put("a", arrays)
        obj = self.store.pin("a")
        stream, buffers = _pickling.parts(obj.data)
        self.assertEqual([a.nbytes for a in arrays], [b.nbytes for b in buffers])
        for array in self.store.get("a"):
            self.assertTrue(array.size == 0 or array.ctypes.data % 64 == 0)
        used = 32 + 16 * len(arrays) + stream.nbytes + sum(b.nbytes for b in buffers)
        zeros = obj.data.tobytes().count(0) - sum(part.tobytes().count(0) for part in (obj.data[: 32 + 16 * len(arrays)], stream))
        self.assertEqual(obj.size - used, zeros)

    def test_buffers_of_other_types_and_orders_come_back(self) -> None:
        grid = np.arange(12).reshape(3, 4)
        value = {"f": np.asfortranarray(grid), "t": grid.T, "step": grid[:, ::2], "same": grid, "again": grid, "buffer": pickle.PickleBuffer(b"raw")}
        self.store.put("a", value)
        got = self.store.get("a")
        for key in ("f", "t", "step", "same"):
            np.testing.assert_array_equal(value[key], got[key])
        self.assertIs(got["same"], got["again"])
        self.assertEqual(b"raw", bytes(got["buffer"]))

    def test_nothing_is_unpickled_but_by_get(self) -> None:
        self.store.put("trap", Trap())
        ran.clear()
        self.store.get_bytes("trap")
        self.store.get_buffer("trap")
        with self.assertRaises(TypeError):
            self.store.get_array("trap")
        with self.store.pin("trap") as obj:
            _pickling.parts(obj.data)
        self.store.wait(["trap"])
        self.assertEqual([], ran)
        with Store.open(self.name, StoreOptions(allow_pickle=False)) as careful:
            with self.assertRaises(PickleRefused):
                careful.get("trap")
            with self.assertRaises(PickleRefused):
                careful.get_many(["trap"])
            self.assertEqual(b"plain", careful.get(careful.put("plain", b"plain")))
        self.assertEqual([], ran)
        self.store.get("trap")
        self.assertEqual(["trap"], ran)

    def test_what_cannot_be_pickled_leaves_nothing(self) -> None:
        with self.assertRaises((pickle.PicklingError, AttributeError, TypeError)):
            self.store.put("a", lambda: 0)
        self.assertEqual([], self.store.list())

    def test_a_pickle_that_is_none_is_refused(self) -> None:
        good = bytes(self.store.get_buffer(self.store.put("good", [np.arange(10), "text"])))
        huge = (1 << 64) - 1
        bad = [b"", good[:31], b"X" + good[1:], good[:100], good[:-1]]
        for offset in (8, 16, 24, 32, 40):
            for value in (huge, huge - 63, 1 << 63, len(good)):
                damaged = bytearray(good)
                struct.pack_into("<Q", damaged, offset, value)
                bad.append(bytes(damaged))
        for i, payload in enumerate(bad):
            with self.subTest(i=i):
                self.store.put_bytes(i, payload, ObjectOptions(content_type=_pickling.CONTENT_TYPE))
                with self.assertRaises(BadFormat):
                    self.store.get(i)

    def test_options_go_with_a_pickle(self) -> None:
        self.store.put("a", {"x": 1}, ObjectOptions(metadata=b"mine", name="shown", checksum=True))
        with self.store.pin("a") as obj:
            self.assertEqual((b"mine", "shown", True), (obj.metadata, obj.name, obj.verify()))
        with self.assertRaises(ValueError):
            self.store.put("b", {"x": 1}, ObjectOptions(content_type="text/plain"))


if __name__ == "__main__":
    unittest.main()
