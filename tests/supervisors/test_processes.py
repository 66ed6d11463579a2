"""The processes of one supervisor, driven without its decisions: a zygote that does not answer."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator

import pytest

from holdfast.actors.mailbox import Mailbox
from holdfast.supervisors.linux import adopt_orphans
from holdfast.supervisors.lives import Badge, new_life
from holdfast.supervisors.processes import FIRST_FORK_TIMEOUT, FORK_TIMEOUT, Gone, Processes
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.zygote import Exited, Forked, Zygote, ZygoteLost
from tests.clock import ManualClock

TIMEOUT = 10.0
pytestmark = pytest.mark.usefixtures("without_fork_server")


def live(payload: bytes, descriptors: dict[str, int]) -> int:
    """What a child under test does."""
    signal.pause()
    return 0


class Supervisor:
    """The processes, with a clock that only the test moves; what they deliver is heard here."""

    def __init__(self) -> None:
        adopt_orphans()
        self.clock = ManualClock()
        life = new_life()
        self._badge = Badge(life)
        self.zygote = Zygote(live)
        self._signals = SignalPipe([signal.SIGCHLD])
        self.mailbox = Mailbox(
            name="s", incarnation="1", clock=self.clock, listener=None, address=str
        )
        self.processes = Processes(
            mailbox=self.mailbox,
            zygote=self.zygote,
            fork_zygote=lambda: Zygote(live),
            signals=self._signals,
            life=life,
        )

    def hear(self) -> object:
        """The next message."""
        deadline = time.monotonic() + TIMEOUT
        while not self.mailbox.length:
            assert time.monotonic() < deadline
            fds = [self._signals.fileno()]
            if not self.is_lost:
                fds.append(self.zygote.fileno())
            select.select(fds, [], [], 0.1)
            self.look()
        return self.mailbox.get().message

    def look(self) -> None:
        """Read what has come, and do what is due."""
        self.mailbox.pump(lambda: False, 0)

    @property
    def is_lost(self) -> bool:
        """The zygote's channel is closed."""
        return self.zygote.fileno() < 0

    def fork(self, ident: int) -> None:
        self.processes.fork(ident, b"", {})

    def close(self) -> None:
        self.zygote.close()
        self._signals.close()
        self._badge.take_off()
        self.mailbox.close()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


def forked(supervisor: Supervisor, ident: int) -> Forked:
    supervisor.fork(ident)
    message = supervisor.hear()
    assert isinstance(message, Forked)
    os.close(message.pidfd)
    return message


def is_killed(supervisor: Supervisor) -> bool:
    """Whether the zygote, which is stopped, has a SIGKILL pending or is dead."""
    supervisor.look()
    return supervisor.is_lost or supervisor.mailbox.length > 0 or is_dying(supervisor.zygote.pid)


def is_dying(pid: int) -> bool:
    """A stopped process that got SIGKILL runs again, to its end."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "T"


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    assert os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT) is not None


def test_a_zygote_that_does_not_answer_is_killed_and_lost_with_its_children(
    supervisor: Supervisor,
) -> None:
    child = forked(supervisor, 1)
    stop(supervisor.zygote.pid)
    supervisor.fork(2)
    supervisor.clock.advance(FORK_TIMEOUT - 0.1)
    assert not is_killed(supervisor)
    supervisor.clock.advance(0.2)
    supervisor.look()
    assert isinstance(supervisor.hear(), ZygoteLost)
    exited = set()
    while isinstance(message := supervisor.hear(), Exited):
        exited.add(message.pid)
    assert child.pid in exited
    assert message == Gone()


def test_a_zygote_that_answers_in_time_is_let_alone(supervisor: Supervisor) -> None:
    forked(supervisor, 1)
    stop(supervisor.zygote.pid)
    supervisor.fork(2)
    supervisor.clock.advance(FORK_TIMEOUT - 0.1)
    supervisor.look()
    os.kill(supervisor.zygote.pid, signal.SIGCONT)
    message = supervisor.hear()
    assert isinstance(message, Forked)
    os.close(message.pidfd)
    supervisor.clock.advance(2 * FORK_TIMEOUT)
    forked(supervisor, 3)


def test_a_supervisor_that_stood_still_itself_gives_its_zygote_the_time_again(
    supervisor: Supervisor,
) -> None:
    # Scenario 19
    forked(supervisor, 1)
    stop(supervisor.zygote.pid)
    supervisor.fork(2)
    supervisor.clock.advance(100.0)
    assert not is_killed(supervisor)
    supervisor.clock.advance(FORK_TIMEOUT + 0.1)
    supervisor.look()
    assert isinstance(supervisor.hear(), ZygoteLost)


def test_the_first_fork_may_take_as_long_as_the_imports_do(supervisor: Supervisor) -> None:
    stop(supervisor.zygote.pid)
    supervisor.fork(1)
    supervisor.clock.advance(FIRST_FORK_TIMEOUT - 0.1)
    assert not is_killed(supervisor)
    supervisor.clock.advance(0.2)
    supervisor.look()
    assert isinstance(supervisor.hear(), ZygoteLost)
