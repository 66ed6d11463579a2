"""An agent for tests that monitors others, and tells what it was told."""

from __future__ import annotations

from typing import Any

import holdfast
from holdfast.actors.monitors import Monitor


class Watcher(holdfast.Agent):
    """Keeps what it receives, Downs among it, until it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[Any] = []
        self._monitors_of_mine: list[Monitor] = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case holdfast.Down(monitor=ident, name=name, incarnation=incarnation, reason=reason):
                self._seen.append([ident, name, incarnation, reason.kind, reason.signal])
            case ["monitor", name]:
                self._monitors_of_mine.append(self.monitor(name))
                return self._monitors_of_mine[-1].id
            case ["cancel", index]:
                self._monitors_of_mine[index].cancel()
            case ["cancel once it is down", index]:
                monitor = self._monitors_of_mine[index]
                came = self.mailbox.pump(lambda: not monitor.is_alive, 20.0)
                monitor.cancel()
                return came
            case ["note", value]:
                self._seen.append(value)
            case ["seen"]:
                return self._seen
            case ["state", name]:
                return self.ref(name).state().state
        return None
