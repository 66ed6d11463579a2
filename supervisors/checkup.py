"""The checks before a reload, each in a process of its own, from the root's side.

Owns the process that checks now.  Lost with the root: that process, and nothing else.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from holdfast.actors.host import Errand
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Timer
from holdfast.supervisors.checking import CHECK, LONGEST, Check
from holdfast.supervisors.launcher import Launcher
from holdfast.supervisors.steps import Steps

__all__ = ["PROBE_TIMEOUT", "check_all"]

PROBE_TIMEOUT: Final = 10.0  # seconds for a backend that may be on another machine

_encode = msgspec.msgpack.Encoder().encode


def check_all(
    checks: Sequence[tuple[Check, float]], *, mailbox: Mailbox, launcher: Launcher
) -> Steps[str]:
    """One after the other, each in so many seconds; what is wrong with the first that fails."""
    for check, timeout in checks:
        checkup = _Checkup(check, timeout, mailbox=mailbox, launcher=launcher)
        if error := (yield checkup.begin):
            return error
    return ""


class _Checkup:
    """One process."""

    def __init__(
        self, check: Check, timeout: float, *, mailbox: Mailbox, launcher: Launcher
    ) -> None:
        self._check = check
        self._timeout = timeout
        self._mailbox = mailbox
        self._launcher = launcher
        self._line: socket.socket | None = None
        self._pidfd = -1
        self._timer: Timer | None = None
        self._done: Callable[[str], None] | None = None

    def begin(self, done: Callable[[str], None]) -> None:
        """Have it forked; ``done`` gets what it says."""
        self._done = done
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._timer = self._mailbox.later(self._timeout, self._overdue)
        self._mailbox.watch(self._line.fileno(), self._hear)
        with theirs:
            try:
                descriptors = {CHECK: theirs.fileno()}
                self._launcher.launch_other(self, _encode(self._check), descriptors)
            except OSError as error:
                self._end(f"{self._check.where}: nothing can be forked to check it: {error}")

    def forked(self, pid: int, pidfd: int) -> None:
        """It is there."""
        self._pidfd = pidfd
        if self._done is None:  # it is late, or was quicker than the zygote's answer
            self._kill()

    def not_forked(self, reason: str) -> None:
        """It never was."""
        self._end(f"{self._check.where}: nothing can be forked to check it: {reason}")

    def _hear(self) -> tuple[()]:
        assert self._line is not None
        try:
            said = self._line.recv(LONGEST + 1)
        except BlockingIOError:
            return ()
        except ConnectionError:
            said = b""
        if said:
            self._end(said[1:].decode(errors="replace"))
        else:
            self._end(f"{self._check.where}: the process that looked at it died")
        return ()

    def _overdue(self) -> None:
        seconds = f"{self._timeout:g} s"
        is_import = self._check.agent is not None
        what = "its import takes longer than" if is_import else "it does not answer within"
        self._end(f"{self._check.where}: {what} {seconds}")

    def _end(self, error: str) -> None:
        if self._done is None:
            return
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            self._mailbox.unwatch(self._line.fileno())
            self._line.close()
        self._kill()
        self._mailbox.deliver(Errand(partial(done, error)))

    def _kill(self) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):  # it has ended
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1
