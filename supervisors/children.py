"""One child as its supervisor sees it: its process, its state, its history.

The state machine of a child, without the supervisor's decisions; what happens to the process
comes to the supervisor's mailbox as ChildSaid and Overdue.  Lost when the supervisor dies:
all of it, and the child with it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final, Literal

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import FromChild, GetStatus, Stop
from holdfast.actors.messages.supervisor import (
    ChildState,
    ChildStatus,
    GoneActor,
    LastExit,
    Traffic,
)
from holdfast.actors.reactor import Timer
from holdfast.supervisors.evidence import Evidence
from holdfast.supervisors.intensity import Backoff
from holdfast.supervisors.lifeline import Lifeline
from holdfast.supervisors.linux import resident_bytes
from holdfast.supervisors.output import Output
from holdfast.supervisors.settings import Restart
from holdfast.supervisors.spec import EXIT_SHUTDOWN, EXIT_STOPPED, ChildSpec

__all__ = ["Child", "ChildSaid", "Overdue", "Verdict", "exit_of", "is_restarted"]

REAP_GRACE: Final = 1.0  # seconds from a death to its reap, which follows in a millisecond

# Why a supervisor killed a child; it is the kind of the exit that follows.
Verdict = Literal["start_timeout", "shutdown_timeout", "zygote_lost"]


class ChildSaid(msgspec.Struct, frozen=True):
    """The incarnation ``start`` of a child said something on its lifeline: hear it."""

    child: str
    start: int


class Overdue(msgspec.Struct, frozen=True):
    """The deadline that the state of incarnation ``start`` had."""

    child: str
    start: int
    what: Literal["start", "stop", "restart", "reap"]


class Child:
    """A child's spec, the process that runs it now if any, and what happened to those before."""

    def __init__(
        self, spec: ChildSpec, *, backoff: Backoff, mailbox: Mailbox, output: Output
    ) -> None:
        self.spec = spec
        self.backoff = backoff
        self.output = output.child(spec)
        self.evidence = Evidence(spec.id)
        self.state: ChildState = "stopped"
        self.starts = 0  # the incarnation
        self.restarts = 0
        self.last_exit: LastExit | None = None
        self.pid: int | None = None  # None while the zygote has not answered yet
        self.started_at = 0.0  # monotonic
        self.ready_at: float | None = None  # monotonic
        self.failure = ""  # what it said of its death
        self.exit_status: int | None = None  # reaped, but something that it left is still dying
        self.mailbox = 0  # of its last status reply, as the four below
        self.handled = 0
        self.children: list[ChildStatus] = []
        self.gone: list[GoneActor] = []
        self.traffic = Traffic()
        self._home = mailbox  # the supervisor's
        self._pidfd = -1
        self._lifeline: Lifeline[FromChild] | None = None
        # Read and not handled.  Not in the mailbox, where a death could overtake it.
        self._heard: list[FromChild] = []
        self._timer: Timer | None = None  # the one deadline that its state has
        self._verdict: Verdict | None = None
        self._is_doomed = False  # to be killed as soon as there is a process

    @property
    def has_process(self) -> bool:
        """There is a process, or one was asked for."""
        return self.state in ("starting", "running", "stopping")

    def begin(self, lifeline: Lifeline[FromChild], now: float) -> None:
        """Another process is being asked for."""
        self.state = "starting"
        self.starts += 1
        self.started_at, self.ready_at = now, None
        self.failure = ""
        self.exit_status = None
        self._heard = []
        self.mailbox = self.handled = 0
        self.children = []
        self.gone = []
        self.traffic = Traffic()
        self._verdict, self._is_doomed = None, False
        self._lifeline = lifeline
        self._arm(self.spec.start_timeout, "start")

    def forked(self, pid: int, pidfd: int) -> None:
        """There is a process."""
        self.pid, self._pidfd = pid, pidfd
        self._home.watch(pidfd, self._notice_death)
        # Not before: a child may be ready before the zygote has told its pid.
        assert self._lifeline is not None
        self._home.watch(self._lifeline.fileno(), self._listen)
        self.output.listen(pid)
        if self._is_doomed:
            self.kill(self._verdict)

    def ready(self, now: float) -> None:
        """It takes messages."""
        self._disarm()
        self.state = "running"
        self.ready_at = now

    def wait(self, delay: float) -> None:
        """No process for now; Overdue comes when the next one is due."""
        self.state = "backoff"
        self._arm(delay, "restart")

    def ask_status(self, ident: int) -> bool:
        """Have it say how it is; False when it cannot."""
        if self.state != "running" or self._lifeline is None:
            return False
        self._lifeline.send(GetStatus(ident))
        return True

    def stop(self) -> None:
        """Have it end in its own order, or now when it has none yet; Overdue comes if it has not.

        A nested supervisor can stop at any time, and its children deserve it.
        """
        is_able = self.state == "running" or self.spec.is_supervisor
        shutdown = self.spec.shutdown
        self.state = "stopping"
        self._disarm()
        if not is_able or self._lifeline is None or shutdown == "brutal_kill":
            self.kill(None)
            return
        self._lifeline.send(Stop())
        if not isinstance(shutdown, str):
            self._arm(shutdown, "stop")

    def cancel(self) -> None:
        """Nothing more is due; without a process, it is stopped."""
        self._disarm()
        if not self.has_process:
            self.state = "stopped"

    def kill(self, verdict: Verdict | None) -> None:
        """SIGKILL; through the pidfd, so that no recycled pid is ever hit."""
        self._verdict, self._is_doomed = verdict, True
        if self._pidfd >= 0:
            self._disarm()
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        else:
            self._arm(REAP_GRACE, "reap")

    def hear(self) -> list[FromChild]:
        """What it said since; of a dead child, all it ever did."""
        if self._lifeline is not None:
            self._listen()
        heard, self._heard = self._heard, []
        return heard

    def reaped(self, status: int) -> None:
        """The process is no more; nothing is due from it."""
        self._disarm()
        self.exit_status = status

    def ended(self, status: int | None, at: float) -> LastExit:
        """All of it is over: reaped with ``status``, or it is known that there is none (None)."""
        self._disarm()
        self.output.end()
        self.exit_status = None
        if self._pidfd >= 0:
            self._home.unwatch(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._lifeline is not None:
            self._home.unwatch(self._lifeline.fileno())
            self._lifeline.close()
            self._lifeline = None
        self.pid = None
        self.state = "exited"
        if status is None:
            self.last_exit = LastExit(self._verdict or "not_forked", None, None, at)
        else:
            self.last_exit = exit_of(status, self._verdict, at)
        return self.last_exit

    def lived(self, now: float) -> float:
        """Seconds since it was ready; 0 if it never was."""
        return 0.0 if self.ready_at is None else now - self.ready_at

    def status(self) -> ChildStatus:
        """What the tree shows of it."""
        return ChildStatus(
            id=self.spec.id,
            pid=self.pid,
            state=self.state,
            incarnation=self.starts,
            restarts=self.restarts,
            last_exit=self.last_exit,
            mailbox=self.mailbox,
            handled=self.handled,
            rss=0 if self.pid is None else resident_bytes(self.pid),
            children=self.children,
            gone=self.gone,
            traffic=self.traffic,
        )

    def _listen(self) -> list[ChildSaid]:
        assert self._lifeline is not None
        self._heard += self._lifeline.hear()
        if self._lifeline.ended:  # dead or dying; that it is comes from the pidfd and the reap
            self._home.unwatch(self._lifeline.fileno())
        return [ChildSaid(self.spec.id, self.starts)] if self._heard else []

    def _notice_death(self) -> list[Overdue]:
        """The pidfd is readable; the reap, which makes the death official, has to follow."""
        self._home.unwatch(self._pidfd)
        self._arm(REAP_GRACE, "reap")
        return []

    def _arm(self, delay: float, what: Literal["start", "stop", "restart", "reap"]) -> None:
        self._disarm()
        self._timer = self._home.after(delay, Overdue(self.spec.id, self.starts, what))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def exit_of(status: int, verdict: Verdict | None, at: float) -> LastExit:
    """The exit that waitpid's ``status`` means, at ``at`` seconds since 1970."""
    number = os.waitstatus_to_exitcode(status)
    code, signal_ = (number, None) if number >= 0 else (None, -number)
    if verdict is not None and signal_ == signal.SIGKILL:
        kind: str = verdict
    elif signal_ is not None:
        kind = "signal"
    else:
        kind = "shutdown" if code == EXIT_SHUTDOWN else "exit"
    return LastExit(kind=kind, code=code, signal=signal_, at=at)


def is_restarted(restart: Restart, last_exit: LastExit, *, was_ready: bool) -> bool:
    """OTP's table.  A start that failed is tried again, whatever the exit code."""
    match restart:
        case "permanent":
            return True
        case "transient":
            return not was_ready or last_exit.code not in (EXIT_STOPPED, EXIT_SHUTDOWN)
        case "temporary":
            return False
