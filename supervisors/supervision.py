"""What a supervisor does when: starts in order, restarts by its strategy, stops in reverse.

Owns the children's history and the restart budget; lost with the supervisor's process.  Nothing
here waits: each method is the reaction to something that happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import (
    Below,
    Failed,
    FromChild,
    Ready,
    Reconfigured,
    StatusReply,
)
from holdfast.actors.messages.supervisor import ChildState, LastExit
from holdfast.clock import Clock
from holdfast.supervisors.children import Child, ChildSaid, Overdue
from holdfast.supervisors.ending import Ending
from holdfast.supervisors.launcher import Launcher
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.orders import Orders
from holdfast.supervisors.output import Output
from holdfast.supervisors.processes import Gone, Processes
from holdfast.supervisors.reports import Reports, exit_text
from holdfast.supervisors.restart_limits import RestartLimits
from holdfast.supervisors.restarting import Decided, Restarting
from holdfast.supervisors.roster import Roster
from holdfast.supervisors.settings import Shutdown
from holdfast.supervisors.spec import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_SHUTDOWN,
    EXIT_STOPPED,
    Environment,
    SupervisorSpec,
    Terms,
)
from holdfast.supervisors.status import Rounds
from holdfast.supervisors.undertaker import Undertaker
from holdfast.supervisors.watchdog import Watchdog
from holdfast.supervisors.watches import Watches
from holdfast.supervisors.zygote import Exited, Forked, ForkFailed, ZygoteLost

__all__ = ["Given", "Supervision", "Upward"]

STATUS_WAIT = 0.2  # seconds per level for the children to say how they are


class Upward(msgspec.Struct, frozen=True):
    """How a supervisor is heard by what started it."""

    ready: Callable[[], None]  # every child is ready
    failed: Callable[[str], None]  # the start failed, and why
    # Children that messages added, and whose they are; what all children may take to stop.
    below: Callable[[dict[str, str], Shutdown], None]
    stopping: Callable[[], None] = lambda: None  # the stop has begun


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor is made of; ``listeners`` are those of all descendants, by name."""

    name: str
    incarnation: str
    spec: SupervisorSpec
    environment: Environment
    mailbox: Mailbox
    processes: Processes
    listeners: Listeners
    output: Output
    reports: Reports
    upward: Upward
    clock: Clock
    random: Callable[[], float]
    heartbeat: float = 0.0  # as its parent has told it
    take_on: Callable[[Terms], None] = lambda _: None  # what its own process is to be


