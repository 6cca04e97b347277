"""Python and .NET processes on one store."""

import hashlib
import os
import random
import sys
import unittest

from fastplasma import ObjectOptions, Store, StoreOptions

from .support import PATIENCE, StoreCase, Worker

BYTES_MAX = 200_000


class ExchangeTests(StoreCase):
    def test_python_and_dotnet_exchange_ten_thousand_objects(self) -> None:
        seed = int(os.environ.get("FASTPLASMA_TEST_SEED") or random.randrange(1 << 31))
        print(f"\nexchange: FASTPLASMA_TEST_SEED={seed}", file=sys.stderr)
        with Worker(self.name) as worker:
            worker.send(f"exchange net py 5000 {seed} {BYTES_MAX}")
            received = self._exchange("py", "net", 5000, random.Random(seed))
            answer = worker.receive()
        print(f"exchange: {received:,} bytes of .NET, {int(answer):,} of Python", file=sys.stderr)
        stats = self.store.stats()
        self.assertEqual((10_000, 10_000), (stats.store.puts, stats.store.deletes))
        self.assertEqual((0, 0), (self.pins(), stats.sealed_count))
        self.assertEqual(0, stats.store.get_copied_bytes)

    def _exchange(self, sent: str, received: str, count: int, source: random.Random) -> int:
        """The side of Python; tests/FastPlasma.Worker/Exchange.cs is the other."""
        total = 0
        for i in range(count):
            payload = source.randbytes(int(BYTES_MAX ** source.random()) - (source.randrange(20) == 0))
            self.store.put(f"{sent}-{i}", payload, ObjectOptions(metadata=hashlib.sha256(payload).digest(), checksum=True, timeout=PATIENCE))
            with self.store.pin(f"{received}-{i}", PATIENCE) as obj:
                self.assertEqual(hashlib.sha256(obj.data).digest(), obj.metadata, f"{received}-{i} of {obj.size} bytes")
                self.assertTrue(obj.verify())
                self.store.delete(obj.id)
                total += obj.size
        return total

    def test_an_exchange_finds_an_object_that_is_not_what_was_put(self) -> None:
        with Worker(self.name) as worker:
            self.store.put("py-0", b"hello", ObjectOptions(metadata=hashlib.sha256(b"other").digest()))
            with self.assertRaisesRegex(AssertionError, "py-0 of 5 bytes is not what was put"):
                worker.call(f"exchange net py 1 1 {BYTES_MAX}")
            self.store.put("bad-0", b"hello", ObjectOptions(metadata=hashlib.sha256(b"other").digest(), checksum=True))
            with self.assertRaises(AssertionError):
                self._exchange("py-2", "bad", 1, random.Random(1))

    def test_an_exchange_in_a_store_that_is_nearly_full_waits_for_memory(self) -> None:
        name = self.new_name()
        with Store.create_store(name, StoreOptions(capacity_bytes=16 << 20)) as store, Worker(name) as worker:
            worker.call("put kept 4000000 1")
            before = worker.call("get kept 0")
            view = store.get("kept")
            worker.send("exchange net py 200 7 1000000")
            other, self.store = self.store, store
            try:
                self._exchange("py", "net", 200, random.Random(7))
            finally:
                self.store = other
            worker.receive()
            self.assertEqual(before, worker.call("get kept 0"))
            self.assertEqual(4_000_000, view.nbytes)
            del view


if __name__ == "__main__":
    unittest.main()
