"""An agent that replays recorded sessions: one line a step, one checkpoint a step.

Killed at any instant, it goes on with the first line that its last checkpoint does not cover.
That line may have been sent already; its ``id`` is the event's key, so it is stored once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import holdfast

__all__ = ["Replay", "share_of"]

_STEP = "step"


def share_of(file: Path, shard: int, shards: int) -> list[dict[str, Any]]:
    """The lines of every ``shards``-th session of the file, from session number ``shard`` on."""
    with file.open(encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    sessions = list(dict.fromkeys(line["session"] for line in lines))
    mine = set(sessions[shard::shards])
    return [line for line in lines if line["session"] in mine]


class Replay(holdfast.Agent):
    """Emits its share of ``file``, a line every ``pace`` seconds."""

    def __init__(self, *, file: str, shard: int, shards: int, pace: float = 0.04) -> None:
        super().__init__()
        self._lines = share_of(Path(file), shard, shards)
        self._pace = pace
        self._next = 0  # index of the first line that no checkpoint covers

    def on_start(self) -> None:
        """Go on where the last checkpoint stands."""
        if self.restored is not None:
            self._next = self.restored["line"]
        self.after(self._pace, _STEP)

    def on_receive(self, message: object) -> None:
        """Take one step; each ends with a message that asks for the next one."""
        if message != _STEP or self._next == len(self._lines):
            return
        line = self._lines[self._next]
        if line["type"] == "session:started":
            self.hub.sessions.put(line["session"], line["data"], durability="committed")
        self.hub.events.emit(
            line["type"],
            line["data"],
            source=line["source"],
            session=line["session"],
            cause=line["parent"],
            key=line["id"],
        )
        self._next += 1
        self.checkpoint({"line": self._next, "done": self._next == len(self._lines)})
        self.after(self._pace, _STEP)
