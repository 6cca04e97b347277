"""Waiting in threads, and what ends a wait."""

import _thread
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from fastplasma import Cancellation, Cancelled, Closed, EventKind, ObjectId, Store, StoreOptions, Timeout

from .support import PACKAGE, PATIENCE, StoreCase, eventually, run_threads


FUTEX_CALLS = ("202", "98", "449")  # futex on x64, on arm64, and futex_waitv.


class WaitsTests(StoreCase):
    def test_a_get_waits_for_the_seal(self) -> None:
        other = Store.open(self.name)
        threading.Timer(0.05, lambda: other.put("a", b"hello")).start()
        self.assertEqual(b"hello", self.store.get("a", PATIENCE))
        threading.Timer(0.25, lambda: other.put("b", b"late")).start()
        self.assertEqual(b"late", self.store.get("b", None))
        other.close()

    def test_a_wait_says_which_of_many_are_there(self) -> None:
        keys = [f"k{i}" for i in range(100)]
        self.assertEqual([False] * 100, self.store.wait(keys, timeout=0))
        self.store.put("k3", b"")
        self.assertEqual([i == 3 for i in range(100)], self.store.wait(keys, needed=1))
        self.assertEqual(1, sum(self.store.wait(keys, needed=2, timeout=0.25)))
        threading.Timer(0.05, lambda: [self.store.put(key, b"") for key in keys if key != "k3"]).start()
        self.assertEqual([True] * 100, self.store.wait(keys, timeout=PATIENCE))
        self.assertEqual([True, True], self.store.wait(["k1", "k1"], timeout=0))
        self.assertEqual([], self.store.wait([]))

    def test_a_deadline_is_kept_however_long_the_pieces_are(self) -> None:
        for timeout in (0.01, 0.1, 0.25):
            start = time.monotonic()
            with self.assertRaises(Timeout):
                self.store.get("none", timeout)
            elapsed = time.monotonic() - start
            self.assertGreaterEqual(elapsed, timeout - 0.012)  # The store's clock has steps of some milliseconds.
            self.assertLess(elapsed, PATIENCE / 2)
            self.assertEqual([False], self.store.wait(["none"], timeout=timeout))

    def test_waits_do_not_hold_up_other_threads(self) -> None:
        stop = Cancellation()
        started = threading.Barrier(9)

        def wait() -> None:
            started.wait()
            with self.assertRaises(Cancelled):
                self.store.get("never", None, cancellation=stop)

        def work() -> None:
            started.wait()
            for i in range(2000):
                self.assertEqual(i, self.store.get(self.store.put(i, i)))
            stop.cancel()

        run_threads(*[wait] * 8, work)
        self.assertTrue(stop.cancelled)

    def test_a_cancellation_ends_every_kind_of_wait_also_those_that_begin_later(self) -> None:
        stop = Cancellation()
        threading.Timer(0.05, stop.cancel).start()
        for call in (
            lambda: self.store.get("a", None, cancellation=stop), lambda: self.store.wait(["a"], cancellation=stop), lambda: self.store.get_many(["a"], timeout=None, cancellation=stop),
            lambda: self.store.pin("a", 5, cancellation=stop, spin=0.0001),
        ):
            with self.assertRaises(Cancelled):
                call()

    def test_a_close_ends_waits_in_other_threads(self) -> None:
        store = Store.open(self.name)
        waiting = threading.Barrier(4)

        def wait(call: "object") -> None:
            waiting.wait()
            with self.assertRaises(Closed):
                call()  # type: ignore[operator]

        def close() -> None:
            waiting.wait()
            store.close()

        run_threads(lambda: wait(lambda: store.get("a", None)), lambda: wait(lambda: store.wait(["a"])), lambda: wait(lambda: store.get_many(["a"], timeout=60)), close)

    def test_many_threads_get_put_and_delete_at_once(self) -> None:
        def work(n: int) -> None:
            for i in range(300):
                key = f"{n}-{i}"
                self.store.put(key, (key, bytes(i)))
                self.assertEqual((key, bytes(i)), self.store.get(key))
                if n > 0:
                    self.store.get(f"{n - 1}-{i}", PATIENCE)

        run_threads(*[lambda n=n: work(n) for n in range(6)])
        self.assertEqual((1800, 0), (self.store.stats().sealed_count, self.pins()))

    def test_ctrl_c_ends_a_long_wait(self) -> None:
        for call in ("store.get('never', None)", "store.wait(['never'])", "store.get_many(['never'], timeout=1000)", "next(store.subscribe())"):
            with self.subTest(call=call):
                source = (
                    "import sys, fastplasma\nstore = fastplasma.Store.open(sys.argv[1])\n"
                    f"try:\n print('ready', flush=True)\n {call}\nexcept KeyboardInterrupt: print('interrupted', flush=True)\n"
                )
                child = subprocess.Popen([sys.executable, "-c", source, self.name], env=dict(os.environ, PYTHONPATH=str(PACKAGE)), stdout=subprocess.PIPE, text=True)
                try:
                    assert child.stdout is not None
                    self.assertEqual("ready\n", child.stdout.readline())
                    eventually(lambda: Path(f"/proc/{child.pid}/syscall").read_text().split()[0] in FUTEX_CALLS, "the wait has begun")
                    child.send_signal(signal.SIGINT)
                    self.assertEqual("interrupted\n", child.stdout.readline())
                    self.assertEqual(0, child.wait(PATIENCE))
                finally:
                    child.kill()
                    child.communicate()

    def test_an_interrupt_during_a_wait_of_this_process_leaves_no_pin(self) -> None:
        self.store.put("a", b"x")
        threading.Timer(0.05, _thread.interrupt_main).start()
        with self.assertRaises(KeyboardInterrupt):
            self.store.get_many(["a", "never"], timeout=None)
        self.assertEqual(0, self.pins())


    def test_interrupts_at_any_moment_leave_no_pin_and_no_half_object(self) -> None:
        class Interrupt(Exception):
            pass

        armed = False

        def interrupt(*_: object) -> None:
            nonlocal armed
            if armed:
                armed = False
                raise Interrupt

        self.store.put("a", b"hello")
        self.store.put("frame", {"array": bytearray(5000), "text": "x"})
        keys = itertools.count()

        def calls() -> None:
            self.store.get("a")
            self.store.get_many(["a", "frame", "none"])
            self.store.get("frame")
            made = ObjectId.from_int(next(keys))
            self.store.put(made, [1, 2, 3])
            with self.store.create(ObjectId.from_int(next(keys)), 100) as writer:
                writer.data[0] = 1
            with self.store.pin(made) as obj:
                obj.data
            self.store.delete(made)
            self.store.delete(writer.id)

        before, interrupted = signal.signal(signal.SIGALRM, interrupt), 0
        before_hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # An interrupt in a __del__ is ignored, and said so.
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0007)
        try:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                try:
                    armed = True
                    calls()
                except Interrupt:
                    interrupted += 1
                armed = False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            sys.unraisablehook = before_hook
        gc.collect()
        self.assertGreater(interrupted, 10)
        self.assertEqual((0, 0), (self.pins(), self.store.stats().creating_count))


