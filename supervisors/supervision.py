"""What a supervisor does when: the order of starts, one_for_one restarts, the order of stops.

Owns the children's history and the restart budget; lost with the supervisor's process.  Nothing
here waits: each method is the reaction to something that happened.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from socket import socket
from typing import Literal

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import Failed, Ready, StatusReply
from holdfast.actors.messages.supervisor import ChildState, LastExit
from holdfast.clock import Clock
from holdfast.supervisors.children import Child, ChildSaid, Overdue, is_restarted
from holdfast.supervisors.intensity import Backoff, RestartBudget
from holdfast.supervisors.lifeline import lifeline_pair
from holdfast.supervisors.output import Output
from holdfast.supervisors.processes import Gone, Processes
from holdfast.supervisors.reports import Reports, exit_text
from holdfast.supervisors.spec import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_SHUTDOWN,
    EXIT_STOPPED,
    ChildStart,
    Environment,
    SupervisorSpec,
    zygote_name,
)
from holdfast.supervisors.status import Rounds
from holdfast.supervisors.undertaker import Undertaker
from holdfast.supervisors.watches import Watches, unknown
from holdfast.supervisors.zygote import Exited, Forked, ForkFailed, ZygoteLost

__all__ = ["LIFELINE", "Supervision", "Upward"]

LIFELINE = "/lifeline"  # the descriptor's name in a fork request; no actor can be called so
STATUS_WAIT = 0.2  # seconds per level for the children to say how they are

_encode_start = msgspec.msgpack.Encoder().encode


class Upward(msgspec.Struct, frozen=True):
    """How a supervisor is heard by what started it."""

    ready: Callable[[], None]  # every child is ready
    failed: Callable[[str], None]  # the start failed, and why


class Supervision:
    """The children of one supervisor; its phases follow each other in the order below."""

    def __init__(
        self,
        *,
        name: str,
        incarnation: str,
        spec: SupervisorSpec,
        environment: Environment,
        mailbox: Mailbox,
        processes: Processes,
        listeners: Mapping[str, socket],
        output: Output,
        reports: Reports,
        upward: Upward,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """``listeners`` are those of all descendants, by name."""
        self.phase: Literal["starting", "running", "stopping", "stopped"] = "starting"
        self.exit_code, self.was_ready = EXIT_STOPPED, False
        self._name, self._spec = name, spec
        output.attach(mailbox)
        self._environment = environment
        self._mailbox = mailbox
        self._processes = processes
        self._listeners = listeners
        self._reports = reports
        self._upward = upward
        self._clock = clock
        self._budget = RestartBudget(
            max_restarts=spec.max_restarts, max_seconds=spec.max_seconds, clock=clock
        )
        self._children = {  # in start order
            child.id: Child(child, backoff=_backoff(spec, random), mailbox=mailbox, output=output)
            for child in spec.children
        }
        self.undertaker = Undertaker(mailbox=mailbox, listeners=listeners)
        self._forks: dict[int, Child] = {}  # asked of the zygote and not answered, by id
        self._fork_count = 0
        # Between the loss of a zygote and the next one: the children to start again.
        self._bereft: list[Child] | None = None
        self._why_lost = ""
        self.rounds = Rounds(
            mailbox=mailbox, children=self._children, deadline=STATUS_WAIT * spec.height
        )
        self.watches = Watches(name=name, life=incarnation, children=self._children, clock=clock)

    # -- starting -----------------------------------------------------------------------------

    def start_next(self) -> None:
        """Start the first child that never was; ready when there is none."""
        for child in self._children.values():
            if child.starts == 0:
                self._spawn(child)
                return
        self.phase = "running"
        self.was_ready = True
        self._upward.ready()

    def _spawn(self, child: Child) -> None:
        lifeline, theirs = lifeline_pair()
        child.begin(lifeline, self._clock.monotonic())
        incarnation = self.watches.life_of(child)
        evidence = child.evidence
        start = ChildStart(
            child.spec.id,
            incarnation,
            self._environment,
            child.spec.run,
            evidence.last_incarnation,
            evidence.suspects,
        )
        names = [child.spec.id]
        if isinstance(child.spec.run, SupervisorSpec):
            names += child.spec.run.descendants()
        descriptors = {name: self._listeners[name].fileno() for name in names}
        descriptors[LIFELINE] = theirs.fileno()
        descriptors |= child.output.begin()
        if not child.spec.is_supervisor:
            descriptors |= evidence.begin(incarnation)
        self._fork_count += 1
        self._forks[self._fork_count] = child
        try:
            self._processes.fork(self._fork_count, _encode_start(start), descriptors)
        except OSError as error:
            what = "its options are over 200 KB" if error.errno == errno.EMSGSIZE else str(error)
            self._mailbox.deliver(ForkFailed(self._fork_count, f"cannot be forked: {what}"))
        finally:
            theirs.close()
            child.output.given()

    def _ready(self, child: Child) -> None:
        if child.state != "starting":
            return  # told to stop meanwhile
        child.ready(self._clock.monotonic())
        self._reports.progress(child)
        if self.phase == "starting" and child.starts == 1:
            self.start_next()

    def supervisor_of(self, name: str) -> str:
        """Whose child ``name`` is; this one counts as its own.  Raises UnknownActorError."""
        if name == self._name:
            return name
        found = self._spec.supervisor_of(name, here=self._name)
        if found is None:
            raise unknown(name)
        return found

    # -- what happens to processes ------------------------------------------------------------

    def on_process(self, message: Forked | ForkFailed | Exited | ZygoteLost | Gone) -> None:
        """A process came, failed to come, went; or the zygote did."""
        match message:
            case Forked(id=ident, pid=pid, pidfd=pidfd):
                self._forks.pop(ident).forked(pid, pidfd)
            case ForkFailed(id=ident, reason=reason):
                if (child := self._forks.pop(ident, None)) is not None:  # else the zygote is lost
                    child.failure = reason
                    self._ended(child, None)
            case Exited(pid=pid, status=status):
                self._exited(pid, status)
            case ZygoteLost(reason=reason):
                self._zygote_lost(reason)
            case Gone():
                self._all_gone()

    def _exited(self, pid: int, status: int) -> None:
        for child in self._children.values():
            if child.pid == pid:
                child.reaped(status)
        # Other pids are those of leftovers; the last of them ends the wait for them.
        for child in [child for child in self._children.values() if child.exit_status is not None]:
            run = child.spec.run
            if not isinstance(run, SupervisorSpec) or not self._processes.kill_leftovers(
                {zygote_name(child.spec.id), *run.process_names}
            ):
                self._ended(child, child.exit_status)

    def on_child(self, message: ChildSaid | Overdue) -> None:
        """A child said something, or one of its deadlines has come."""
        child = self._children.get(message.child)
        if child is None or child.starts != message.start:
            return
        if isinstance(message, ChildSaid):
            for said in child.hear():
                self._said(child, said)
            return
        match message.what, child.state:
            case "start", "starting":
                child.kill("start_timeout")
            case "stop", "stopping":
                child.kill("shutdown_timeout")
            case "restart", "backoff":
                self._spawn(child)
            case "reap", _ if child.has_process:
                self._processes.kill_zygote()  # it neither forks nor reaps

    def _said(self, child: Child, message: Ready | Failed | StatusReply) -> None:
        match message:
            case Ready():
                self._ready(child)
            case Failed(traceback=text):
                child.failure = text
            case StatusReply():
                self.rounds.replied(child, message)

    def _ended(self, child: Child, status: int | None) -> None:
        """The process is reaped, or there was none: by what it was, restart, go on or give up."""
        for message in child.hear():
            self._said(child, message)
        was, pid, now = child.state, child.pid, self._clock.monotonic()
        last_exit = child.ended(status, self._clock.time_us() / 1e6)
        child.evidence.ended(exit_text(last_exit), crashed=was == "running")
        self._tell_of_end(child, last_exit)
        if self._bereft is not None:
            return
        if self.phase in ("stopping", "stopped"):
            self._stopped(child, was, pid)
        elif was == "starting":
            self._reports.start_error(child, pid)
            if child.starts == 1 and self.phase == "starting":
                self._abort(child, last_exit)
            else:
                self._restart(child, last_exit, now)
        else:
            self._reports.child_terminated(child, pid)
            self._restart(child, last_exit, now)

    def _tell_of_end(self, child: Child, last_exit: LastExit) -> None:
        self.rounds.forget(child)
        self.watches.ended(child, last_exit)

    # -- restarting ---------------------------------------------------------------------------

    def _restart(self, child: Child, last_exit: LastExit, now: float) -> None:
        was_ready = child.ready_at is not None
        if not is_restarted(child.spec.restart, last_exit, was_ready=was_ready):
            self._gone(child)
        elif not child.evidence.is_poison and not self._budget.charge():
            self._give_up(child)
        else:
            child.restarts += 1
            delay = child.backoff.delay(lived=child.lived(now))
            if delay > 0:
                child.wait(delay)
            else:
                self._spawn(child)

    def _gone(self, child: Child) -> None:
        """It is not started again: somebody has to answer for it."""
        if child.spec.restart == "temporary":
            del self._children[child.spec.id]
        self.undertaker.take_over(child)

    def _give_up(self, child: Child | None) -> None:
        spec = self._spec
        self._reports.gave_up(child, max_restarts=spec.max_restarts, max_seconds=spec.max_seconds)
        self.stop(EXIT_SHUTDOWN)

    def _zygote_lost(self, reason: str) -> None:
        """All children die with it: one failure, whatever their number."""
        self._reports.zygote_lost(reason)
        self._why_lost = reason
        self._forks.clear()
        self._bereft = []
        for child in self._children.values():
            if child.has_process or child.state == "backoff":
                self._bereft.append(child)
            if child.has_process:
                child.kill("zygote_lost")
            else:
                child.cancel()

    def _all_gone(self) -> None:
        """Neither a child nor a zygote is left."""
        if self._bereft is None:
            self.phase = "stopped"
            self.undertaker.close()
            self._mailbox.stop()
            return
        bereft, self._bereft = self._bereft, None
        for child in bereft:
            if child.has_process:  # the zygote reaped it and could not tell
                self._tell_of_end(child, child.ended(None, self._clock.time_us() / 1e6))
        match self.phase:
            case "starting":
                self._upward.failed(f"the zygote of {self._name!r} is lost: {self._why_lost}")
                self.stop(EXIT_FAILED)
            case "running" if self._budget.charge():
                self._processes.renew()
                for child in bereft:
                    if child.spec.restart == "temporary":
                        self._gone(child)
                    else:
                        child.restarts += 1
                        self._spawn(child)
            case "running":
                self._give_up(None)
            case _:
                self._stop_next()

    # -- stopping -----------------------------------------------------------------------------

    def stop(self, exit_code: int) -> None:
        """Stop the children one by one, the last started first, then this supervisor."""
        if self.phase in ("stopping", "stopped"):
            return
        self.phase = "stopping"
        self.exit_code = exit_code
        for child in self._children.values():
            if not child.has_process:
                child.cancel()
        if self._bereft is None:
            self._stop_next()

    def _stop_next(self) -> None:
        for child in reversed(self._children.values()):
            if child.has_process:
                if child.state != "stopping":
                    child.stop()
                return
        self._processes.finish()

    def _stopped(self, child: Child, was: ChildState, pid: int | None) -> None:
        """A child ended while all are being stopped; one report, whatever it died of."""
        assert child.last_exit is not None
        if was == "running":
            self._reports.child_terminated(child, pid)
        elif child.ready_at is not None and child.last_exit.code != EXIT_STOPPED:
            self._reports.shutdown_error(child, pid)
        else:
            self._reports.stopped(child)
        child.cancel()
        self._stop_next()

    def _abort(self, child: Child, last_exit: LastExit) -> None:
        """A child did not come up when the tree did: nothing of it may stay."""
        text = child.failure
        # A supervisor that got as far as to fail has said all this of its own child.
        if not child.spec.is_supervisor or not text or last_exit.kind == "not_forked":
            where = f" ({child.spec.where})" if child.spec.where else ""
            text = f"child {child.spec.id!r}{where} did not start: {exit_text(last_exit)}\n{text}"
        self._upward.failed(text.rstrip())
        self.stop(EXIT_CONFIG if last_exit.code == EXIT_CONFIG else EXIT_FAILED)


def _backoff(spec: SupervisorSpec, random: Callable[[], float]) -> Backoff:
    return Backoff(
        initial=spec.backoff,
        factor=spec.backoff_factor,
        maximum=spec.backoff_max,
        jitter=spec.backoff_jitter,
        stable_after=spec.stable_after,
        random=random,
    )
