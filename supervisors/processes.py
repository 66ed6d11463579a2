"""The processes of one supervisor: forked through its zygote, reaped by it or here.

Owns the zygote.  While the zygote lives it is the parent of all children and reaps them.  When it
dies, PDEATHSIG kills them, and this process, a subreaper, inherits and reaps them.  It inherits
too what ended lives below have left (leftovers.py).  The root has a guardian besides.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

import msgspec
from loguru import logger

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Timer
from holdfast.supervisors.guardian import Guardian
from holdfast.supervisors.leftovers import Leftovers
from holdfast.supervisors.linux import children_of_this_process
from holdfast.supervisors.lives import life_below
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.zygote import (
    Exited,
    Forked,
    ForkFailed,
    FromZygote,
    Zygote,
    ZygoteLost,
)

__all__ = ["FromProcesses", "Gone", "Processes", "Signalled"]

ZYGOTE_GRACE: Final = 1.0  # seconds to exit once its channel is closed; it takes one millisecond
FORK_TIMEOUT: Final = 5.0  # seconds to fork a child, which takes milliseconds: the zygote hangs
FIRST_FORK_TIMEOUT: Final = 30.0  # seconds; before it forks one it imports, from a slow disk maybe
LATE: Final = 1.0  # seconds; a timer that comes so late says that this process was stopped
GUARD_AGAIN: Final = 1.0  # seconds until a guardian that could not be forked is tried again


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
        life: str,
        guardian: Guardian | None = None,
    ) -> None:
        """``signals`` include SIGCHLD; ``zygote`` was forked first of all, by ``fork_zygote``.

        ``life`` is this supervisor's own, as lives.py has it.
        """
        self._mailbox = mailbox
        self._fork_zygote = fork_zygote
        self._signals = signals
        self._zygote: Zygote | None = zygote
        self._session = zygote.session  # of all below
        self._life = life
        self._guardian = guardian
        self._leftovers = Leftovers()
        self._state: Literal["forking", "lost", "finishing", "gone"] = "forking"
        self._has_forked = False  # the zygote has, at least once
        self._modules: list[str] = []  # what it imported besides what it was forked to import
        self._due: dict[int, Timer] = {}  # the answers of the zygote, by id
        mailbox.watch(signals.fileno(), self._read_signals)
        mailbox.watch(zygote.fileno(), self._read_zygote)

    def fork(self, ident: int, payload: bytes, descriptors: Mapping[str, int]) -> None:
        """Ask the zygote for a child.  Raises OSError as Zygote.fork does.

        A zygote that does not answer in time is killed; ZygoteLost follows.
        """
        if self._zygote is None:
            raise ConnectionError("the zygote is dead")
        self._zygote.fork(ident, payload, descriptors)
        self._await_fork(ident, FORK_TIMEOUT if self._has_forked else FIRST_FORK_TIMEOUT)

    def _await_fork(self, ident: int, timeout: float) -> None:
        due = self._mailbox.monotonic() + timeout

        def overdue() -> None:
            for message in () if self._zygote is None else self._read_zygote():
                self._mailbox.deliver(message)
            if self._due.pop(ident, None) is None:
                return
            if self._mailbox.monotonic() - due > LATE:  # it was not the zygote that hung
                self._await_fork(ident, timeout)
            else:
                self.kill_zygote()

        self._due[ident] = self._mailbox.later(timeout, overdue)

    def preload(self, modules: Sequence[str]) -> None:
        """Have the zygote, and every later one, import them before it forks somebody."""
        self._modules += [module for module in modules if module not in self._modules]
        if self._zygote is not None and self._modules:
            with suppress(OSError):  # it does not read: then the child imports them
                self._zygote.preload(self._modules)

    def kill_zygote(self) -> None:
        """It does not do its work; ZygoteLost follows."""
        if self._zygote is not None:
            self._zygote.kill()

    def renew(self) -> None:
        """Fork another zygote, after Gone.  This process has one thread, so it may fork."""
        self._state = "forking"
        self._has_forked = False
        self._zygote = self._fork_zygote()
        self._session = self._zygote.session
        if self._guardian is not None:
            self._guardian.watch(self._session)
        self._mailbox.watch(self._zygote.fileno(), self._read_zygote)
        self.preload(())

    def finish(self) -> None:
        """Let the zygote end, and kill what no supervisor knows; Gone follows."""
        self._state = "finishing"
        if self._zygote is not None:
            self._mailbox.unwatch(self._zygote.fileno())
            self._zygote.hang_up()
            self._mailbox.later(ZYGOTE_GRACE, self.kill_zygote)
        for message in self._reap():
            self._mailbox.deliver(message)

    def kill_leftovers(self, child: str, start: int, pid: int, *, is_supervisor: bool) -> bool:
        """SIGKILL what a child's life, now reaped, has left; whether there was anything.

        What it leaves hangs on this process by then.  An Exited follows for each.
        """
        return self._leftovers.kill(
            self._inherited(),
            life=life_below(self._life, child, start),
            group=pid,
            strays_in=self._session if is_supervisor else 0,
        )

    def _read_zygote(self) -> list[FromProcesses]:
        assert self._zygote is not None
        messages: list[FromProcesses] = [*self._hear(self._zygote)]
        if messages and isinstance(messages[-1], ZygoteLost):
            self._zygote.kill()  # not reaped yet, so the pid is its own
            self._lose_zygote()
            messages += self._reap()
        return messages

    def _hear(self, zygote: Zygote) -> list[FromZygote]:
        messages = zygote.read()
        for message in messages:
            match message:
                case Forked(id=ident) | ForkFailed(id=ident):
                    self._has_forked = True
                    if (timer := self._due.pop(ident, None)) is not None:
                        timer.cancel()
                    if isinstance(message, Forked):
                        self._leftovers.groups.add(message.pid)
                case Exited(pid=pid):
                    self._leftovers.reaped(pid)
                case _:
                    pass
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
                    said = self._hear(self._zygote)
                    if not said or not isinstance(said[-1], ZygoteLost):
                        said.append(ZygoteLost())
                    messages = [*said, *messages]
                    self._lose_zygote()
            elif self._guardian is not None and pid == self._guardian.pid:
                self._guard()
            elif pid:
                self._leftovers.reaped(pid)
                messages.append(Exited(pid, status))
        if self._state in ("lost", "finishing") and not self._clear():
            self._state = "gone"
            messages.append(Gone())
        return messages

    def _guard(self) -> None:
        """Have a guardian again."""
        assert self._guardian is not None
        try:
            self._guardian.renew()
        except OSError as error:
            logger.error("no guardian can be forked, trying again: {}", error)
            self._mailbox.later(GUARD_AGAIN, self._guard)

    def _lose_zygote(self) -> None:
        assert self._zygote is not None
        self._mailbox.unwatch(self._zygote.fileno())
        self._zygote.hang_up()
        self._zygote = None
        self._state = "lost"
        self._leftovers.groups.clear()  # those children have died, or are about to
        for timer in self._due.values():
            timer.cancel()
        self._due.clear()

    def _clear(self) -> bool:
        """Kill all that has no zygote any more, or simply all; whether there was anything."""
        if self._state == "lost":
            session = self._session
            return self._leftovers.kill(self._inherited(), life=self._life, strays_in=session)
        return self._leftovers.kill_all(self._inherited()) or self._zygote is not None

    def _inherited(self) -> list[int]:
        """The children of this process that it has not forked itself."""
        own = {each.pid for each in (self._zygote, self._guardian) if each is not None}
        return [pid for pid in children_of_this_process() if pid not in own]
