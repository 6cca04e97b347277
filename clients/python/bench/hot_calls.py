"""The calls of clients/c/bench/hot_calls.c from Python, in the same order and sizes, with the same output: for bench/clients, which holds them against each other."""

import json
import time
from typing import Callable

import fastplasma

ROUNDS, PAIRS = 15, 20_000
SIZES = (1 << 10, 1 << 20, 100 << 20)


def per_operation(operations: int, work: Callable[[], None]) -> float:
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) / operations


def line(name: str, size: int, operations: int, rounds: "list[float]") -> "dict[str, object]":
    rounds.sort()
    return {"name": name, "bytes": size, "operations": operations, "median_ns": round(rounds[len(rounds) // 2], 1), "least_ns": round(rounds[0], 1)}


def main() -> None:
    payload, target = bytes(bytearray([7]) * SIZES[-1]), bytearray(SIZES[-1])
    lines = []
    with fastplasma.Store.create_anonymous(fastplasma.StoreOptions(capacity_bytes=1 << 30)) as store:
        hot = fastplasma.ObjectId.random()
        store.put_bytes(hot, payload[: SIZES[0]])

        def get_hot() -> None:
            for _ in range(PAIRS):
                store.pin(hot).release()

        lines.append(line("try_get_release", SIZES[0], PAIRS, [per_operation(PAIRS, get_hot) for _ in range(ROUNDS)]))
        for size in SIZES:
            operations = 2_000 if size == SIZES[0] else 200 if size == SIZES[1] else 2
            source = memoryview(payload)[:size]
            figures: "dict[str, list[float]]" = {"put": [], "get": [], "delete": [], "memcpy": []}
            for _ in range(ROUNDS):
                ids = [fastplasma.ObjectId.random() for _ in range(operations)]

                def put() -> None:
                    for key in ids:
                        store.put_bytes(key, source)

                def get() -> None:
                    for key in ids:
                        with store.pin(key) as found, found.data as view:
                            _ = view[size // 2]

                def delete() -> None:
                    for key in ids:
                        store.delete(key)

                def copy() -> None:
                    for _ in range(operations):
                        target[:size] = source

                for name, work in (("put", put), ("get", get), ("delete", delete), ("memcpy", copy)):
                    figures[name].append(per_operation(operations, work))
            lines.extend(line(name, size, operations, rounds) for name, rounds in figures.items())
    print(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
