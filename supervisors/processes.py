"""The processes of one supervisor: forked through its zygote, reaped by it or here.

Owns the zygote.  While the zygote lives it is the parent of all children and reaps them.  When it
dies, PDEATHSIG kills them, and this process, a subreaper, inherits and reaps them.  It inherits
too what a dead supervisor below left to die, and programs that agents have started, which are
let alone until the end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.supervisors.linux import children_of_this_process, process_name, shown_name
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.zygote import Exited, FromZygote, Zygote, ZygoteLost

__all__ = ["FromProcesses", "Gone", "Processes", "Signalled"]

ZYGOTE_GRACE: Final = 1.0  # seconds to exit once its channel is closed; it takes one millisecond


class Gone(msgspec.Struct, frozen=True):
    """No child is left after the loss of the zygote; after ``finish``, no process at all."""


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
        self.names: Callable[[], Collection[str]] = tuple  # of all processes below
        self._state: Literal["forking", "lost", "finishing", "gone"] = "forking"
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
        self._state = "forking"
        self._zygote = self._fork_zygote()
        self._mailbox.watch(self._zygote.fileno(), self._read_zygote)

    def finish(self) -> None:
        """Let the zygote end, and kill what no supervisor knows; Gone follows."""
        self._state = "finishing"
        if self._zygote is not None:
            self._mailbox.unwatch(self._zygote.fileno())
            self._zygote.hang_up()
            self._mailbox.later(ZYGOTE_GRACE, self.kill_zygote)
        for message in self._reap():
            self._mailbox.deliver(message)

    def kill_leftovers(self, names: Collection[str]) -> bool:
        """SIGKILL what was inherited under one of these names; whether there was anything.

        Asked when a supervisor below is reaped: what it leaves hangs on this process by then, and
        dies of PDEATHSIG anyway.  An Exited follows for each.
        """
        shown = {shown_name(name) for name in names}
        return self._kill_children(lambda pid: process_name(pid) in shown)

    def _read_zygote(self) -> list[FromProcesses]:
        assert self._zygote is not None
        messages: list[FromProcesses] = [*self._zygote.read()]
        if messages and isinstance(messages[-1], ZygoteLost):
            self._zygote.kill()  # not reaped yet, so the pid is its own
            self._lose_zygote()
            messages += self._reap()
        return messages

    def _read_signals(self) -> list[FromProcesses]:
        numbers = self._signals.read()
        messages: list[FromProcesses] = []
        if signal.SIGCHLD in numbers:
            messages += self._reap()
        messages += [Signalled(number) for number in numbers if number != signal.SIGCHLD]
        return messages

    def _reap(self) -> list[FromProcesses]:
        """Everything that died as a child of this process; Gone when that was the last."""
        messages: list[FromProcesses] = []
        pid = -1
        while pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if self._zygote is not None and pid == self._zygote.pid:
                if self._state == "finishing":
                    self._zygote = None
                else:
                    # What it said before it died comes before what died of that.  There is no
                    # end of file while a child that it has just forked still has its channel.
                    said = self._zygote.read()
                    if not said or not isinstance(said[-1], ZygoteLost):
                        said.append(ZygoteLost())
                    messages = [*said, *messages]
                    self._lose_zygote()
            elif pid:
                messages.append(Exited(pid, status))
        if (self._state == "lost" and not self.kill_leftovers(self.names())) or (
            self._state == "finishing" and not self._kill_children(lambda _: True)
        ):
            self._state = "gone"
            messages.append(Gone())
        return messages

    def _lose_zygote(self) -> None:
        assert self._zygote is not None
        self._mailbox.unwatch(self._zygote.fileno())
        self._zygote.hang_up()
        self._zygote = None
        self._state = "lost"

    def _kill_children(self, is_meant: Callable[[int], bool]) -> bool:
        """Whether there were any; of those that die, a SIGCHLD comes."""
        found = False
        for pid in children_of_this_process():
            if self._zygote is not None and pid == self._zygote.pid:
                found |= self._state == "finishing"  # it is ending by itself
            elif is_meant(pid):
                found = True
                os.kill(pid, signal.SIGKILL)  # our own child: nobody else can reap it
        return found
