"""Connecting to a daemon from a program that is not part of its tree."""

from __future__ import annotations

import errno
import os
import socket
import uuid
from pathlib import Path

from holdfast.actors.hub import Hub
from holdfast.actors.outbox import Policy, limited
from holdfast.actors.peers import is_own, peer_uid
from holdfast.clock import SystemClock
from holdfast.errors import DaemonNotFoundError

__all__ = ["connect", "is_there", "not_found"]


def connect(
    run_dir: str | os.PathLike[str] = "var/run",
    *,
    source: str | None = None,
    outbox_messages: int | None = None,
    outbox_bytes: int | None = None,
    outbox_policy: Policy = "block",
    outbox_timeout: float = 30.0,
) -> Hub:
    """A hub to the daemon whose sockets are in ``run_dir``.

    ``source`` names this program in the events it emits; by default its process id does.  The
    others bound what waits here for each actor (docs/OVERLOAD.md).
    Raises DaemonNotFoundError when no root listens there; actors that restart are waited for.
    """
    folder = Path(run_dir)
    limits = limited(outbox_messages, outbox_bytes, outbox_policy, outbox_timeout)
    if not is_there(folder):
        raise not_found(folder)
    name = f"client/{os.getpid()}"
    return Hub(
        run_dir=folder,
        sender=f"{name}-{uuid.uuid4().hex[:12]}",
        incarnation="1",
        source=source or name,
        clock=SystemClock(),
        limits=limits,
    )


def is_there(run_dir: Path) -> bool:
    """Whether a root listens there; a killed one leaves its socket behind, but nobody in it.

    Raises DaemonNotFoundError when it is another user's.
    """
    try:
        folder = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            # By descriptor: the path of a socket holds 107 bytes only.
            found = probe.connect_ex(f"/proc/self/fd/{folder}/root.sock")
            if found == 0 and not is_own(probe):
                raise DaemonNotFoundError(
                    f"the daemon at {run_dir} is that of uid {peer_uid(probe)}, and speaks to "
                    f"nobody else: this is uid {os.geteuid()}"
                )
            return found in (0, errno.EAGAIN)
    finally:
        os.close(folder)


def not_found(run_dir: Path) -> DaemonNotFoundError:
    """The error that says where no daemon is, and how to have one there."""
    return DaemonNotFoundError(
        f"no daemon at {run_dir}: start one with `holdfast start CONFIG --run-dir {run_dir}`, "
        "or name another directory with --run-dir or HOLDFAST_RUN_DIR"
    )
