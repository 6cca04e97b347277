#!/usr/bin/env python3
"""How many copies occur when I get an object? Counted here, for what Python programs share, and shown: two processes read the same bytes of one file.

Needs the C library (dotnet publish src/Interop -c Release) and no installation; numpy and pandas add their rows. The twin for .NET is examples/Copies.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

try:
    import fastplasma
except ImportError:  # Not installed: the checkout's own.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients" / "python"))
    import fastplasma
from fastplasma import PlasmaObject, Store, StoreOptions

MIB = 1 << 20
PATIENCE = 60.0
TERMINAL = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def style(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if TERMINAL else text


def heading(text: str) -> None:
    print(f"\n{style('1;36', text)}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int], notes: Sequence[str] = ()) -> None:
    """A boxed table; the columns in ``numbers`` are right-aligned. Notes stand under it."""
    rows, right = list(rows), set(numbers)
    widths = [max(len(row[i]) for row in [titles, *rows] if i < len(row)) for i in range(len(titles))]

    def line(left: str, middle: str, end: str) -> str:
        return style("2", left + middle.join("─" * (width + 2) for width in widths) + end)

    bar = style("2", "│")
    print(line("╭", "┬", "╮"))
    for n, row in enumerate([titles, *rows]):
        cells = [f" {text.rjust(width) if i in right and n else text.ljust(width)} " for i, (text, width) in enumerate(zip(row, widths))]
        if n == 0:
            cells = [style("1", cell) for cell in cells]
        cells = [style("32", cell) if n and i in right and cell.strip() == "0" else cell for i, cell in enumerate(cells)]
        print(bar + bar.join(cells) + bar)
        if n == 0:
            print(line("├", "┼", "┤"))
    print(line("╰", "┴", "╯"))
    for note in notes:
        print(style("2", note))


# ---- copies -------------------------------------------------------------------------------------------------------------------------


def module(name: str) -> Tuple[Any, str]:
    """A module, or why it is not there."""
    try:
        return __import__(name), ""
    except ImportError as e:
        return None, f"{name} cannot be imported here ({e})"


def in_place(obj: PlasmaObject, array: Any) -> str:
    """How an array was read, checked by its address."""
    address = array.__array_interface__["data"][0]
    return "in place" if obj.address <= address and address + array.nbytes <= obj.address + obj.size else "A COPY"


def copies(store: Store, size: int) -> bool:
    """The table of copies. False if a get copied."""
    np, no_numpy = module("numpy")
    pd, no_pandas = module("pandas") if np is not None else (None, no_numpy)
    count = size // 8
    rows: List[List[str]] = []
    left_out: List[str] = []
    fine = True

    def row(kind: str, put: Callable[[str], Any], get: Callable[[str], str]) -> None:
        nonlocal fine
        before, own_before = store.stats().process, store.copies
        put(kind)
        between, own_between = store.stats().process, store.copies
        read = get(kind)
        after, own_after = store.stats().process, store.copies
        at_put = between.put_copied_bytes - before.put_copied_bytes + between.create_copied_bytes - before.create_copied_bytes
        at_get = after.get_copied_bytes - between.get_copied_bytes
        written = own_between.written_bytes - own_before.written_bytes
        pickled, unpickled = own_between.pickled_bytes - own_before.pickled_bytes, own_after.unpickled_bytes - own_between.unpickled_bytes
        assert pickled == unpickled
        fine = fine and at_get == 0 and "COPY" not in read
        with store.pin(kind) as obj:
            rows.append([kind, f"{obj.size:,}", f"{at_put:,}", f"{at_get:,}", f"{written:,}", f"{pickled:,}", read])
        store.delete(kind)

    data = os.urandom(size)
    row("bytes", lambda key: store.put(key, data), lambda key: "in place" if store.get(key) == data else "WRONG")

    if np is not None:
        array = np.random.default_rng(1).random(count)

        def read_array(key: str) -> str:
            got = store.get(key)
            return in_place(store.pin(key), got)

        def fill(key: str) -> None:
            with store.create_array(key, count, "f8") as writer:
                np.multiply(array, 2, out=writer.array)

        row("numpy array", lambda key: store.put(key, array), read_array)
        row("numpy, made in place", fill, read_array)
    else:
        left_out.append(f"numpy array: left out, {no_numpy}.")

    if pd is not None:
        numbers = pd.DataFrame(np.random.default_rng(1).random((count // 8, 8)), columns=list("abcdefgh"))
        names = pd.DataFrame({"name": [f"symbol {i}" for i in range(count // 8)], "price": np.arange(count // 8) / 8})

        def read_frame(key: str) -> str:
            obj, frame = store.pin(key), store.get(key)
            hows = {f"numbers {in_place(obj, frame[c].to_numpy())}" if frame[c].dtype in ("f8", "i8") else "strings new" for c in frame}
            return ", ".join(sorted(hows))

        row("DataFrame of numbers", lambda key: store.put(key, numbers), read_frame)
        row("DataFrame with strings", lambda key: store.put(key, names), read_frame)
    else:
        left_out.append(f"DataFrames: left out, {no_pandas}.")

    records = [{"id": i, "name": f"symbol {i}", "price": i / 8} for i in range(count // 16)]
    row("list of dicts", lambda key: store.put(key, records), lambda key: "new objects" if store.get(key) == records else "WRONG")

    heading("Copies, in bytes")
    table(
        ["kind", "bytes", "copied at put", "copied at get", "written by Python", "pickled", "read as"], rows, range(1, 6),
        [
            "copied: by the store, as it counts. written by Python: by this client, into the object that it created, which the store cannot see;",
            "so a DataFrame of numbers is put with one copy too. pickled: what has no buffer goes through a stream and is made new at each get.",
            *left_out,
        ],
    )
    return fine


# ---- addresses ----------------------------------------------------------------------------------------------------------------------


def place(obj: PlasmaObject) -> Dict[str, Any]:
    """Where an object's bytes are in this process, and which bytes of which file those are."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            area, rights, offset, _, _, *path = line.split(maxsplit=5)
            start, end = (int(part, 16) for part in area.split("-"))
            if start <= obj.address < end:
                return {
                    "pid": os.getpid(), "address": obj.address, "area": area, "rights": rights, "map_offset": int(offset, 16),
                    "offset": int(offset, 16) + obj.address - start, "file": path[0].strip() if path else "?", "bytes": bytes(obj.data[:8]).hex(" "),
                }
    raise RuntimeError(f"No mapping has address {obj.address:#x}.")


