"""How long memory stays pinned."""

import gc
import unittest

import numpy as np

from fastplasma import Closed, Store

from .support import StoreCase, run_python, run_threads


class LifetimeTests(StoreCase):
    def test_an_object_is_pinned_as_long_as_any_view_of_it_lives(self) -> None:
        self.store.put("a", np.arange(1000))
        array = self.store.get("a")
        part = array[10:20]
        buffer = memoryview(part)
        del array
        self.assertEqual(1, self.pins())
        del part
        self.assertEqual(1, self.pins())
        self.assertEqual(10, buffer[0])
        del buffer
        self.assertEqual(0, self.pins())

    def test_a_pickled_value_keeps_its_object_only_while_its_buffers_live(self) -> None:
        self.store.put("a", {"array": np.arange(1000), "text": "x"})
        value = self.store.get("a")
        text, array = value["text"], value["array"]
        del value
        self.assertEqual(1, self.pins())
        del array
        self.assertEqual(("x", 0), (text, self.pins()))

    def test_a_release_refuses_while_views_are_alive(self) -> None:
        self.store.put("a", b"hello")
        obj = self.store.pin("a")
        view = obj.data
        part = view[1:]
        view.release()
        with self.assertRaisesRegex(BufferError, "Views of object"):
            obj.release()
        self.assertEqual(b"ello", part)
        del part
        obj.release()
        obj.release()
        self.assertTrue(obj.released)
        self.assertEqual(0, self.pins())
        for call in (lambda: obj.data, lambda: obj.metadata, lambda: obj.address, lambda: obj.details, obj.verify):
            with self.assertRaises(Closed):
                call()
        self.assertIn("released", repr(obj))

    def test_the_end_of_the_block_leaves_the_bytes_to_the_views(self) -> None:
        self.store.put("a", b"hello")
        with self.store.pin("a") as obj:
            view = obj.data
        with self.assertRaises(Closed):
            obj.data
        self.assertEqual((b"hello", 1), (view, self.pins()))
        del view
        self.assertEqual(0, self.pins())
        with self.store.pin("a") as obj:
            self.assertEqual(b"hello", obj.data)
        self.assertEqual(0, self.pins())

    def test_a_view_outlives_the_store(self) -> None:
        store = Store.open(self.name)
        store.put("a", np.arange(10_000))
        array, obj = store.get("a"), store.pin("a")
        store.close()
        del store
        gc.collect()
        self.store.delete("a")
        for i in range(100):
            self.store.put(i, bytes(80_000))
        np.testing.assert_array_equal(np.arange(10_000), array)
        np.testing.assert_array_equal(np.arange(10_000), np.frombuffer(obj.data, "i8"))
        self.assertEqual(2, len(self.store.participants()))
        del array, obj
        self.assertEqual(1, len(self.store.participants()))

    def test_a_store_that_nobody_refers_to_any_more_is_closed(self) -> None:
        store = Store.open(self.name)
        self.assertEqual(2, len(self.store.participants()))
        del store
        self.assertEqual(1, len(self.store.participants()))

    def test_views_come_and_go_in_many_threads_and_no_pin_is_left(self) -> None:
        self.store.put("a", bytes(range(256)))
        shared = self.store.pin("a")

        def read() -> None:
            for _ in range(300):
                self.assertEqual(7, self.store.get("a")[7])
                self.assertEqual(9, shared.data[9])
                try:
                    self.store.pin("a").release()
                except BufferError:
                    self.fail("A pin of its own has no views.")

        run_threads(*[read] * 8)
        shared.release()
        self.assertEqual(0, self.pins())

    def test_thousands_of_sizes_leave_nothing_behind(self) -> None:
        for size in range(3000):
            self.store.put(size, bytes(size))
            self.assertEqual(size, self.store.get(size).nbytes)
            self.store.delete(size)
        self.assertEqual((0, 0), (self.pins(), self.store.stats().condemned_count))

    def test_the_interpreter_ends_quietly_with_views_writers_and_waits_alive(self) -> None:
        done = run_python(
            """
import sys, threading, numpy as np, fastplasma
store = fastplasma.Store.open(sys.argv[1])
store.put("a", np.arange(1000)); store.put("b", b"bytes"); store.put("c", {"x": np.arange(1000)})
array, view, value, obj = store.get("a"), store.get("b"), store.get("c"), store.pin("a")
writer = store.create("w", 10); arrays = store.create_array("x", 10, "i8"); array_in_place = arrays.array
subscription = store.subscribe()
cycle = [array]; cycle.append(cycle)
class Late:
    def __init__(self): self.view = store.get("b")
    def __del__(self): self.view.tobytes()
sys.late = Late()
for wait in (lambda: store.get("never", None), lambda: store.wait(["never"]), lambda: list(subscription)):
    threading.Thread(target=wait, daemon=True).start()
print("end")
""",
            self.name,
        )
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertEqual(("end\n", []), (done.stdout, [line for line in lines if "Closed" in line or "Fatal" in line or "Segmentation" in line or "ignored" in line]))
        self.store.maintain()
        self.assertEqual((1, 0), (len(self.store.participants()), self.pins()))
        self.assertEqual(0, self.store.stats().creating_count)


if __name__ == "__main__":
    unittest.main()
