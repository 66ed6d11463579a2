"""What one client said and was told, written where no death but the disk's can take it.

Lost when the client is SIGKILLed: nothing that ``write`` was called with; the last line may be cut,
and then stands for something that had not happened yet.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

__all__ = ["FORMAT", "Journal", "Kind", "Outcome"]

FORMAT: Final = 1

Kind = Literal["event", "tell", "change", "session", "checkpoint"]
# refused: nothing was done, nor will be.  unknown: it may have been, or may still be.
Outcome = Literal["memory", "committed", "disk", "refused", "conflict", "unknown"]


class Journal:
    """The file of one life of one client, or of one agent; a second life has a file of its own.

    A client numbers what it does, from 1, over all kinds.  It writes ``sending`` before it sends
    and ``told`` before it does anything else: that makes what is acknowledged a part of what is
    sent, and what is stored too.
    """

    def __init__(self, path: str | os.PathLike[str], *, life: str, **more: Any) -> None:
        """``life`` is the ``source`` of its events and names it in what it writes.

        ``sender`` is its name in ``senders`` and ``dropped``, ``type`` that of its events.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._write({"journal": FORMAT, "life": life, **more})

    def sending(self, kind: Kind, n: int, *, to: int | None = None, **what: Any) -> None:
        """About to send number ``n``, or numbers ``n`` to ``to`` of the same kind in order."""
        self._write({"send": kind, "n": n, **({} if to is None else {"to": to}), **what})

    def told(self, n: int, outcome: Outcome, **what: Any) -> None:
        """What became of number ``n``."""
        self._write({"told": outcome, "n": n, **what})

    def flushed(self, upto: int, level: Literal["committed", "disk"]) -> None:
        """All events and tells up to number ``upto`` are acknowledged."""
        self._write({"flushed": upto, "level": level})

    def read(self, kind: Kind, **what: Any) -> None:
        """What was read, as it was returned."""
        self._write({"read": kind, **what})

    def handled(self, sender: str, n: int, *, again: bool) -> None:
        """Of an agent: it has handled number ``n`` of a client's life."""
        self._write({"handled": n, "from": sender, "again": again})

    def ended(self, *, dropped: int = 0, duplicates: int = 0) -> None:
        """The client ends, with nothing left in its outboxes; what it counted."""
        self._write({"ended": True, "dropped": dropped, "duplicates": duplicates})

    def close(self) -> None:
        """Without ``ended`` it was a death."""
        os.close(self._file)

    def _write(self, record: dict[str, Any]) -> None:
        # One write: two lines never mix, and what has returned outlives this process.
        os.write(self._file, json.dumps(record, separators=(",", ":")).encode() + b"\n")
