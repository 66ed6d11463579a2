"""The probe: asks every actor ten times a second, and knows the longest that one did not answer.

``python -m holdfast.testing.chaos.probe RUN_DIR FILE``, until SIGTERM; then the file has seconds by
actor.  An ask waits while its actor restarts, so how long it takes is how long the actor was away.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast import aio
from holdfast.actors.messages import checkpoints, files, log, query, sessions, tracker, writer
from holdfast.errors import DaemonNotFoundError, HoldfastError
from holdfast.supervisors.linux import die_with_parent
from holdfast.testing.chaos.client import AGENTS

__all__ = ["main"]

PERIOD: Final = 0.1  # seconds between an answer and the next question
PATIENCE: Final = 60.0  # seconds for an answer
QUESTIONS: Final[dict[str, object]] = {
    "writer": writer.GetPosition(),
    "query": query.GetPosition(),
    "log": log.Tail(1),
    "sessions": sessions.Get("probe"),
    "checkpoints": checkpoints.GetOwner("probe"),
    "files": files.Stats(),
    "tracker": tracker.Stats(),
    **dict.fromkeys(AGENTS, 0),
}


async def _ask(hub: aio.Hub, name: str, question: object, longest: dict[str, float]) -> None:
    while True:
        began = time.monotonic()
        with suppress(HoldfastError):  # an error is an answer
            await hub.ask(name, question, timeout=PATIENCE)
        longest[name] = max(longest[name], time.monotonic() - began)
        await asyncio.sleep(PERIOD)


async def _watch(run_dir: Path, longest: dict[str, float]) -> None:
    ends = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
    hub = None
    while hub is None and not ends.is_set():
        try:
            hub = await aio.connect(run_dir, source="probe")
        except DaemonNotFoundError:
            await asyncio.sleep(PERIOD)
    if hub is None:
        return
    asks = [
        asyncio.create_task(_ask(hub, name, question, longest))
        for name, question in QUESTIONS.items()
    ]
    await ends.wait()
    for task in asks:
        task.cancel()
    await asyncio.gather(*asks, return_exceptions=True)
    hub.abandon()


def main(run_dir: str, file: str) -> None:
    """Watch, then write the file."""
    longest = dict.fromkeys(QUESTIONS, 0.0)
    die_with_parent(os.getppid())  # nobody else would end it
    asyncio.run(_watch(Path(run_dir), longest))
    Path(file).write_text(json.dumps(longest))


if __name__ == "__main__":
    main(*sys.argv[1:])
