"""Ids of objects."""

import hashlib
import pickle
import unittest
import uuid

from fastplasma import ObjectId
from fastplasma._ids import object_id


class IdsTests(unittest.TestCase):
    def test_the_id_of_a_name_is_its_truncated_sha_256(self) -> None:
        self.assertEqual(hashlib.sha256("größe".encode()).digest()[:28], bytes(ObjectId.from_name("größe")))

    def test_the_id_of_a_content_is_its_truncated_sha_256(self) -> None:
        self.assertEqual(hashlib.sha256(b"content").digest()[:28], bytes(ObjectId.from_content(b"content")))

    def test_hexadecimal_text_comes_back(self) -> None:
        made = ObjectId.random()
        self.assertEqual(made, ObjectId.from_hex(made.hex))
        self.assertEqual(made, ObjectId.from_hex(made.hex.upper()))

    def test_shorter_ids_of_plasma_and_uuids_are_followed_by_zeros(self) -> None:
        self.assertEqual(b"p" * 20 + bytes(8), bytes(ObjectId(b"p" * 20)))
        key = uuid.uuid4()
        self.assertEqual(key.bytes + bytes(12), bytes(object_id(key)))
        self.assertEqual("ab" * 20 + "00" * 8, ObjectId.from_hex("ab" * 20).hex)

    def test_an_int_is_the_number_that_the_hexadecimal_digits_are(self) -> None:
        self.assertEqual("0" * 53 + "1ff", object_id(0x1FF).hex)
        self.assertEqual("f" * 56, object_id((1 << 224) - 1).hex)

    def test_random_ids_differ(self) -> None:
        self.assertEqual(100, len({ObjectId.random() for _ in range(100)}))

    def test_what_is_no_id_is_refused(self) -> None:
        for key in (b"", b"x" * 27, b"x" * 29, "", -1, 1 << 224):
            with self.subTest(key=key), self.assertRaises(ValueError):
                object_id(key)
        for wrong in (None, 1.5, True, ["a"]):
            with self.subTest(key=wrong), self.assertRaises(TypeError):
                object_id(wrong)  # type: ignore[arg-type]
        for text in ("", "ab", "g" * 56, "0" * 55, " " * 56, "ab " * 18 + "00"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                ObjectId.from_hex(text)

    def test_ids_are_values(self) -> None:
        a, same, other = ObjectId.from_name("a"), ObjectId.from_name("a"), ObjectId.from_name("b")
        self.assertEqual({a}, {same})
        self.assertNotEqual(a, other)
        self.assertNotEqual(a, bytes(a))
        self.assertEqual(sorted([a, other]), sorted([other, a]))
        self.assertEqual(a, pickle.loads(pickle.dumps(a)))
        self.assertEqual(a, eval(repr(a)))
        with self.assertRaises(AttributeError):
            a._raw = b""  # type: ignore[misc]


if __name__ == "__main__":
    unittest.main()
