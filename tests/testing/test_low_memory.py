"""Address space runs out in one process: whoever asks hears of it, and nothing is lost."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError
from holdfast.testing.faults import Limit
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.working import CONFIG, Work

MEBIBYTE = 1024 * 1024
ROOM = MEBIBYTE  # bytes that it gets beyond what it has
SOON = 2.0  # seconds after which an answer counts as refused, too
LARGE = "x" * 900_000  # the data of an event
EVENTS = 12
LARGER = "x" * (5 * MEBIBYTE)  # that of a session, of a checkpoint


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("memory"), CONFIG, faults=[]) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def work(daemon: Daemon) -> Work:
    return Work(daemon)


def limit_of(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_AS)[0]


def address_space(pid: int) -> int:
    """Bytes of it that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def ask_for_much(daemon: Daemon, name: str) -> int:
    """What needs more memory than there is; how many times that was refused."""
    hub, refused = daemon.hub, 0
    for _ in range(EVENTS):
        hub.events.emit(f"large:{name}", LARGE)
    calls: tuple[Callable[[], object], ...] = (
        lambda: hub.events.query(types=f"large:{name}", timeout=SOON),
        lambda: hub.sessions.put("large", LARGER, durability="committed", timeout=SOON),
        lambda: hub.checkpoints.put("large", {"all": LARGER}, timeout=SOON),
        lambda: hub.sessions.get("large", timeout=SOON),
    )
    for call in calls:
        try:
            call()
        except HoldfastError:
            refused += 1
    return refused


@pytest.mark.parametrize("name", ["writer", "query", "log", "sessions", "checkpoints"])
def test_without_memory_an_actor_refuses_or_is_restarted_and_nothing_is_lost(
    daemon: Daemon, work: Work, name: str
) -> None:
    work.do(1)
    pid = daemon.pid(name)
    before, value = limit_of(pid), address_space(pid) + ROOM
    (limit,) = daemon.faults.arm(Limit(process=name, resource="AS", value=value))
    daemon.until(lambda: limit_of(pid) == value)
    assert ask_for_much(daemon, name) > 0
    daemon.faults.disarm()
    daemon.hub.flush("disk", timeout=daemon.timeout)
    assert daemon.hub.events.count(types=f"large:{name}", timeout=daemon.timeout) == EVENTS
    work.do(1)
    work.check()
    daemon.until(lambda: limit_of(daemon.pid(name)) == before)
    assert {line.target for line in daemon.faults.injected(limit)} == {"AS"}
