"""The processes of one supervisor: forked through its zygote, reaped by it or here.

Owns the zygote.  While the zygote lives it is the parent of all children and reaps them.  When it
dies, PDEATHSIG kills them and this process, a subreaper, inherits and reaps them; whatever else
it inherits has lost its parent too and is killed at the end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.supervisors.linux import children_of_this_process
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.zygote import Exited, FromZygote, Zygote, ZygoteLost

__all__ = ["FromProcesses", "Gone", "Processes", "Signalled"]

ZYGOTE_GRACE = 1.0  # seconds to exit once its channel is closed; it takes one millisecond


class Gone(msgspec.Struct, frozen=True):
    """No process is left, after ``finish`` or the loss of the zygote."""


class Signalled(msgspec.Struct, frozen=True):
    """This process got a signal that is not about children."""

    number: int


FromProcesses = FromZygote | Gone | Signalled


class Processes:
    """Delivers FromProcesses to the mailbox; nothing here blocks."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        zygote: Zygote,
        fork_zygote: Callable[[], Zygote],
        signals: SignalPipe,
    ) -> None:
        """``signals`` include SIGCHLD; ``zygote`` was forked first of all, by ``fork_zygote``."""
        self._mailbox = mailbox
        self._fork_zygote = fork_zygote
        self._signals = signals
        self._zygote: Zygote | None = zygote
        self._ending = False  # nothing new is forked, and what is left is killed
        mailbox.watch(signals.fileno(), self._read_signals)
        mailbox.watch(zygote.fileno(), self._read_zygote)

    def fork(self, ident: int, payload: bytes, descriptors: Mapping[str, int]) -> None:
        """Ask the zygote for a child.  Raises OSError as Zygote.fork does."""
        if self._zygote is None:
            raise ConnectionError("the zygote is dead")
        self._zygote.fork(ident, payload, descriptors)

    def kill_zygote(self) -> None:
        """It does not do its work; ZygoteLost follows."""
        if self._zygote is not None:
            self._zygote.kill()

    def renew(self) -> None:
        """Fork another zygote, after Gone.  This process has one thread, so it may fork."""
        self._ending = False
        self._zygote = self._fork_zygote()
        self._mailbox.watch(self._zygote.fileno(), self._read_zygote)

    def finish(self) -> None:
        """Let the zygote end, and kill what no supervisor knows; Gone follows."""
        self._ending = True
        if self._zygote is not None:
            self._mailbox.unwatch(self._zygote.fileno())
            self._zygote.hang_up()
            self._mailbox.later(ZYGOTE_GRACE, self.kill_zygote)
        for message in self._reap():
            self._mailbox.deliver(message)

    def _read_zygote(self) -> list[FromProcesses]:
        assert self._zygote is not None
        messages: list[FromProcesses] = [*self._zygote.read()]
        if messages and isinstance(messages[-1], ZygoteLost):
            self._zygote.kill()  # not reaped yet, so the pid is its own
            messages += self._lose_zygote()
        return messages

    def _read_signals(self) -> list[FromProcesses]:
        numbers = self._signals.read()
        messages: list[FromProcesses] = []
        if signal.SIGCHLD in numbers:
            messages += self._reap()
        messages += [Signalled(number) for number in numbers if number != signal.SIGCHLD]
        return messages

    def _reap(self) -> list[FromProcesses]:
        """Everything that died as a child of this process; Gone when that was all there is."""
        messages: list[FromProcesses] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if self._ending:
                    self._ending = False
                    messages.append(Gone())
                return messages
            if pid == 0:
                break
            if self._zygote is None or pid != self._zygote.pid:
                messages.append(Exited(pid, status))
            elif self._ending:
                self._zygote = None
            else:
                messages += self._zygote.read()  # what it said before it died
                messages += self._lose_zygote()
        if self._ending:
            self._kill_orphans()
        return messages

    def _lose_zygote(self) -> list[FromProcesses]:
        assert self._zygote is not None
        self._mailbox.unwatch(self._zygote.fileno())
        self._zygote.hang_up()
        self._zygote = None
        self._ending = True
        return self._reap()

    def _kill_orphans(self) -> None:
        for pid in children_of_this_process():
            if self._zygote is None or pid != self._zygote.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # our own child: nobody else can reap it