class Supervision:
    """The children of one supervisor; its phases follow each other in the order below."""

    def __init__(self, given: Given) -> None:
        spec, mailbox, clock, life = given.spec, given.mailbox, given.clock, given.incarnation
        self.phase: Literal["starting", "running", "stopping", "stopped"] = "starting"
        self.exit_code, self.was_ready = EXIT_STOPPED, False
        self.is_complete = False  # its significant children have ended: that is why it stops
        given.output.attach(mailbox)
        self.orders = Orders()
        self.undertaker = Undertaker(mailbox=mailbox, listeners=given.listeners)
        self._name, self._spec, self._clock = given.name, spec, clock
        self.terms = Terms(given.environment, spec, given.heartbeat)
        self._take_on = given.take_on
        self._mailbox, self._processes = mailbox, given.processes
        self.preload = given.processes.preload  # into what forks the children
        self.reports, self._upward = given.reports, given.upward
        self._limits = RestartLimits(spec, clock=clock, random=given.random)
        self.roster = Roster(
            name=given.name,
            spec=spec,
            mailbox=mailbox,
            limits=self._limits,
            listeners=given.listeners,
            output=given.output,
            undertaker=self.undertaker,
            tell_below=given.upward.below,
            held=given.environment.held,
        )
        self._children = children = self.roster.children
        wait = STATUS_WAIT * spec.height
        self.rounds = Rounds(mailbox=mailbox, children=children, deadline=wait)
        self.watches = Watches(name=given.name, life=life, children=children, clock=clock)
        self.launcher = Launcher(
            environment=given.environment,
            mailbox=mailbox,
            processes=given.processes,
            listeners=given.listeners,
            watches=self.watches,
            heartbeat=spec.pulse,
            clock=clock,
        )
        self.ending = Ending(mailbox=mailbox, children=children, clock=clock)
        self._watchdog = Watchdog(spec, children, home=mailbox, reports=given.reports)
        self.restarting = self._restarting()
        # Between the loss of a zygote and the next one: the children to start again.
        self._bereft: list[Child] | None = None
        self._why_lost = ""

    def _restarting(self) -> Restarting:
        return Restarting(
            spec=self._spec,
            roster=self.roster,
            launcher=self.launcher,
            limits=self._limits,
            orders=self.orders,
            undertaker=self.undertaker,
            watches=self.watches,
            decided=Decided(self._all_up, self._give_up, self._shut_down),
        )

    def adopt(self, terms: Terms) -> None:
        """Go by these from now on; the children are as they were."""
        assert isinstance(terms.run, SupervisorSpec)
        self.terms, self._spec = terms, terms.run
        self._limits.adopt(terms.run, self._children.values())
        self.roster.adopt(terms.run, terms.environment.held)
        self.restarting.adopt(terms.run)
        self._watchdog.adopt(terms.run)
        self.rounds.deadline = STATUS_WAIT * terms.run.height
        self.launcher.adopt(terms.environment, terms.run.pulse)
        self._take_on(terms)

    def watch_all(self) -> None:
        """Limits that were none may be some now."""
        for child in self._children.values():
            if child.is_watched:
                self._watchdog.attend(child)

    # -- starting -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start all children; ready when they are."""
        self.restarting.start_all(self.roster.startable)

    def _all_up(self) -> None:
        if self.phase == "starting":
            self.phase = "running"
            self.was_ready = True
            self._upward.ready()

    def _ready(self, child: Child) -> None:
        if child.state != "starting":
            return  # told to stop meanwhile
        child.ready(self._clock.monotonic())
        self._watchdog.attend(child)
        self.reports.progress(child)
        self.orders.ready(child, self.watches.life_of(child))
        self.restarting.proceed()

    # -- what happens to processes ------------------------------------------------------------

    def on_process(self, message: Forked | ForkFailed | Exited | ZygoteLost | Gone) -> None:
        """A process came, failed to come, went; or the zygote did."""
        match message:
            case Forked():
                self.launcher.forked(message)
            case ForkFailed():
                if (child := self.launcher.failed(message)) is not None:
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
            assert child.pid is not None
            if not self._processes.kill_leftovers(
                child.spec.id, child.starts, child.pid, is_supervisor=child.spec.is_supervisor
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
        if not child.is_due(message):
            return
        child.due()
        match message.what, child.state:
            case "start", "starting":
                child.kill("start_timeout")
            case "stop", "stopping":
                child.kill("shutdown_timeout")
            case "restart", "backoff":
                self.restarting.due(child)
            case "reap", _ if child.has_process:
                self._processes.kill_zygote()  # it neither forks nor reaps

    def _said(self, child: Child, message: FromChild) -> None:
        match message:
            case Ready():
                self._ready(child)
            case Failed(traceback=text, cause=cause):
                child.failure, child.cause = text, cause
            case StatusReply():
                self.rounds.replied(child, message)
            case Reconfigured(id=ident, error=error):
                child.change.answered(ident, error)
            case Below(supervisors=supervisors, shutdown=shutdown):
                child.dynamic, child.childrens_shutdown = supervisors, shutdown
                self.roster.tell_below()

    def _ended(self, child: Child, status: int | None) -> None:
        """The process is reaped, or there was none: by what it was, restart, go on or give up."""
        for message in child.hear():
            self._said(child, message)
        was, pid, now = child.state, child.pid, self._clock.monotonic()
        last_exit = child.ended(status, self._clock.time_us() / 1e6)
        child.evidence.ended(exit_text(last_exit), crashed=was == "running")
        self._tell_of_end(child, last_exit)
        if self._bereft is not None:
            if child not in self._bereft:  # asked for when nothing could be forked
                self._bereft.append(child)
            return
        self._report_end(child, was, pid)
        if self.phase in ("stopping", "stopped"):
            child.cancel()
            self.restarting.answer(child)
            self._stop_next()
        elif was == "stopping" or self.restarting.is_stopped_by(child):
            self.restarting.stopped(child)
        elif was == "starting" and self.orders.is_starting(child):
            self.restarting.failed_order(child)
        elif was == "starting" and child.starts == 1 and self.phase == "starting":
            self._abort(child, last_exit)
        else:
            self.restarting.failed(child, last_exit, now)

    def _tell_of_end(self, child: Child, last_exit: LastExit) -> None:
        self.rounds.forget(child)
        self.watches.ended(child, last_exit)
        if child.dynamic:
            child.dynamic = {}
            self.roster.tell_below()

    def _report_end(self, child: Child, was: ChildState, pid: int | None) -> None:
        """One report an end, whatever it died of."""
        if was == "running":
            self.reports.child_terminated(child, pid)
        elif was == "starting":
            self.reports.start_error(child, pid)
        elif child.is_as_told:
            self.reports.stopped(child)
        else:
            self.reports.shutdown_error(child, pid)

    # -- giving up, and going on without a zygote ---------------------------------------------

    def _shut_down(self, child: Child) -> None:
        if self.phase in ("stopping", "stopped"):
            return  # for another one already
        self.reports.auto_shutdown(child)
        self.is_complete = True
        self.stop(EXIT_SHUTDOWN)

    def _give_up(self, child: Child | None, why: str) -> None:
        self.reports.gave_up(child, why, self._spec)
        self.stop(EXIT_SHUTDOWN)
        if child is not None:
            child.give_up()

    def _zygote_lost(self, reason: str) -> None:
        """All children die with it: one failure, whatever their number."""
        self.reports.zygote_lost(reason)
        self._why_lost = reason
        self.launcher.forget()
        self._bereft = [
            child
            for child in self._children.values()
            if child.has_process or child.state == "backoff" or self.restarting.awaits(child)
        ]
        self.restarting.drop()
        for child in self._bereft:
            if child.has_process:
                child.kill("zygote_lost")
            else:
                child.queue()

    def _all_gone(self) -> None:
        """Neither a child nor a zygote is left."""
        if self._bereft is None:
            self.phase = "stopped"
            self.undertaker.close()
            self._mailbox.stop()
            return
        bereft, self._bereft = self._bereft, None
        for child in list(self._children.values()):
            if child.has_process:  # the zygote reaped it and could not tell
                self._tell_of_end(child, child.ended(None, self._clock.time_us() / 1e6))
            if self.orders.is_stopping(child):
                self.restarting.withdrawn(child)
        if self.phase == "starting":
            self._upward.failed(f"the zygote of {self._name!r} is lost: {self._why_lost}")
            self.stop(EXIT_FAILED)
        elif self.phase != "running":
            self._stop_next()
        elif (why := self._limits.charge(None, self._clock.monotonic())) is not None:
            self._give_up(None, why)
        else:
            self._processes.renew()
            # Without those that were terminated or deleted meanwhile.
            known = self._children.values()
            self.restarting.start_again(
                [child for child in bereft if child in known and child.state != "stopped"]
            )

    # -- stopping -----------------------------------------------------------------------------

    def stop(self, exit_code: int, within: float | None = None) -> None:
        """Stop the children one by one, the last started first, then this supervisor.

        What is left after ``within`` seconds is killed; by default they are the sum of what the
        children may take.
        """
        if self.phase in ("stopping", "stopped"):
            return
        self.phase = "stopping"
        self.exit_code = exit_code
        self._upward.stopping()
        self.restarting.end()
        budget = self.roster.stop_budget if within is None else within
        self.ending.begin(math.inf if isinstance(budget, str) else budget)
        for child in self._children.values():
            if not child.has_process:
                child.cancel()
                self.restarting.answer(child)
        if self._bereft is None:
            self._stop_next()

    def abandon(self) -> None:
        """Stop nothing in order: who runs this supervisor kills all that is below it."""
        self.phase = "stopped"
        self._mailbox.stop()

    def _stop_next(self) -> None:
        if self.ending.proceed():
            self._processes.finish()

    def _abort(self, child: Child, last_exit: LastExit) -> None:
        """A child did not come up when the tree did: nothing of it may stay."""
        text = child.failure
        # A supervisor that got as far as to fail has said all this of its own child.
        if not child.spec.is_supervisor or not text or last_exit.kind == "not_forked":
            where = f" ({child.spec.where})" if child.spec.where else ""
            text = f"child {child.spec.id!r}{where} did not start: {exit_text(last_exit)}\n{text}"
        self._upward.failed(text.rstrip())
        self.stop(EXIT_CONFIG if last_exit.code == EXIT_CONFIG else EXIT_FAILED)
