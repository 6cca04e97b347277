"""Gets and events for asyncio, and events by callback: threads of the library that call Python."""

import asyncio
import gc
import logging
import sys
import threading
import unittest
from typing import Any, Coroutine, List

from fastplasma import Closed, Event, EventKind, NoMemory, NotFound, ObjectId, Store, StoreOptions, Timeout, _async

from .support import PATIENCE, StoreCase, eventually, run_python

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]


class AsyncCase(StoreCase):
    def run_async(self, body: "Coroutine[Any, Any, Any]") -> Any:
        """Runs a coroutine in a loop of its own, with a watchdog. Nothing of it may be left in the library."""
        result = asyncio.run(asyncio.wait_for(body, PATIENCE))
        self.assert_nothing_pending()
        return result

    def assert_nothing_pending(self) -> None:
        eventually(lambda: not _async._gets, "the library has answered every get")


class GetTests(AsyncCase):
    def test_a_get_of_what_is_there_needs_no_wait(self) -> None:
        self.store.put("a", b"hello")

        async def body() -> None:
            self.assertEqual(b"hello", await self.store.get_async("a"))
            self.assertEqual({"x": 1}, await self.store.get_async(self.store.put("pickle", {"x": 1}), 0))
            with await self.store.pin_async("a", 5) as obj:
                self.assertEqual((ObjectId.from_name("a"), 5), (obj.id, obj.size))

        self.run_async(body())
        self.assertEqual(0, self.pins())

    def test_a_get_waits_for_the_seal_while_the_loop_goes_on(self) -> None:
        other = Store.open(self.name)

        async def body() -> None:
            ticks = 0
            get = asyncio.ensure_future(self.store.get_async("later"))
            for _ in range(20):
                await asyncio.sleep(0)
                ticks += 1
            self.assertFalse(get.done())
            threading.Thread(target=lambda: other.put("later", np.arange(1000))).start()
            array = await get
            self.assertEqual((499500, False, 20), (array.sum(), array.flags.writeable, ticks))
            self.assertEqual(1, self.pins())

        self.run_async(body())
        gc.collect()
        self.assertEqual(0, self.pins())
        other.close()

    def test_a_time_that_is_over_is_said_with_the_object(self) -> None:
        async def body() -> None:
            with self.assertRaises(NotFound):
                await self.store.get_async("none", 0)
            with self.assertRaises(Timeout) as caught:
                await self.store.get_async("none", 0.01)
            self.assertIn(ObjectId.from_name("none").hex, str(caught.exception))
            with self.assertRaises(ValueError):
                await self.store.get_async("none", -1)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(self.store.get_async("none"), 0.01)

        self.run_async(body())

    def test_many_gets_wait_at_once_in_one_thread(self) -> None:
        before = threading.active_count()

        async def body() -> None:
            asyncio.get_running_loop().slow_callback_duration = PATIENCE
            gets = [asyncio.ensure_future(self.store.get_async(i)) for i in range(1000)]
            await asyncio.sleep(0)
            self.assertEqual(before, threading.active_count())
            for i in range(1000):
                self.store.put(i, i)
            self.assertEqual(list(range(1000)), await asyncio.gather(*gets))

        self.run_async(body())
        self.assertEqual(0, self.pins())

    def test_a_cancelled_task_ends_the_wait_and_leaves_no_pin(self) -> None:
        async def body() -> None:
            get = asyncio.ensure_future(self.store.get_async("a"))
            await asyncio.sleep(0)
            get.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await get
            while _async._gets:  # The library has answered without the object.
                await asyncio.sleep(0.001)
            self.store.put("a", b"hello")

        self.run_async(body())
        self.assertEqual(0, self.pins())

    def test_a_task_that_is_cancelled_at_any_moment_around_the_seal_leaves_no_pin(self) -> None:
        async def body() -> None:
            for i in range(300):
                get = asyncio.ensure_future(self.store.pin_async(i))
                await asyncio.sleep(0)
                putter = threading.Thread(target=self.store.put, args=(i, b"x"))
                putter.start()
                if i % 3:
                    await asyncio.sleep(0.0001 * (i % 7))
                get.cancel()
                try:
                    (await get).release()
                except asyncio.CancelledError:
                    pass
                putter.join()
                self.store.delete(i)

        self.run_async(body())
        gc.collect()
        self.assertEqual([], self.store.list())

    def test_a_loop_that_is_closed_while_a_get_waits_leaves_no_pin(self) -> None:
        logging.disable(logging.CRITICAL)  # asyncio complains of the task that is left alone here.
        self.addCleanup(logging.disable, logging.NOTSET)
        for does_run in (False, True):  # Whether the loop was still there when the object came.
            loop = asyncio.new_event_loop()
            get = loop.create_task(self.store.get_async(f"a{does_run}"))
            loop.run_until_complete(asyncio.sleep(0))
            if does_run:
                self.store.put(f"a{does_run}", b"hello")
                self.assert_nothing_pending()  # Told to the loop, which does not run.
            loop.close()
            if not does_run:
                self.store.put(f"a{does_run}", b"hello")
            self.assert_nothing_pending()
            del get, loop
            gc.collect()
            self.assertEqual(0, self.pins())

    def test_a_task_that_nobody_refers_to_goes_on(self) -> None:
        async def body() -> None:
            got: "asyncio.Queue[Any]" = asyncio.Queue()

            async def get() -> None:
                got.put_nowait(await self.store.get_async("a"))

            asyncio.ensure_future(get())
            await asyncio.sleep(0)
            gc.collect()
            self.store.put("a", b"hello")
            self.assertEqual(b"hello", await got.get())

        self.run_async(body())

    def test_a_coroutine_that_is_closed_ends_the_wait(self) -> None:
        async def body() -> None:
            get = self.store.get_async("never")
            get.send(None)
            self.assertEqual(1, len(_async._gets))
            get.close()

        self.run_async(body())

    def test_a_close_ends_gets(self) -> None:
        store = Store.open(self.name)

        async def body() -> None:
            get = asyncio.ensure_future(store.get_async("never"))
            await asyncio.sleep(0)
            await asyncio.get_running_loop().run_in_executor(None, store.close)
            with self.assertRaises(Closed):
                await get
            with self.assertRaises(Closed):
                await store.get_async("never")

        self.run_async(body())

    def test_too_many_at_once_are_refused_and_the_others_go_on(self) -> None:
        async def body() -> None:
            asyncio.get_running_loop().slow_callback_duration = PATIENCE  # Thousands of handles take their time, which asyncio would tell.
            gets = [asyncio.ensure_future(self.store.get_async("a")) for _ in range(4200)]
            done, pending = await asyncio.wait(gets, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            self.assertTrue(all(isinstance(get.exception(), NoMemory) for get in done))
            self.assertGreaterEqual(len(pending), 4000)
            for get in pending:
                get.cancel()
            await asyncio.wait(pending)

        self.run_async(body())

    def test_an_interpreter_ends_with_gets_and_events_under_way(self) -> None:
        source = (
            "import asyncio, fastplasma, sys\n"
            "store = fastplasma.Store.open(sys.argv[1])\n"
            "loop = asyncio.new_event_loop()\n"
            "async def body():\n"
            "    global stream, calls, gets\n"
            "    stream, calls = store.events(), store.subscribe_callback(lambda event: None)\n"
            "    gets = [asyncio.ensure_future(store.get_async(f'never{i}')) for i in range(50)]\n"
            "    await asyncio.sleep(0)\n"
            "    for i in range(200): store.put(i, b'x')\n"
            "loop.run_until_complete(body())\n"
            "for get in gets: get._log_destroy_pending = False\n"
            "loop.close()\n"
            "print('ends')\n"
        )
        for _ in range(3):
            done = run_python(source, self.name)
            self.assertEqual(("ends\n", ""), (done.stdout, done.stderr))
            for i in range(200):
                self.store.delete(i)
        self.store.maintain()
        self.assertEqual(1, len(self.store.participants()))


class StreamTests(AsyncCase):
    def test_events_come_in_order_until_the_stream_is_closed(self) -> None:
        async def body() -> None:
            async with self.store.events() as events:
                self.store.put("a", b"hello")
                self.store.delete("a")
                told = [await events.next(), await events.next()]
                a = ObjectId.from_name("a")
                self.assertEqual([(a, EventKind.SEALED, 5), (a, EventKind.DELETED, 5)], [(e.id, e.kind, e.payload_size) for e in told])
                threading.Timer(0.02, lambda: self.store.put("b", b"")).start()
                self.assertEqual(ObjectId.from_name("b"), (await events.next()).id)
                self.assertEqual(0, events.lost)
            with self.assertRaises(Closed):
                await events.next()
            events.close()
            self.assertIn("closed", repr(events))
            self.assertEqual([], [e async for e in events])

        self.run_async(body())

    def test_a_close_of_the_stream_or_the_store_ends_the_iteration_after_what_was_told(self) -> None:
        async def read(events: Any, seen: "List[ObjectId]") -> None:
            async for event in events:
                seen.append(event.id)

        async def body() -> None:
            for ends_by_store in (False, True):
                store = Store.open(self.name)
                events, seen = store.events(), []  # type: ignore[var-annotated]
                reader = asyncio.ensure_future(read(events, seen))
                made = [self.store.put(ObjectId.random(), b"") for _ in range(10)]
                while seen != made:
                    await asyncio.sleep(0.001)
                self.assertFalse(reader.done())
                await asyncio.get_running_loop().run_in_executor(None, store.close if ends_by_store else events.close)
                await reader
                store.close()

        self.run_async(body())

    def test_a_task_that_is_cancelled_while_it_reads_loses_nothing(self) -> None:
        async def body() -> None:
            async with self.store.events() as events:
                first = asyncio.ensure_future(events.next())
                await asyncio.sleep(0)
                with self.assertRaises(RuntimeError):
                    await events.next()
                first.cancel()
                made = self.store.put("a", b"x")
                with self.assertRaises(asyncio.CancelledError):
                    await first
                self.assertEqual(made, (await events.next()).id)

        self.run_async(body())

    def test_who_does_not_read_loses_the_oldest_and_is_told_how_many(self) -> None:
        async def body() -> None:
            with self.assertRaises(ValueError):
                self.store.events(0)
            async with self.store.events(capacity=10) as events:
                made = [self.store.put(i, b"") for i in range(100)]
                while events.lost < 90:
                    await asyncio.sleep(0.001)
                self.assertEqual(made[90:], [(await events.next()).id for _ in range(10)])
                self.assertEqual(90, events.lost)

        self.run_async(body())

    def test_a_stream_that_nobody_refers_to_ends(self) -> None:
        async def body() -> None:
            events = self.store.events()
            self.store.put("a", b"")
            await events.next()
            del events

        gc.collect()
        before = len(_async._subscriptions)
        self.run_async(body())
        gc.collect()
        self.assertEqual(before, len(_async._subscriptions))


class CallbackTests(StoreCase):
    def test_a_function_is_called_with_every_event_until_the_close(self) -> None:
        told: "List[Event]" = []
        threads = set()

        def each(event: Event) -> None:
            threads.add(threading.get_ident())
            told.append(event)

        with self.store.subscribe_callback(each) as calls:
            for i in range(100):
                self.store.put(i, bytes(i))
            eventually(lambda: len(told) == 100, "all events were told")
            self.assertEqual((0, False), (calls.lost, calls.closed))
        self.store.put("after", b"")
        self.assertEqual([(ObjectId.from_int(i), EventKind.SEALED, i) for i in range(100)], [(e.id, e.kind, e.payload_size) for e in told])
        self.assertEqual(1, len(threads - {threading.get_ident()}))
        calls.close()
        self.assertIn("closed", repr(calls))

    def test_a_function_may_end_its_own_subscription(self) -> None:
        told: "List[Event]" = []

        def each(event: Event) -> None:
            calls.close()
            told.append(event)

        calls = self.store.subscribe_callback(each)
        for i in range(10):
            self.store.put(i, b"")
        eventually(lambda: bool(told), "the first event was told")
        self.assertEqual((1, True), (len(told), calls.closed))

    def test_what_a_function_raises_is_shown_and_the_next_event_follows(self) -> None:
        shown: "List[Any]" = []
        told: "List[Event]" = []

        def each(event: Event) -> None:
            told.append(event)
            raise KeyError("mine")

        before, sys.unraisablehook = sys.unraisablehook, lambda unraisable: shown.append(unraisable.exc_value)
        try:
            with self.store.subscribe_callback(each):
                self.store.put("a", b"")
                self.store.put("b", b"")
                eventually(lambda: len(told) == 2, "both events were told")
        finally:
            sys.unraisablehook = before
        self.assertEqual(["'mine'"] * 2, [str(e) for e in shown])

    def test_a_slow_function_loses_the_oldest_and_is_told_how_many(self) -> None:
        with Store.create_store(self.new_name(), StoreOptions(capacity_bytes=16 << 20, event_capacity=64)) as store:
            go, told = threading.Event(), []  # type: ignore[var-annotated]

            def each(event: Event) -> None:
                go.wait(PATIENCE)
                told.append(event)

            with store.subscribe_callback(each) as calls:
                for i in range(300):
                    store.put(i, b"")
                go.set()
                eventually(lambda: bool(told) and told[-1].id == ObjectId.from_int(299), "the last event was told")
                self.assertGreater(calls.lost, 0)

    def test_a_subscription_that_nobody_refers_to_ends(self) -> None:
        gc.collect()
        before = len(_async._subscriptions)
        self.store.subscribe_callback(lambda event: None)
        gc.collect()
        self.assertEqual(before, len(_async._subscriptions))
        with Store.open(self.name) as store:
            store.close()
            with self.assertRaises(Closed):
                store.subscribe_callback(lambda event: None)


if __name__ == "__main__":
    unittest.main()
