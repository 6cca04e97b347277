"""Bytes in the store: put, get, create, seal, delete, and what each refuses."""

import array
import ctypes
import gc
import mmap
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest

import fastplasma
from fastplasma import (
    AlreadySealed, Closed, Exists, InvalidArgument, NotFound, NotSealed, ObjectId, ObjectOptions, Retention, Status, Store, StoreFull, StoreOptions, Timeout, TooLarge,
)

from .support import PACKAGE, SMALL, StoreCase, eventually


class ObjectsTests(StoreCase):
    def test_bytes_come_back_and_are_named_by_anything_that_is_an_id(self) -> None:
        for key in ("name", b"r" * 28, b"p" * 20, 7, ObjectId.random()):
            with self.subTest(key=key):
                made = self.store.put(key, b"payload")
                self.assertEqual(b"payload", self.store.get(key))
                self.assertIn(key, self.store)
                self.assertEqual(made, self.store.pin(key).id)

    def test_every_length_from_0_to_999_comes_back(self) -> None:
        source = random.Random(1).randbytes(1000)
        for length in range(1000):
            self.store.put(length, source[:length])
        for length in range(1000):
            self.assertEqual(source[:length], bytes(self.store.get_buffer(length)))

    def test_anything_with_the_buffer_protocol_can_be_put(self) -> None:
        with mmap.mmap(-1, 4096) as mapped:
            mapped[:] = bytes(range(256)) * 16
            for i, data in enumerate((bytearray(b"abc"), memoryview(b"abc"), array.array("i", [1, 2, 3]), mapped, memoryview(b"abcdef")[::2], b"")):
                with self.subTest(type=type(data)):
                    self.store.put_bytes(i, data)
                    self.assertEqual(bytes(memoryview(data)), self.store.get_bytes(i))
            with self.assertRaises(TypeError):
                self.store.put_bytes("no", 5)
        self.assertEqual(3, self.store.copies.gathered_bytes)

    def test_writing_to_a_result_raises(self) -> None:
        self.store.put("a", b"hello")
        view = self.store.get("a")
        self.assertTrue(view.readonly)
        with self.assertRaises(TypeError):
            view[0] = 1
        with self.assertRaises(TypeError):
            view[1:3][0] = 1
        with self.assertRaises(TypeError):
            (ctypes.c_char * 5).from_buffer(view)
        self.assertTrue(memoryview(view.obj).readonly)

    def test_a_get_copies_nothing(self) -> None:
        self.store.put("a", bytes(100_000))
        first, second = self.store.pin("a"), self.store.pin("a")
        self.assertEqual(first.address, second.address)
        counts = self.store.stats().process
        self.assertEqual((100_000, 0), (counts.put_copied_bytes, counts.get_copied_bytes))

    def test_what_is_not_there_is_not_found(self) -> None:
        for call in (self.store.get, self.store.pin, self.store.get_bytes, self.store.get_buffer, self.store.get_array, self.store.delete, self.store.abort):
            with self.subTest(call=call), self.assertRaises(NotFound) as caught:
                call("none")
            self.assertEqual(Status.NOT_FOUND, caught.exception.status)
            self.assertIsInstance(caught.exception, LookupError)
        self.assertNotIn("none", self.store)

    def test_a_second_put_of_an_id_says_that_it_exists(self) -> None:
        self.store.put("a", b"1")
        with self.assertRaises(Exists):
            self.store.put("a", b"2")
        self.assertEqual(b"1", self.store.get("a"))

    def test_an_object_is_written_in_place_and_sealed_at_the_end_of_the_block(self) -> None:
        with self.store.create("a", 5) as writer:
            writer.data[:] = b"hello"
            self.assertNotIn("a", self.store)
        self.assertEqual(b"hello", self.store.get("a"))
        counts = self.store.stats().process
        self.assertEqual((1, 5, 0), (counts.creates, counts.create_bytes, counts.create_copied_bytes))
        writer = self.store.create("b", 1)
        writer.data[0] = 1
        self.store.seal(writer)
        self.assertIn("b", self.store)

    def test_an_exception_in_the_block_aborts_the_object(self) -> None:
        with self.assertRaises(KeyError):
            with self.store.create("a", 5):
                raise KeyError
        self.assertEqual(b"x", self.store.get(self.store.put("a", b"x")))

    def test_a_writer_that_nobody_refers_to_any_more_gives_its_object_up(self) -> None:
        view = self.store.create("a", 5).data
        with self.assertRaises(NotSealed):
            self.store.delete("a")
        del view
        self.store.put("a", b"x")

    def test_a_writer_that_has_ended_says_so(self) -> None:
        writer = self.store.create("a", 5)
        data = writer.data
        writer.seal()
        with self.assertRaises(Closed):
            writer.seal()
        with self.assertRaises(Closed):
            writer.data
        with self.assertRaises(ValueError):
            data[0] = 1
        writer.abort()
        self.assertIn("a", self.store)
        with self.assertRaises(AlreadySealed):
            self.store.abort("a")

    def test_a_seal_refuses_while_something_can_still_write(self) -> None:
        writer = self.store.create("a", 5)
        part = writer.data[1:3]
        with self.assertRaisesRegex(BufferError, "could still be written"):
            writer.seal()
        part[0] = 7
        del part
        writer.seal()
        self.assertEqual(7, self.store.get("a")[1])

    def test_an_abort_by_id_ends_the_writer(self) -> None:
        writer = self.store.create("a", 5)
        self.store.abort("a")
        with self.assertRaises(Closed):
            writer.seal()
        self.store.put("a", b"x")

    def test_a_deleted_object_stays_for_who_reads_it(self) -> None:
        self.store.put("a", b"hello")
        view = self.store.get("a")
        self.store.delete("a")
        self.assertNotIn("a", self.store)
        self.store.put("a", b"other")
        self.assertEqual((b"hello", b"other"), (view, self.store.get("a")))

    def test_metadata_name_and_media_type_are_read_beside_the_payload(self) -> None:
        self.store.put("a", b"payload", ObjectOptions(metadata=b"meta\0data", name="größe", content_type="text/plain", checksum=True))
        with self.store.pin("a") as obj:
            self.assertEqual((b"meta\0data", "größe", "text/plain", b"payload", 7), (obj.metadata, obj.name, obj.content_type, obj.data, len(obj)))
            self.assertIsNotNone(obj.details.checksum)
            self.assertTrue(obj.verify())
            self.assertIn("größe", repr(obj))
        self.store.put("empty", b"")
        with self.store.pin("empty") as obj:
            self.assertEqual((b"", "", "", b"", None), (obj.metadata, obj.name, obj.content_type, bytes(obj.data), obj.details.checksum))

    def test_several_objects_are_put_and_got_at_once(self) -> None:
        self.store.put("taken", b"old")
        statuses = self.store.put_many({"a": b"1", "taken": b"2", "list": [1, 2], "b": memoryview(b"xyz")[::2]})
        self.assertEqual([Status.OK, Status.EXISTS, Status.OK, Status.OK], statuses)
        self.assertEqual([b"1", b"old", None, [1, 2], b"xz", b"1"], self.store.get_many(["a", "taken", "none", "list", "b", "a"]))
        self.assertEqual([b"1", "?"], self.store.get_many(["a", "none"], timeout=0.01, missing="?"))
        self.assertEqual([b"1", None], self.store.get_many(["a", "none"], needed=1, timeout=20))
        self.store.put("empty", b"")
        self.assertEqual([b"", b"1"], self.store.get_many(["empty", "a"]))
        self.assertEqual([], self.store.get_many([]))
        self.assertEqual([], self.store.put_many([]))
        pins = self.store.pin_many(["a", "none"], timeout=0.3)
        assert pins[0] is not None
        self.assertEqual((b"1", None), (pins[0].data, pins[1]))
        del pins
        gc.collect()
        self.assertEqual(0, self.pins())

    def test_a_get_into_a_buffer_copies_once(self) -> None:
        self.store.put("a", b"hello")
        target = bytearray(8)
        self.assertEqual(5, self.store.get_into("a", target))
        self.assertEqual(b"hello\0\0\0", target)
        self.assertEqual(5, self.store.stats().process.get_copied_bytes)
        with self.assertRaises(InvalidArgument):
            self.store.get_into("a", bytearray(4))
        with self.assertRaises(BufferError):
            self.store.get_into("a", b"12345")

    def test_a_full_store_says_who_holds_what(self) -> None:
        held = [self.store.get(self.store.put(i, bytes(8 << 20))) for i in range(7)]
        with self.assertRaises(StoreFull) as caught:
            self.store.put("more", bytes(16 << 20))
        report = caught.exception.report
        assert report is not None
        self.assertEqual((16 << 20, 64 << 20), (report.requested_bytes, report.capacity_bytes))
        self.assertGreaterEqual(report.pinned_bytes, 7 * (8 << 20))
        self.assertIsNone(report.reservation_error)
        self.assertEqual([(False, os.getpid(), 7, 7)], [(h.creates, h.process_id, h.object_count, h.pin_count) for h in report.holders])
        holder = report.holders[0]
        self.assertEqual((report.pinned_bytes, False, False, True), (holder.size, holder.stopped, holder.other_pid_namespace, holder.process_name.startswith("python")))
        self.assertAlmostEqual(time.time(), holder.since_ns / 1e9, delta=60)
        with self.store.create("half", 1 << 20), self.assertRaises(TooLarge) as too_large:
            self.store.put("never", bytes(100 << 20))
        report = too_large.exception.report
        assert report is not None
        self.assertEqual([False, True], [h.creates for h in report.holders])
        del held

    def test_evictable_objects_make_room(self) -> None:
        for i in range(20):
            self.store.put(i, bytes(12 << 20), ObjectOptions(retention=Retention.EVICTABLE))
        self.assertGreater(self.store.stats().process.evictions, 0)
        self.assertGreater(self.store.evict(1), 0)
        self.assertGreaterEqual(self.store.trim(), 0)
        self.assertEqual(0, self.store.maintain())

    def test_arguments_that_make_no_sense_are_refused(self) -> None:
        with self.assertRaises(InvalidArgument):
            self.store.create("a", -1)
        with self.assertRaises(ValueError):
            self.store.get("a", -1)
        with self.assertRaises(InvalidArgument):
            self.store.put("a", b"", ObjectOptions(alignment=3))
        with self.assertRaises(InvalidArgument):
            Store.open("no/such/name")
        with self.assertRaises(ValueError):
            Store.open("nul\0")
        with self.assertRaises(TypeError):
            Store()

    def test_a_closed_store_refuses_everything_and_closes_again(self) -> None:
        view = self.store.get(self.store.put("a", b"hello"))
        store = Store.open(self.name)
        store.close()
        store.close()
        for call in (lambda: store.get("a"), lambda: store.put("b", b""), store.list, store.stats, lambda: store.contains("a"), store.subscribe, lambda: store.wait(["a"])):
            with self.assertRaises(Closed):
                call()
        self.assertIn("closed", repr(store))
        self.assertEqual(b"hello", view)

    def test_stores_are_created_opened_listed_and_destroyed(self) -> None:
        with self.assertRaises(Exists):
            Store.create_store(self.name)
        with Store.open_or_create(self.name) as again:
            again.put("a", b"x")
        self.assertEqual(b"x", self.store.get("a"))
        self.assertIn(self.name, fastplasma.list_stores())
        name = self.new_name()
        with self.assertRaises(fastplasma.NoStore):
            Store.open(name)
        with Store.open_or_create(name, SMALL):
            fastplasma.destroy(name)
        with self.assertRaises(fastplasma.NoStore):
            fastplasma.destroy(name)
        with Store.create_anonymous(SMALL) as anonymous:
            self.assertIsNone(anonymous.name)
            self.assertEqual("", anonymous.details.name)
            self.assertEqual(b"x", anonymous.get(anonymous.put("a", b"x")))

    def test_a_read_only_attachment_reads_and_does_not_write(self) -> None:
        self.store.put("a", b"x")
        with Store.open(self.name, StoreOptions(access=fastplasma.Access.READ_ONLY)) as reader:
            self.assertEqual(b"x", reader.get("a"))
            with self.assertRaises(fastplasma.AccessDenied) as caught:
                reader.put("b", b"x")
            self.assertIsInstance(caught.exception, PermissionError)

    def test_the_list_and_the_numbers_show_what_is_there(self) -> None:
        self.store.put("a", b"hello", ObjectOptions(name="shown", content_type="text/plain", metadata=b"m"))
        view = self.store.get("a")
        writer = self.store.create("b", 3)
        infos = {info.id: info for info in self.store.list()}
        info = infos[ObjectId.from_name("a")]
        self.assertEqual(("shown", "text/plain", 5, 1, fastplasma.ObjectState.SEALED), (info.name, info.content_type, info.payload_size, info.metadata_size, info.state))
        self.assertEqual((1, 1), (info.pin_count, info.holder_count))
        holders = self.store.holders("a")
        self.assertEqual([(info.id, info.incarnation, os.getpid(), 1, False)], [(h.id, h.incarnation, h.process_id, h.pin_count, h.other_pid_namespace) for h in holders])
        self.assertAlmostEqual(time.time(), holders[0].since_ns / 1e9, delta=60)
        self.assertEqual((holders, []), (self.store.holders(), self.store.holders("b")))
        details = self.store.details
        self.assertEqual((self.name, 64 << 20, 4096, fastplasma.Access.READ_WRITE), (details.name, details.capacity_bytes, details.object_count_max, details.access))
        self.assertEqual(fastplasma.ObjectState.CREATING, infos[ObjectId.from_name("b")].state)
        stats = self.store.stats()
        self.assertEqual((1, 1, 1, 64 << 20), (stats.sealed_count, stats.creating_count, stats.participant_count, stats.capacity_bytes))
        self.assertEqual((details.uuid, 0, 0), (stats.uuid, stats.populate_target_bytes, stats.populated_bytes))
        self.assertGreater(stats.meta_bytes_per_object, 128)
        participants = self.store.participants()
        self.assertEqual([(True, 1, 1)], [(p.alive, p.pin_count, p.creating_count) for p in participants])
        progress: "list[float]" = []
        report = self.store.verify(checksums=True, progress=progress.append)
        self.assertEqual([], report.problems)
        self.assertEqual(1.0, progress[-1])
        with self.assertRaises(KeyError):
            self.store.verify(progress=lambda done: {}[done])
        writer.abort()
        del view

    def test_the_user_who_is_to_be_admitted_must_exist(self) -> None:
        self.store.admit_reader("nobody")
        with self.assertRaises(fastplasma.FastPlasmaError):
            self.store.admit_reader("no-such-user-here")

    def test_a_size_beyond_2_gib_is_a_number_like_any_other(self) -> None:
        name = self.new_name()
        with Store.create_store(name, StoreOptions(capacity_bytes=8 << 30)) as store:
            size = (3 << 30) + 5
            with store.create("large", size) as writer:
                self.assertEqual(size, len(writer.data))
                writer.data[-5:] = b"12345"  # Only these pages are touched.
            view = store.get("large")
            self.assertEqual((size, b"12345", size), (view.nbytes, view[-5:], store.pin("large").size))
            store.delete("large")
            with self.assertRaises(TooLarge):
                store.create("never", 1 << 45)
            del view

    def test_log_lines_reach_python(self) -> None:
        lines: "list[tuple[fastplasma.LogLevel, str]]" = []
        self.store.put("a", b"x")
        source = (
            "import sys, time, fastplasma\nstore = fastplasma.Store.open(sys.argv[1])\nheld, writer = store.pin('a'), store.create('half', 10)\n"
            "print('ready', flush=True)\ntime.sleep(1000)"
        )
        child = subprocess.Popen([sys.executable, "-c", source, self.name], env=dict(os.environ, PYTHONPATH=str(PACKAGE)), stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            self.assertEqual("ready\n", child.stdout.readline())
            self.store.close()  # So that nobody else recovers it.
            store = Store.open(self.name, StoreOptions(log=lambda level, line: lines.append((level, line))))
        finally:
            child.kill()
            child.communicate()
        store.maintain()
        recovered = f"(process {child.pid}, dead): 1 unfinished objects removed, 1 pins released."
        eventually(lambda: any(recovered in line for _, line in lines), "the recovery was logged")
        store.admit_reader("nobody")
        self.assertIn("as reader of store " + self.name, lines[-1][1])
        self.assertEqual([fastplasma.LogLevel.INFORMATION] * 2, [level for level, _ in lines])
        store.close()

    def test_what_memory_has_no_room_for_goes_to_disk_and_comes_back(self) -> None:
        with tempfile.TemporaryDirectory(prefix=self.name) as folder:
            options = StoreOptions(capacity_bytes=16 << 20, spill_directories=["/no/such/folder", folder], spill_bytes=64 << 20, spill_reserve=0.0, persist=True)
            name = self.new_name()
            with Store.create_store(name, options) as store:
                for i in range(12):
                    store.put(i, bytes([i]) * (3 << 20))
                for i in range(12):
                    self.assertEqual(bytes([i]) * (3 << 20), store.get(i, 20))
                self.assertGreater(store.stats().spilled_count, 4)
            self.assertEqual({".spill", ".catalog"}, {os.path.splitext(file)[1] for file in os.listdir(folder)})
            fastplasma.destroy(name)
            self.assertEqual([], os.listdir(folder))
            for wrong in (dict(spill_bytes=1), dict(persist=True), dict(spill_directories=[folder] * 17), dict(spill_directories=[folder], spill_reserve=2.0)):
                with self.subTest(wrong=wrong), self.assertRaises(InvalidArgument):
                    Store.create_store(name, StoreOptions(capacity_bytes=16 << 20, **wrong))
            with self.assertRaises(TypeError):
                Store.create_store(name, StoreOptions(spill_directories=folder))

    def test_a_deadline_that_passes_is_a_timeout_error(self) -> None:
        with self.assertRaises(Timeout) as caught:
            self.store.get("none", 0.02)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertEqual(Status.TIMEOUT, caught.exception.status)


if __name__ == "__main__":
    unittest.main()
