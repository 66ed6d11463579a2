"""The copier, from the root's side: has it forked, tells it what to do, hears how far it is.

Owns the process.  Lost with the root: that process, which dies with it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import msgspec

from holdfast.actors.host import Errand
from holdfast.actors.mailbox import Mailbox
from holdfast.supervisors.copier_words import (
    COPIER,
    LONGEST,
    Abandon,
    Far,
    FromCopier,
    Job,
    Refused,
    ToCopier,
    decode_from,
    encode,
)
from holdfast.supervisors.launcher import Launcher
from holdfast.supervisors.steps import Begin

__all__ = ["Copier"]

DIED: Final = "the process that copies died"

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class Copier:
    """One process with one job; ``told`` is called with each report of how far it is."""

    def __init__(
        self, job: Job, *, mailbox: Mailbox, launcher: Launcher, told: Callable[[Far], None]
    ) -> None:
        self._job = job
        self._mailbox = mailbox
        self._launcher = launcher
        self._told = told
        self._line: socket.socket | None = None
        self._pidfd = -1
        self._is_closed = False
        self._error = ""  # it is dead, has refused, or is not wanted
        self.does = ""  # as it has refused
        self._answers: list[FromCopier] = []  # that nobody has waited for yet
        # What ends the wait for it, and who waits.
        self._waiting: tuple[Callable[[FromCopier], bool], Callable[[str], None]] | None = None

    def start(self) -> None:
        """Have it forked; what is wrong with that is told to the first who waits."""
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._mailbox.watch(self._line.fileno(), self._hear)
        with theirs:
            try:
                descriptors = {COPIER: theirs.fileno()}
                self._launcher.launch_other(self, encode(self._job), descriptors)
            except OSError as error:
                self._fail(f"nothing can be forked to copy: {error}")

    def tell(self, message: ToCopier) -> None:
        """Say it; a dead one is found out by who waits."""
        if self._line is not None and not self._error:
            with suppress(OSError):
                self._line.send(encode(message))

    def wait(
        self, wanted: type[FromCopier], *, until: Callable[[Far], bool] | None = None
    ) -> Begin:
        """For such a message, or, of Far, the first that is so; the outcome is its error."""

        def ends(message: FromCopier) -> bool:
            if until is not None and isinstance(message, Far):
                return until(message)
            return isinstance(message, wanted)

        def begin(done: Callable[[str], None]) -> None:
            self._waiting = ends, done
            self._look()

        return begin

    def answer(self, wanted: type[_Answer]) -> _Answer:
        """The newest one of that kind, which was waited for."""
        found = [each for each in self._answers if isinstance(each, wanted)]
        return found[-1]

    def end(self, patience: float) -> Begin:
        """Have it let go of all and end, within so many seconds or by SIGKILL; when it has."""

        def begin(done: Callable[[str], None]) -> None:
            self._waiting = (lambda _: False), done
            if self._line is None and not self._error:  # it was never started
                self._end(done, "")
                return
            self.tell(Abandon())
            self._mailbox.later(patience, self._kill)
            self._look()

        return begin

    def dismiss(self, why: str, patience: float) -> None:
        """Have it end likewise, and whoever waits for something of it be told why."""
        if not self._error:
            self.tell(Abandon())
            self._error = why
            self._mailbox.later(patience, self._kill)
            self._look()

    def close(self) -> None:
        """End it, if it has not ended."""
        self._is_closed = True
        self._hang_up()
        self._kill()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _kill(self) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    # -- what the launcher, and the process, say ------------------------------------------------

    def forked(self, pid: int, pidfd: int) -> None:
        """It is there."""
        self._pidfd = pidfd
        if self._is_closed:
            self.close()

    def not_forked(self, reason: str) -> None:
        """It never was."""
        self._fail(f"nothing can be forked to copy: {reason}")

    def _hear(self) -> tuple[()]:
        while self._line is not None:
            try:
                data = self._line.recv(LONGEST)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                self._fail(self._error or DIED)
                break
            self._take(decode_from(data))
        return ()

    def _take(self, message: FromCopier) -> None:
        if isinstance(message, Refused):
            self._error = self._error or message.error
            self.does = message.does
        elif isinstance(message, Far):
            self._told(message)
            self._answers = [each for each in self._answers if not isinstance(each, Far)]
            self._answers.append(message)
        else:
            self._answers.append(message)
        self._look()

    def _look(self) -> None:
        if self._waiting is None:
            return
        ends, done = self._waiting
        if any(map(ends, self._answers)):
            self._end(done, "")
        elif self._error and self._line is None:  # not before it has let go of all
            self._end(done, self._error)

    def _end(self, done: Callable[[str], None], error: str) -> None:
        self._waiting = None
        self._mailbox.deliver(Errand(partial(done, error)))

    def _fail(self, error: str) -> None:
        self._hang_up()
        self._error = error
        self._look()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._mailbox.unwatch(self._line.fileno())
            self._line.close()
            self._line = None
