"""The hub of the HTTP door: the calls of any asyncio program, and KSI's events as calls."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TypeVar

from holdfast import aio
from holdfast.actors.calls import Steps, awaited
from holdfast.actors.gateway_answers import steps_of
from holdfast.actors.gateway_events import log_stats
from holdfast.clock import SystemClock

__all__ = ["DoorHub", "door_hub"]

T = TypeVar("T")


class DoorHub(aio.Hub):
    """With what the gateway answers by."""

    answer = awaited(steps_of)
    log_stats = awaited(log_stats)

    async def run(self, steps: Steps[T]) -> T:
        """Take the steps of any call."""
        return await self._runner.run(steps)


def door_hub(run_dir: Path) -> DoorHub:
    """For the loop that runs."""
    return DoorHub(
        run_dir=run_dir,
        sender=f"http/{os.getpid()}-{uuid.uuid4().hex[:12]}",
        incarnation="1",
        source="http",
        clock=SystemClock(),
    )
