"""An agent that has requests in flight."""

from __future__ import annotations

from typing import Any

import holdfast

__all__ = ["Worker"]


class Worker(holdfast.Agent):
    """Begins and takes what it is told to."""

    def on_receive(self, message: Any) -> Any:
        match message:
            case ["begin", id]:
                return self.hub.tracker.begin(id, "llm").owner
            case ["take"]:
                return [one.id for one in self.hub.tracker.take(owner="worker", limit=10)]
        return None
