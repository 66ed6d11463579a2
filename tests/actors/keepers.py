"""Agents that take part in checkpoints of the daemon."""

from __future__ import annotations

import threading
from typing import Any

import holdfast


class Keeper(holdfast.Agent):
    """Holds what it is told, and says what it holds."""

    held: Any = None
    told = 0

    def on_receive(self, message: Any) -> Any:
        match message:
            case {"hold": held}:
                self.held = held
                self.told += 1
                self.hub.events.emit("keeper:held", {"n": self.told})
            case "what":
                return self.held
            case {"save": state}:
                return self.checkpoint(state)
            case "restored":
                return self.restored
            case "hang":
                threading.Event().wait()
            case "raise":
                self.held = {1, 2}
        return None

    def on_collect(self) -> object:
        return self.held

    def on_restore(self, state: Any) -> None:
        self.held = state


class Bystander(holdfast.Agent):
    """Has no hooks: it is never asked, however long its handler takes."""

    def on_receive(self, message: Any) -> None:
        if message == "hang":
            threading.Event().wait()
