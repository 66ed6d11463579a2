"""One child as its supervisor sees it: its process, its state, its history.

The state machine of a child, without the supervisor's decisions; what happens to the process
comes to the supervisor's mailbox as ChildSaid and Overdue.  Lost when the supervisor dies:
all of it, and the child with it.
"""

from __future__ import annotations

import math
import os
import signal
from typing import Final, Literal

import msgspec

from holdfast.actors.handling import quantile
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import (
    FromChild,
    FromParent,
    GetStatus,
    StatusReply,
    Stop,
)
from holdfast.actors.messages.supervisor import ChildState, ChildStatus, LastExit
from holdfast.actors.reactor import Timer
from holdfast.supervisors.changes import Change
from holdfast.supervisors.evidence import Evidence
from holdfast.supervisors.intensity import Backoff
from holdfast.supervisors.lifeline import Lifeline
from holdfast.supervisors.linux import process_stat
from holdfast.supervisors.output import Output
from holdfast.supervisors.settings import Restart, Shutdown
from holdfast.supervisors.spec import EXIT_FAILED, EXIT_SHUTDOWN, EXIT_STOPPED, ChildSpec

__all__ = ["LATE", "Child", "ChildSaid", "Overdue", "Verdict", "exit_of", "is_restarted"]

SLACK: Final = 0.5  # seconds; a supervisor below has killed what is left by then
EXITS: Final = 3  # that are remembered of each child
NOTHING: Final = StatusReply(0, 0, 0)
# Seconds from a death to its reap, which follows in a millisecond; all children die for a late one.
REAP_GRACE: Final = 5.0
LATE: Final = 0.5  # seconds; a deadline that is heard of so much later was not the child's alone

# Why a supervisor killed a child; it is the kind of the exit that follows.
Verdict = Literal["start_timeout", "shutdown_timeout", "hang", "zygote_lost"]


Deadline = Literal["start", "stop", "restart", "reap"]


class ChildSaid(msgspec.Struct, frozen=True):
    """The incarnation ``start`` of a child said something on its lifeline: hear it."""

    child: str
    start: int


class Overdue(msgspec.Struct, frozen=True):
    """The deadline that the state of incarnation ``start`` had."""

    child: str
    start: int
    what: Deadline


