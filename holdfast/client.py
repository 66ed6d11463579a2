"""Connecting to a daemon from a program that is not part of its tree."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from holdfast.actors.hub import Hub
from holdfast.clock import SystemClock
from holdfast.errors import DaemonNotFoundError

__all__ = ["connect"]


def connect(run_dir: str | os.PathLike[str] = "var/run", *, source: str | None = None) -> Hub:
    """A hub to the daemon whose sockets are in ``run_dir``.

    ``source`` names this program in the events it emits; by default its process id does.
    Raises DaemonNotFoundError when there is no daemon; one that restarts is waited for.
    """
    folder = Path(run_dir)
    if not (folder / "root.sock").exists():
        raise DaemonNotFoundError(
            f"no daemon at {folder}: start one with `holdfast start CONFIG --run-dir {folder}`"
        )
    name = f"client/{os.getpid()}"
    return Hub(
        run_dir=folder,
        sender=f"{name}-{uuid.uuid4().hex[:12]}",
        incarnation="1",
        source=source or name,
        clock=SystemClock(),
    )