class EventsTests(StoreCase):
    def test_seals_deletes_and_evictions_are_told_in_order(self) -> None:
        with self.store.subscribe() as events:
            self.store.put("a", b"hello")
            self.store.put("b", b"")
            self.store.delete("a")
            told = [events.next(PATIENCE) for _ in range(3)]
            a, b = ObjectId.from_name("a"), ObjectId.from_name("b")
            self.assertEqual([(a, EventKind.SEALED, 5), (b, EventKind.SEALED, 0), (a, EventKind.DELETED, 5)], [(e.id, e.kind, e.payload_size) for e in told])
            self.assertEqual(sorted(e.sequence for e in told), [e.sequence for e in told])
            with self.assertRaises(Timeout):
                events.next(0)
            with self.assertRaises(Timeout):
                events.next(0.25)
            self.assertEqual(0, events.lost)
        with self.assertRaises(Closed):
            events.next()
        events.close()
        self.assertIn("closed", repr(events))

    def test_iterating_ends_when_somebody_closes_the_subscription_or_the_store(self) -> None:
        store = Store.open(self.name)
        for end in (lambda events: events.close(), lambda events: store.close()):
            events = store.subscribe()
            seen: "list[ObjectId]" = []
            reader = threading.Thread(target=lambda: seen.extend(event.id for event in events), daemon=True)
            reader.start()
            made = self.store.put(ObjectId.random(), b"")
            eventually(lambda: made in seen, "the event was seen")
            end(events)
            reader.join(PATIENCE)
            self.assertFalse(reader.is_alive())

    def test_who_does_not_read_loses_the_oldest_and_is_told_how_many(self) -> None:
        with Store.create_store(self.new_name(), StoreOptions(capacity_bytes=16 << 20, event_capacity=64)) as store, store.subscribe() as events:
            for i in range(200):
                store.put(i, b"")
            first = events.next(0)
            self.assertGreater(events.lost, 0)
            self.assertNotEqual(ObjectId.from_int(0), first.id)


if __name__ == "__main__":
    unittest.main()
