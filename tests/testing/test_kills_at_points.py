"""A process is killed at each point of the way of what is acknowledged: nothing is lost, nothing
is stored twice, and everybody is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import DeliveryError
from holdfast.testing import Daemon
from holdfast.testing.faults import AtPoint, Kill
from tests.testing.working import CONFIG, Work

Way = Callable[[Daemon, Work], None]


def load(daemon: Daemon, work: Work) -> None:
    work.do()


def restart(name: str) -> Way:
    def way(daemon: Daemon, work: Work) -> None:
        daemon.kill(name)
        work.do(1)

    return way


def checkpoint(daemon: Daemon, work: Work) -> None:
    """Who asked hears that it is not known what came of it, or that it is there: asks again."""
    before = len(daemon.hub.checkpoints.list_daemon())
    daemon.until(lambda: _is_made(work))
    assert len(daemon.hub.checkpoints.list_daemon()) > before


def _is_made(work: Work) -> bool:
    try:
        work.checkpoint()
    except DeliveryError:
        return False
    return True


def prune(daemon: Daemon, work: Work) -> None:
    daemon.until(lambda: _is_pruned(work))


def _is_pruned(work: Work) -> bool:
    try:
        work.prune()
    except DeliveryError:
        return False
    return True


def expire(daemon: Daemon, work: Work) -> None:
    work.expire()


# Where, in which process, and what brings it there.
WRITER = [
    *[
        (f"writer.{place}", "writer", load)
        for place in (
            "before_begin",
            "after_begin",
            "before_mark",
            "after_mark",
            "before_result",
            "after_result",
            "before_commit",
            "after_commit",
            "before_answer",
            "after_answer",
            "after_group",
            "before_sync",
            "after_sync",
        )
    ],
    ("mailbox.before_sending", "writer", load),
    ("mailbox.after_sending", "writer", load),
    ("writer.after_lock", "writer", restart("writer")),
    ("writer.before_epoch", "writer", restart("writer")),
    ("writer.after_epoch", "writer", restart("writer")),
    ("retention.before_slice", "writer", prune),
    ("retention.after_slice", "writer", prune),
]
LOG = [
    *[
        (f"log.{place}", "log", load)
        for place in (
            "before_accepting",
            "before_forwarding",
            "after_forwarding",
            "before_ring",
            "after_ring",
            "after_answer",
        )
    ],
    ("link.before_sending", "log", load),
    ("link.after_welcome", "log", restart("writer")),
    ("log.before_refill", "log", restart("log")),
    ("log.between_refills", "log", restart("log")),
]
CHECKPOINTS = [
    *[
        (f"checkpoints.{place}", "checkpoints", checkpoint)
        for place in (
            "before_collecting",
            "before_part",
            "after_part",
            "before_manifest",
            "before_answer",
        )
    ],
    ("checkpoints.before_parts", "writer", checkpoint),
    ("checkpoints.after_parts", "writer", checkpoint),
]
SESSIONS = [
    ("sessions.before_writing", "sessions", load),
    ("sessions.after_writing", "sessions", load),
    ("sessions.before_written", "sessions", load),
    ("sessions.after_written", "sessions", load),
    ("sessions.after_end", "sessions", expire),
]
SUPERVISORS = [
    *[
        (f"supervisor.{place}", "state", restart("writer"))
        for place in (
            "before_restart",
            "before_fork",
            "after_fork",
            "after_restart",
            "before_registering",
            "after_registering",
            "before_ready",
        )
    ],
    ("zygote.before_fork", "state:zygote", restart("log")),
    ("zygote.after_fork", "state:zygote", restart("log")),
    ("child.before_pdeathsig", "log", restart("log")),
    ("child.before_start", "log", restart("log")),
    ("child.after_start", "writer", restart("writer")),
]


@pytest.mark.parametrize(
    ("point", "process", "way"),
    [*WRITER, *LOG, *CHECKPOINTS, *SESSIONS, *SUPERVISORS],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_kill_at_a_point_loses_nothing_acknowledged_and_stores_nothing_twice(
    tmp_path: Path, point: str, process: str, way: Way
) -> None:
    with Daemon(tmp_path, CONFIG, faults=[]) as daemon:
        work = Work(daemon)
        work.do(1)
        (fault,) = daemon.faults.arm(AtPoint(point=point, process=process, action=Kill()))
        way(daemon, work)
        daemon.until(lambda: daemon.faults.injected(fault))
        work.do(1)
        work.check()
        assert len(daemon.faults.injected()) == 1
