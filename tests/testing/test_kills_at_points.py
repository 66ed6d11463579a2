"""A process is killed at each point of the way of what is acknowledged: nothing is lost, nothing
is stored twice, and everybody is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import DeliveryError
from holdfast.supervisors.spec import zygote_name
from holdfast.testing.faults import AtPoint, Kill
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.working import CONFIG, Work

Way = Callable[[Daemon, Work], None]


def load(daemon: Daemon, work: Work) -> None:
    work.do()


def command(daemon: Daemon, work: Work) -> None:
    work.command()


def restart(name: str) -> Way:
    def way(daemon: Daemon, work: Work) -> None:
        daemon.wait_until_running("state")
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
Kills = list[tuple[str, str, Way]]


def at(process: str, way: Way, *points: str) -> Kills:
    return [(point, process, way) for point in points]


GROUPS: dict[str, Kills] = {
    "before COMMIT": at(
        "writer",
        load,
        "writer.before_begin",
        "writer.after_begin",
        "writer.before_mark",
        "writer.after_mark",
        "writer.before_commit",
    ),
    "behind COMMIT": at(
        "writer",
        load,
        "writer.after_commit",
        "writer.before_answer",
        "writer.after_answer",
        "writer.after_group",
        "mailbox.before_sending",
        "mailbox.after_sending",
        "writer.before_sync",
        "writer.after_sync",
    ),
    "commands": at(
        "writer",
        command,
        "writer.before_result",
        "writer.after_result",
        "writer.before_commit",
        "writer.after_commit",
        "writer.before_answer",
        "writer.after_answer",
        "mailbox.after_sending",
    ),
    "opening": at(
        "writer",
        restart("writer"),
        "writer.after_lock",
        "writer.before_epoch",
        "writer.after_epoch",
        "child.after_start",
        "writer.before_first_sync",
        "writer.after_first_sync",
    ),
    "retention": at("writer", prune, "retention.before_slice", "retention.after_slice"),
    "log": at(
        "log",
        load,
        "log.before_accepting",
        "log.before_forwarding",
        "log.after_forwarding",
        "link.before_sending",
        "log.before_ring",
        "log.after_ring",
        "log.after_answer",
    ),
    "refill": [
        *at("log", restart("writer"), "link.after_welcome"),
        *at("log", restart("log"), "log.before_refill", "log.between_refills"),
    ],
    "checkpoints": [
        *at(
            "checkpoints",
            checkpoint,
            "checkpoints.before_collecting",
            "checkpoints.before_part",
            "checkpoints.after_part",
            "checkpoints.before_manifest",
            "checkpoints.before_answer",
        ),
        *at("writer", checkpoint, "checkpoints.before_parts", "checkpoints.after_parts"),
    ],
    "sessions": [
        *at(
            "sessions",
            load,
            "sessions.before_writing",
            "sessions.after_writing",
            "sessions.before_written",
            "sessions.after_written",
        ),
        *at("sessions", expire, "sessions.after_end"),
    ],
    "supervisor": at(
        "state",
        restart("writer"),
        "supervisor.before_restart",
        "supervisor.before_fork",
        "supervisor.after_fork",
        "supervisor.after_restart",
        "supervisor.before_registering",
        "supervisor.after_registering",
        "supervisor.before_ready",
    ),
    "zygote": [
        *at(zygote_name("state"), restart("log"), "zygote.before_fork", "zygote.after_fork"),
        *at("log", restart("log"), "child.before_pdeathsig", "child.before_start"),
    ],
}


@pytest.mark.parametrize("group", GROUPS)
def test_a_kill_at_a_point_loses_nothing_acknowledged_and_stores_nothing_twice(
    tmp_path: Path, group: str
) -> None:
    with Daemon(tmp_path, CONFIG, faults=[]) as daemon:
        work = Work(daemon)
        work.do(1)
        for point, process, way in GROUPS[group]:
            print(point)
            (fault,) = daemon.faults.arm(AtPoint(point=point, process=process, action=Kill()))
            way(daemon, work)
            daemon.until(lambda: daemon.faults.injected(fault))  # noqa: B023  # within the loop
            work.check()
        assert len(daemon.faults.injected()) == len(GROUPS[group])
