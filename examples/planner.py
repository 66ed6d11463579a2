"""An agent that plans a goal in steps, and goes on where it was killed.  test_planner.py tests it.

Lost when its process dies: the step in hand, which it takes again; the step's key has it stored
once.
"""

from __future__ import annotations

from typing import Any

import holdfast

__all__ = ["Planner"]


class Planner(holdfast.Agent):
    """``{"goal": text}`` is planned in ``steps``, one every ``pace`` seconds."""

    def __init__(self, *, steps: int, pace: float = 0.01) -> None:
        super().__init__()
        self._steps = steps
        self._pace = pace
        self._done: dict[str, int] = {}  # steps taken, by goal

    def on_start(self) -> None:
        """Go on with what the last checkpoint has not finished."""
        self._done = self.restored or {}
        for goal in self._done:
            self.after(self._pace, {"goal": goal})

    def on_receive(self, message: Any) -> None:
        """Take one step; each ends with a message that asks for the next one."""
        goal = message["goal"]
        n = self._done.get(goal, 0) + 1
        if n > self._steps:
            return
        self.hub.events.emit("plan:step", {"n": n}, session=goal, key=f"{goal}.{n}")
        if n == self._steps:
            self.hub.events.emit("plan:done", {"steps": n}, session=goal, key=f"{goal}.done")
        self._done[goal] = n
        self.checkpoint(self._done)
        self.after(self._pace, {"goal": goal})
