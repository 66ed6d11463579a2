"""An agent for tests of the test kit."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import holdfast
from holdfast.testing.daemon_process import MARK


class Clerk(holdfast.Agent):
    """``["verb", argument]`` is done."""

    taken = 0

    def on_start(self) -> None:
        self.taken = self.restored or 0
        self.hub.events.emit("clerk:ready", {"taken": self.taken})

    def on_receive(self, message: Any) -> Any:
        verb, argument = message
        return getattr(self, f"do_{verb}")(argument)

    def do_take(self, order: str) -> int:
        self.taken += 1
        self.hub.events.emit("order:taken", {"n": self.taken}, session=order, subject=order)
        return self.checkpoint(self.taken)

    def do_refuse(self, order: str) -> None:
        self.hub.events.emit("order:refused", session=order)

    def do_say(self, text: str) -> None:
        print(text)

    def do_fail(self, text: str) -> None:
        raise RuntimeError(text)

    def do_mark(self, argument: None) -> str:
        """What tells the processes of this daemon from others."""
        return os.environ[MARK]

    def do_start_helper(self, environment: dict[str, str] | None) -> int:
        """Start a process that no signal to this one's group reaches; its pid."""
        self._helper = subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True)
        return self._helper.pid
