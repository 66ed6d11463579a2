"""An agent that writes down what it handles where its death cannot touch it: in a file.

A line is one ``write`` to a descriptor opened with O_APPEND, within one page of the file: at the
end of a page the kernel cuts a write of who is being killed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import holdfast

LINE = 32  # bytes of each; as many fill a page exactly
HUNG = 999  # stands for the sender when the agent hangs


class Entry(NamedTuple):
    """Message ``n`` of ``sender``, handled by the start ``life`` of the agent."""

    sender: int
    n: int
    redelivered: bool
    life: int

    @property
    def line(self) -> bytes:
        """As it stands in the file."""
        return b"%03d %07d %d %017d\n" % self


class Scribe(holdfast.Agent):
    """``[sender, n]`` becomes a line; None is answered."""

    def __init__(self, *, path: str) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._life = 0

    def on_start(self) -> None:
        self._life = int(self.mailbox.incarnation.rpartition(".")[2])

    def on_receive(self, message: Any) -> Any:
        if message is None:
            return os.getpid()
        sender, n = message
        current = self.mailbox.current
        again = current is not None and current.redelivered
        os.write(self._file, Entry(sender, n, again, self._life).line)
        return None


class Stumbler(Scribe):
    """Hangs at "hang", which it writes down; does not start as long as ``stumbles`` exist."""

    def __init__(self, *, path: str) -> None:
        super().__init__(path=path)
        self._stumbles = Path(path + ".stumble")

    def on_start(self) -> None:
        super().on_start()
        if self._stumbles.exists():
            self._stumbles.unlink()
            raise RuntimeError("it stumbles, once")

    def on_receive(self, message: Any) -> Any:
        if message == "hang":
            super().on_receive([HUNG, 0])
            threading.Event().wait()
        return super().on_receive(message)


def length(path: Path) -> int:
    """How many lines there are."""
    return path.stat().st_size // LINE if path.exists() else 0


def entries(path: Path) -> Iterator[Entry]:
    """What was handled, in order."""
    with path.open() as file:
        for line in file:
            assert len(line) == LINE, f"torn: {line!r}"
            sender, n, again, life = map(int, line.split())
            yield Entry(sender, n, bool(again), life)
