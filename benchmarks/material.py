"""What the benchmarks send: events of 1 KB on the wire, and messages of 1 KB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.storage import jsontext

__all__ = [
    "DATA",
    "KILOBYTE",
    "MESSAGE",
    "SESSION",
    "SOURCE",
    "TEXT",
    "TYPE",
    "raw_events",
    "trace_texts",
]

KILOBYTE: Final = 1024
TYPE: Final = "tool:call"
SOURCE: Final = "agent/benchmark"
SESSION: Final = "session-of-a-benchmark"

_TRACES: Final = Path(__file__).resolve().parent.parent / "examples" / "agent_traces.jsonl"
_HEAD: Final = {"tool": "shell", "exit": 0, "seconds": 0.25}


def _filled() -> dict[str, Any]:
    """Data that makes the whole event 1 KB as msgpack."""
    event = (1_700_000_000_000_000, TYPE, SOURCE, None, SESSION, *[None] * 3, 0, "benchmark.000000")
    head = len(msgspec.msgpack.encode((*event, jsontext.encode({**_HEAD, "output": ""}))))
    return {**_HEAD, "output": "x" * (KILOBYTE - head - 2)}


def _message() -> dict[str, Any]:
    """The largest recorded call of a tool that is not above 1 KB as msgpack, padded to it."""
    lines = _TRACES.read_bytes().splitlines()
    events = [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]
    calls = [event for event in events if event["type"] == TYPE and _size(event) <= KILOBYTE]
    message = max(calls, key=_size)
    message["data"]["command"] += " " * (KILOBYTE - _size(message))
    assert abs(_size(message) - KILOBYTE) <= 16, "the recorded calls are other ones"
    return message


def _size(message: object) -> int:
    return len(msgspec.msgpack.encode(message))


DATA: Final = _filled()
TEXT: Final = "x" * KILOBYTE
MESSAGE: Final = _message()


def trace_texts() -> list[str]:
    """The data of the recorded events that are no larger than a page of text, as JSON."""
    events = [msgspec.json.decode(line) for line in _TRACES.read_bytes().splitlines()]
    texts = [jsontext.encode(event["data"]) for event in events]
    return [text for text in texts if len(text) <= 4 * KILOBYTE]


def raw_events(count: int, *, first: int, keyed: bool) -> list[tuple[object, ...]]:
    """Events as they come off the wire: what the table's INSERT takes behind seq and daemon."""
    text = jsontext.encode(DATA)
    head = (1_700_000_000_000_000, TYPE, SOURCE, None, SESSION, None, None, None, 0)
    return [
        (*head, f"benchmark.{number}" if keyed else None, text)
        for number in range(first, first + count)
    ]
