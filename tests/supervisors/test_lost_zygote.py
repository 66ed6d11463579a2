"""What a supervisor hears of its processes when their zygote dies, in which order."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Timer
from holdfast.supervisors.linux import children_of_this_process
from holdfast.supervisors.lives import Badge, new_life
from holdfast.supervisors.processes import FromProcesses, Gone, Processes
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.zygote import Exited, Forked, Zygote, ZygoteLost

TIMEOUT = 10.0
pytestmark = pytest.mark.usefixtures("without_fork_server")


class Desk:
    """The part of a mailbox that is used here; what is delivered is read off one by one."""

    def __init__(self) -> None:
        self.heard: list[FromProcesses] = []
        self._readers: dict[int, Callable[[], Iterable[FromProcesses]]] = {}

    def watch(self, fd: int, read: Callable[[], Iterable[FromProcesses]]) -> None:
        self._readers[fd] = read

    def unwatch(self, fd: int) -> None:
        del self._readers[fd]

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        return Timer(delay, callback)

    def monotonic(self) -> float:
        return 0.0

    def deliver(self, message: FromProcesses) -> None:
        self.heard.append(message)

    def until(self, kind: type[Any]) -> list[FromProcesses]:
        """Everything up to a message of that kind."""
        while not any(isinstance(message, kind) for message in self.heard):
            ready = select.select(list(self._readers), [], [], TIMEOUT)[0]
            assert ready, self.heard
            for fd in ready:
                if fd in self._readers:
                    self.heard += self._readers[fd]()
        heard, self.heard = self.heard, []
        return heard


class Delay:
    """Stops the second fork of a zygote before it has closed or set anything of its own."""

    def __init__(self) -> None:
        self.forks = 0
        self.zygote_of = 0  # the process whose children are zygotes; 0 for no delay
        os.register_at_fork(before=self._before, after_in_child=self._after)

    def _before(self) -> None:
        if self.zygote_of and os.getppid() == self.zygote_of:
            self.forks += 1

    def _after(self) -> None:
        if self.forks == 2:
            os.kill(os.getpid(), signal.SIGSTOP)


DELAY = Delay()  # a hook of a fork cannot be taken back


@pytest.fixture
def delay() -> Iterator[None]:
    DELAY.zygote_of = os.getpid()
    yield
    DELAY.zygote_of = 0


def stay(payload: bytes, descriptors: dict[str, int]) -> int:
    """The child; it runs until it is killed."""
    while True:
        signal.pause()


def test_a_zygote_whose_last_child_is_not_on_its_own_yet_is_lost_all_the_same(delay: None) -> None:
    """That child still has the zygote's end of the channel, so there is no end of file."""
    life = new_life()
    badge = Badge(life)
    zygote, desk = Zygote(stay, name="zygote:test"), Desk()
    signals = SignalPipe([signal.SIGCHLD])
    processes = Processes(
        mailbox=cast(Mailbox, desk),
        zygote=zygote,
        fork_zygote=lambda: zygote,
        signals=signals,
        life=life,
    )
    ours, theirs = socket.socketpair()
    try:
        processes.fork(1, b"", {"line": theirs.fileno()})
        (first,) = desk.until(Forked)
        processes.fork(2, b"", {"line": theirs.fileno()})
        (second,) = desk.until(Forked)
        assert isinstance(first, Forked)
        assert isinstance(second, Forked)
        processes.kill_zygote()
        heard = desk.until(Gone)
        # The loss comes before the deaths that it brings about.
        assert isinstance(heard[0], ZygoteLost)
        for fork in (first, second):
            assert Exited(fork.pid, signal.SIGKILL) in heard
            os.close(fork.pidfd)
    finally:
        badge.take_off()
        signals.close()
        ours.close()
        theirs.close()
    assert not children_of_this_process()