class Child:
    """A child's spec, the process that runs it now if any, and what happened to those before."""

    def __init__(
        self,
        spec: ChildSpec,
        *,
        backoff: Backoff,
        mailbox: Mailbox,
        output: Output,
        is_added: bool = False,
    ) -> None:
        """``is_added``: by a message, after its supervisor had started."""
        self.spec = spec
        self.is_added = is_added
        self.backoff = backoff
        self.output = output.child(spec)
        self.evidence = Evidence(spec.id, accuses=not spec.is_supervisor)
        self.state: ChildState = "stopped"
        self.starts = self.before = 0  # the incarnation; the last of those that had its name
        self.restarts = 0
        self.last_exit: LastExit | None = None
        self.exits: list[LastExit] = []  # the newest ones, that in the end
        self.pid: int | None = None  # None while the zygote has not answered yet
        self.started_at = 0.0  # monotonic
        self.ready_at: float | None = None  # monotonic
        self.is_watched = False  # it runs, and the watchdog has not found it to hang
        self.failure = self.cause = ""  # what it said of its death
        self.exit_status: int | None = None  # reaped, but something that it left is still dying
        self.said = NOTHING  # its last status reply
        self.dynamic: dict[str, str] = {}  # of a supervisor: children added below, and whose
        self.childrens_shutdown: Shutdown | None = None  # and what those it has now may take
        self.unstable = 0  # lives in a row that ended by themselves and were not stable
        self.change = Change()  # what it was asked to become
        self.unlisted: set[str] = set()  # of a supervisor: names that were below it, and are not
        self._home = mailbox  # the supervisor's
        self._pidfd = -1
        self._lifeline: Lifeline[FromChild] | None = None
        # Read and not handled.  Not in the mailbox, where a death could overtake it.
        self._heard: list[FromChild] = []
        self._timer: Timer | None = None  # the one deadline that its state has
        self._deadline: tuple[float, Deadline] = 0.0, "start"  # how that was set
        self._verdict: Verdict | None = None
        self._is_doomed = False  # to be killed as soon as there is a process

    @property
    def has_process(self) -> bool:
        """There is a process, or one was asked for."""
        return self.state in ("starting", "running", "stopping")

    @property
    def shutdown(self) -> Shutdown:
        """What it may take to stop."""
        if self.spec.takes_childrens_time and self.childrens_shutdown is not None:
            return self.childrens_shutdown
        return self.spec.shutdown

    def begin(self, now: float) -> None:
        """Another process is being asked for."""
        self.state = "starting"
        self.restarts += self.starts > self.before
        self.starts += 1
        self.started_at, self.ready_at = now, None
        self.failure = self.cause = ""
        self.exit_status = None
        self._heard = []
        self.said = NOTHING
        self.dynamic = {}
        self.childrens_shutdown = None
        self._verdict, self._is_doomed = None, False
        self._arm(self.spec.start_timeout, "start")

    def tie(self, lifeline: Lifeline[FromChild]) -> None:
        """What ties the life that begins to this process."""
        self._lifeline = lifeline

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
        self.is_watched = True

    def wait(self, delay: float) -> None:
        """No process for now; Overdue comes when the next one is due."""
        self.state = "backoff"
        self._arm(delay, "restart")

    def ask_status(self, ident: int) -> bool:
        """Have it say how it is; False when it cannot."""
        # A supervisor answers while it stops: whom it waits for is what one wants to know then.
        is_able = self.state == "running" or (self.spec.is_supervisor and self.state == "stopping")
        if not is_able or self._lifeline is None:
            return False
        self._lifeline.send(GetStatus(ident))
        return True

    def tell(self, message: FromParent) -> None:
        """Say it to the process that runs."""
        if self._lifeline is not None:
            self._lifeline.send(message)

    def stop(self, within: float = math.inf) -> None:
        """Have it end in its own order, or now when it has none yet; Overdue comes if it has not.

        ``within``: seconds that are left for it, whatever its spec says.  A nested supervisor can
        stop at any time, and its children deserve it.
        """
        is_able = self.state == "running" or self.spec.is_supervisor
        limit = self.shutdown
        self.state, self.is_watched = "stopping", False
        self._disarm()
        if not is_able or self._lifeline is None or limit == "brutal_kill":
            self.kill(None)
            return
        seconds = within if isinstance(limit, str) else min(within, limit)
        if math.isinf(seconds):
            self._lifeline.send(Stop())
        else:
            self._lifeline.send(Stop(max(0.0, seconds - SLACK)))
            self._arm(seconds, "stop")

    def queue(self) -> None:
        """It is to be started again, when others have stopped or are ready."""
        self._disarm()
        if self.starts > self.before and not self.has_process:
            self.state = "backoff"

    @property
    def is_waiting(self) -> bool:
        """The pause before its next start is not over."""
        return self.state == "backoff" and self._timer is not None

    def due(self) -> None:
        """The deadline that it had has come."""
        self._timer = None

    def lived_stably(self, now: float, stable_after: float) -> bool:
        """Whether its present life counts as a success."""
        return self.ready_at is not None and now - self.ready_at >= stable_after

    @property
    def is_as_told(self) -> bool:
        """Whether its end, after it was told to stop, is what its spec says.

        One that was never ready is killed, and so is a brutal_kill; a supervisor may have been
        about to give up.
        """
        last = self.last_exit
        assert last is not None
        if self.ready_at is None or last.code in (EXIT_STOPPED, EXIT_SHUTDOWN):
            return True
        return self.spec.shutdown == "brutal_kill" and last.signal == signal.SIGKILL

    def give_up(self) -> None:
        """It was one failure too many."""
        self.state = "fatal"

    def cancel(self) -> None:
        """Nothing more is due; without a process, it is stopped."""
        self._disarm()
        if not self.has_process:
            self.state = "stopped"

    def kill(self, verdict: Verdict | None) -> None:
        """SIGKILL, as soon as there is a process."""
        self._verdict, self._is_doomed, self.is_watched = verdict, True, False
        if self._pidfd >= 0:
            self._disarm()
            self.signal(signal.SIGKILL)
        else:
            self._arm(REAP_GRACE, "reap")

    def signal(self, number: int) -> bool:
        """Through the pidfd, so that no recycled pid is ever hit; False when it is gone."""
        if self._pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return False
        return True

    def hear(self) -> list[FromChild]:
        """What it said since; of a dead child, all it ever did."""
        if self._lifeline is not None:
            self._listen()
        heard, self._heard = self._heard, []
        return heard

    def is_due(self, overdue: Overdue) -> bool:
        """Whether its time is up; a supervisor that was held up itself gives all of it again."""
        if overdue.what == "restart":
            return True
        if self._timer is None:
            return False
        late = self._home.monotonic() - self._timer.deadline
        if late > LATE:
            self.renew_deadline()
        return 0 <= late <= LATE

    def renew_deadline(self) -> None:
        """The time that it has for what it does begins anew."""
        delay, what = self._deadline
        if self._timer is not None and what != "restart":
            self._arm(delay, what)

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
        self.change.died()
        self.pid = None
        self.state, self.is_watched = "exited", False
        # Those below a supervisor went with it.
        self.said = msgspec.structs.replace(self.said, children=[], gone=[], rate=0.0)
        if status is None:
            last = LastExit(self._verdict or "not_forked", None, None, at)
        else:
            last = exit_of(status, self._verdict, at, cause=self.cause)
        self.last_exit, self.exits = last, [*self.exits, last][-EXITS:]
        return last

    def lived(self, now: float) -> float:
        """Seconds since it was ready; 0 if it never was."""
        return 0.0 if self.ready_at is None else now - self.ready_at

    def status(self) -> ChildStatus:
        """What the tree shows of it."""
        stat = None if self.pid is None else process_stat(self.pid)
        signs, now, said = self.evidence.signs, self._home.monotonic(), self.said
        return ChildStatus(
            id=self.spec.id,
            pid=self.pid,
            state=self.state,
            incarnation=self.starts,
            restarts=self.restarts + (self.state == "backoff"),  # the one that is due counts
            restart=self.spec.restart,
            last_exit=self.last_exit,
            mailbox=said.mailbox,
            handled=said.handled,
            rss=0 if stat is None else stat.rss,
            children=said.children,
            gone=said.gone,
            traffic=said.traffic,
            uptime=self.lived(now) if self.has_process else 0.0,
            cpu=0.0 if stat is None else stat.cpu,
            last_message=signs.last_message,
            busy=max(0.0, now - signs.since) if signs.since else 0.0,
            rate=said.rate,
            p50=quantile(said.handling, 0.5),
            p99=quantile(said.handling, 0.99),
            handling=said.handling,
            handling_seconds=said.handling_seconds,
            exits=self.exits,
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

    def _arm(self, delay: float, what: Deadline) -> None:
        self._disarm()
        self._deadline = delay, what
        self._timer = self._home.after(delay, Overdue(self.spec.id, self.starts, what))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def exit_of(status: int, verdict: Verdict | None, at: float, *, cause: str = "") -> LastExit:
    """The exit that waitpid's ``status`` means, at ``at`` seconds since 1970.

    ``cause`` is what a process that failed has said of it, if that has a name.
    """
    number = os.waitstatus_to_exitcode(status)
    code, signal_ = (number, None) if number >= 0 else (None, -number)
    if verdict is not None and signal_ == signal.SIGKILL:
        kind: str = verdict
    elif signal_ is not None:
        kind = "signal"
    elif code == EXIT_FAILED and cause:
        kind = cause
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
