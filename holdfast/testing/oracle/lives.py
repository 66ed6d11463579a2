"""The journals, read: what each life of a client sent, was told and read.

Knows nothing of the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.testing.oracle.journal import FORMAT
from holdfast.testing.oracle.verdict import Level

__all__ = ["Handled", "JournalError", "Life", "Message", "Read", "read_journals"]


class JournalError(Exception):
    """The file is no journal; the message names it and the line."""


@dataclass(slots=True)
class Message:
    """One thing that was sent; ``told`` is the last that was said of it, "" for nothing."""

    kind: str
    n: int
    what: dict[str, Any]
    told: str = ""
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def is_acknowledged(self) -> bool:
        """At ``committed`` or better."""
        return self.told in ("committed", "disk")


@dataclass(slots=True)
class Read:
    """One answer; ``known`` is the number of the newest message that was told of by then."""

    kind: str
    what: dict[str, Any]
    known: int


@dataclass(slots=True)
class Handled:
    """One message that an agent handled."""

    sender: str
    n: int
    again: bool


@dataclass(slots=True)
class Life:
    """One journal."""

    path: Path
    life: str
    header: dict[str, Any]
    messages: dict[int, Message] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    handled: list[Handled] = field(default_factory=list)
    ended: dict[str, Any] | None = None  # what it counted, when it ended in order
    # What has to be there of what was acknowledged: "disk", when the power has failed since.
    level: Level = "committed"

    def is_owed(self, message: Message) -> bool:
        """It was acknowledged at a level that its answer has to have survived."""
        wanted = ("committed", "disk") if self.level == "committed" else ("disk",)
        return message.told in wanted

    def of(self, kind: str) -> list[Message]:
        """The messages of one kind, in the order they were sent."""
        return [message for message in self.messages.values() if message.kind == kind]


def read_journals(paths: Iterable[Path]) -> list[Life]:
    """Every journal; folders stand for the ``*.jsonl`` in them.  Raises JournalError, OSError."""
    files = []
    for path in paths:
        files += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return [_read(file) for file in files if file.stat().st_size]


def _read(path: Path) -> Life:
    lines = path.read_bytes().split(b"\n")
    lines.pop()  # empty, or cut by the death of the writer
    life: Life | None = None
    newest = 0
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if life is None:
                life = _opened(path, record)
            else:
                newest = _take(life, record, newest)
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(f"{path}:{number}: {line[:80]!r}: {error!r}") from None
    if life is None:
        return Life(path, path.stem, {})  # killed before its first line was whole
    return life


def _opened(path: Path, record: dict[str, Any]) -> Life:
    if record["journal"] != FORMAT:
        raise ValueError(f"a journal of format {record['journal']}, not {FORMAT}")
    return Life(path, record["life"], record)


def _take(life: Life, record: dict[str, Any], newest: int) -> int:
    """Add one line; the number of the newest message that is told of."""
    match record:
        case {"send": kind, "n": first}:
            for n in range(first, record.get("to", first) + 1):
                if n in life.messages:
                    raise ValueError(f"number {n} is sent twice")
                life.messages[n] = Message(kind, n, record)
        case {"told": outcome, "n": n}:
            message = life.messages[n]
            message.told, message.answer = outcome, record
            newest = max(newest, n)
        case {"flushed": upto, "level": level}:
            _flushed(life, upto, level)
        case {"read": kind}:
            life.reads.append(Read(kind, record, newest))
        case {"handled": n, "from": sender, "again": again}:
            life.handled.append(Handled(sender, n, again))
        case {"ended": True}:
            life.ended = record
        case _:
            raise ValueError("not a line of a journal")
    return newest


def _flushed(life: Life, upto: int, level: str) -> None:
    for n, message in reversed(life.messages.items()):
        if n > upto or message.told == "refused":
            continue
        if message.kind not in ("event", "tell"):
            if level == "disk" and message.told == "committed":
                message.told = level  # it was answered before, and one fsync is for all
        elif message.told == level == "disk":
            break  # and so is all before it
        elif message.told != "disk":
            message.told = level