def addresses(store: Store, key: str) -> bool:
    """Both processes' views of one object. False if they are not the same bytes of one file."""
    with Child(store, "look", key) as child:
        places = [place(store.pin(key)), child.answer()]
    heading("One object in two processes")
    table(
        ["process", "address", "mapped at (/proc/self/maps)", "rights", "from offset", "file offset", "first bytes"],
        [[str(p["pid"]), f"{p['address']:#x}", p["area"], p["rights"], f"{p['map_offset']:#x}", f"{p['offset']:#x}", p["bytes"]] for p in places], (),
    )
    same = places[0]["file"] == places[1]["file"] and places[0]["offset"] == places[1]["offset"]
    print(f"{'Same bytes' if same else style('31', 'NOT THE SAME BYTES')} of one file: {places[0]['file']}")
    return bool(same)


# ---- two workers --------------------------------------------------------------------------------------------------------------------


def compute(obj: PlasmaObject, seconds: float) -> Tuple[str, int]:
    """SHA-256 of the object, again and again for so long."""
    digest, rounds, end = "", 0, time.monotonic() + seconds
    while rounds == 0 or time.monotonic() < end:
        digest = hashlib.sha256(obj.data).hexdigest()
        rounds += 1
    return digest, rounds


def workers(store: Store, key: str) -> bool:
    """Two processes compute on one object. False if they did it one after the other, or differ."""
    with Child(store, "compute", key) as one, Child(store, "compute", key) as two:
        for child in (one, two):
            child.answer()
        store.put("go", b"")
        answers: List[Dict[str, Any]] = [one.answer(), two.answer()]
    begin, width = min(a["start"] for a in answers), 40
    total = max(a["end"] for a in answers) - begin
    rows = []
    for a in answers:
        first, last = (int((a[moment] - begin) / total * width) for moment in ("start", "end"))
        rows.append([str(a["pid"]), f"{(a['start'] - begin) * 1000:,.1f} ms", f"{(a['end'] - begin) * 1000:,.1f} ms", (" " * first + "█" * max(1, last - first)).ljust(width), str(a["rounds"]), a["digest"][:16] + "…"])
    both = min(a["end"] for a in answers) - max(a["start"] for a in answers)
    heading("Two workers on it at the same time")
    table(["process", "began", "ended", "when", "passes", "SHA-256"], rows, (1, 2, 4))
    equal = answers[0]["digest"] == answers[1]["digest"]
    print(f"Both at once for {both * 1000:,.1f} ms, results {'equal' if equal else style('31', 'DIFFERENT')}.")
    return bool(equal and both > 0)


class Child:
    """Another Python process, which answers with lines of JSON."""

    def __init__(self, store: Store, task: str, key: str) -> None:
        assert store.name is not None
        command = [sys.executable, os.path.abspath(__file__), "--child", task, "--store", store.name, "--key", key]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def answer(self) -> Dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The child process ended without an answer.")
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def child(task: str, name: str, key: str, seconds: float = 0.3) -> None:
    """What a child process does."""
    with Store.open(name) as store, store.pin(key) as obj:
        if task == "look":
            print(json.dumps(place(obj)), flush=True)
            return
        print(json.dumps({"pid": os.getpid()}), flush=True)
        store.wait(["go"], timeout=PATIENCE)
        start = time.monotonic()  # One clock for all processes of the machine.
        digest, rounds = compute(obj, seconds)
        print(json.dumps({"pid": os.getpid(), "start": start, "end": time.monotonic(), "digest": digest, "rounds": rounds}), flush=True)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="Exit code 0 if no get copied, both processes saw the same bytes and both workers ran at once.")
    parser.add_argument("--size", type=int, default=8, metavar="MIB", help="MiB of each value (default: %(default)s)")
    parser.add_argument("--store", default=f"copies-{os.getpid()}", metavar="NAME", help="name of the store that is made and destroyed again (default: copies-PID)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.store, options.key)
        return 0
    if options.size < 1:
        parser.error("--size is at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the store is destroyed then too.
    size = options.size * MIB
    ours = True  # Also when a signal comes in the middle of the creation.
    try:
        with Store.create_store(options.store, StoreOptions(capacity_bytes=8 * size + 64 * MIB)) as store:
            return 0 if show(store, size) else 1
    except fastplasma.Exists as e:
        ours = False
        parser.error(str(e))
    finally:
        if ours:
            try:
                fastplasma.destroy(options.store)
            except fastplasma.NoStore:
                pass


def show(store: Store, size: int) -> bool:
    """All three answers. False if one of them is not what it should be."""
    print(f"{style('1', 'How many copies occur when I get an object?')}  FastPlasma {fastplasma.library_version()}, Python {sys.version.split()[0]}, store '{store.name}'")
    fine = copies(store, size)
    store.put("another", bytes(3 * MIB))  # So that the next does not begin where the file does.
    store.put("shared", os.urandom(size))
    fine = addresses(store, "shared") and fine
    fine = workers(store, "shared") and fine
    print()
    return fine


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
