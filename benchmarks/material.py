"""What the benchmarks send: events of 1 KB on the wire, with and without an idempotency key."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.storage import jsontext

__all__ = ["DATA", "KILOBYTE", "SESSION", "SOURCE", "TYPE", "raw_events"]

KILOBYTE: Final = 1024
TYPE: Final = "tool:call"
SOURCE: Final = "agent/benchmark"
SESSION: Final = "session-of-a-benchmark"

_HEAD: Final = {"tool": "shell", "exit": 0, "seconds": 0.25}


def _filled() -> dict[str, Any]:
    """Data that makes the whole event 1 KB as msgpack."""
    event = (1_700_000_000_000_000, TYPE, SOURCE, None, SESSION, *[None] * 3, 0, "benchmark.000000")
    head = len(msgspec.msgpack.encode((*event, jsontext.encode({**_HEAD, "output": ""}))))
    return {**_HEAD, "output": "x" * (KILOBYTE - head - 2)}


DATA: Final = _filled()


def raw_events(count: int, *, first: int, keyed: bool) -> list[tuple[object, ...]]:
    """Events as they come off the wire: what the table's INSERT takes behind seq and daemon."""
    text = jsontext.encode(DATA)
    head = (1_700_000_000_000_000, TYPE, SOURCE, None, SESSION, None, None, None, 0)
    return [
        (*head, f"benchmark.{number}" if keyed else None, text)
        for number in range(first, first + count)
    ]
