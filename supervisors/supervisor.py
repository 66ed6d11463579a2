"""The supervisor actor: an actor like the others, whose messages are also births and deaths.

Owns the processes below it.  It never blocks: it answers while children start, and every wait has
a deadline.  Lost when it dies: the history of its children, which die with it; its parent starts
the subtree again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Protocol

from loguru import logger

from holdfast.actors.handling import quantile
from holdfast.actors.host import LATER, HostedActor
from holdfast.actors.mailbox import Answered
from holdfast.actors.messages.lifeline import (
    GetStatus,
    Hold,
    Preload,
    Reconfigure,
    Reconfigured,
    Release,
    Settle,
    StatusReply,
    Stop,
)
from holdfast.actors.messages.supervisor import (
    AwaitEnd,
    ChildIs,
    Children,
    ChildState,
    ChildStatus,
    CountChildren,
    DeleteChild,
    Forget,
    GetChild,
    GetReports,
    GetTree,
    Locate,
    Located,
    Reload,
    RestartChild,
    StartChild,
    Stopping,
    StopTree,
    TerminateChild,
    Tree,
    WhichChildren,
)
from holdfast.actors.messages.swap import CancelSwap, ForgetSwapped, GetSwap, GetSwaps
from holdfast.actors.recorder import Signs
from holdfast.errors import InvalidInputError
from holdfast.supervisors.asking import Question
from holdfast.supervisors.changing import Changing
from holdfast.supervisors.children import ChildSaid, Overdue
from holdfast.supervisors.ending import StopOverdue
from holdfast.supervisors.farewell import Farewell
from holdfast.supervisors.holding import Holding, decode_environment
from holdfast.supervisors.linux import process_stat
from holdfast.supervisors.new_terms import decode_terms
from holdfast.supervisors.operations import Operations
from holdfast.supervisors.processes import Gone, Signalled
from holdfast.supervisors.reloading import Reloading
from holdfast.supervisors.signals import Terminal
from holdfast.supervisors.spec import EXIT_STOPPED, Environment
from holdfast.supervisors.status import RoundOverdue
from holdfast.supervisors.supervision import Supervision
from holdfast.supervisors.undertaker import Funeral
from holdfast.supervisors.vitals import status_of
from holdfast.supervisors.zygote import Exited, Forked, ForkFailed, ZygoteLost

__all__ = ["RootActor", "SupervisorActor"]


class SupervisorActor(HostedActor):
    """A nested supervisor: its parent asks and stops it over its lifeline."""

    refuses_tells = True

    def __init__(
        self, *, supervision: Supervision, reply: Callable[[StatusReply | Reconfigured], None]
    ) -> None:
        """``reply`` takes the answers to the parent."""
        super().__init__()
        self.supervision = supervision
        self._operations = Operations(supervision)
        self._changing = Changing(supervision, mailbox=self.mailbox)
        self._holding = Holding(supervision, mailbox=self.mailbox)
        self._reply = reply

    def on_start(self) -> None:
        """Start the children, as the spec says one by one or at once."""
        self.supervision.start()

    def on_receive(self, message: object) -> object:
        """Handle what a client, a process below or above, or a timer says."""
        rounds = self.supervision.rounds
        match message:
            case Forked() | ForkFailed() | Exited() | ZygoteLost() | Gone():
                self.supervision.on_process(message)
            case ChildSaid() | Overdue():
                self.supervision.on_child(message)
            case Preload(modules=modules):
                self._holding.preload(modules)
            case Reconfigure() | Settle() | Hold() | Release():
                self._become(message)
            case Stop(within=within):
                self.supervision.stop(EXIT_STOPPED, within)
            case StopOverdue():
                self.supervision.ending.overdue()
            case GetStatus(id=ident):
                rounds.join(lambda children: self._reply_status(ident, children))
            case RoundOverdue(id=ident):
                rounds.overdue(ident)
            case WhichChildren():
                return Children(rounds.statuses())
            case CountChildren():
                return rounds.count()
            case Answered(context=Funeral()):
                self.supervision.undertaker.answered(message.context, message.outcome)
            case GetChild() | AwaitEnd() | Forget() | GetReports():
                return self._monitored(message)
            case StartChild() | RestartChild() | TerminateChild() | DeleteChild():
                assert self.mailbox.current is not None  # it came by socket
                return self._operations.carry_out(message, self.mailbox.current)
            case Answered():
                pass  # nothing is asked here whose answer matters
            case _:
                raise InvalidInputError(
                    f"supervisor {self.mailbox.name!r} does not answer {type(message).__name__}; "
                    "GetTree, StopTree and Locate are for the root"
                )
        return None

    def _become(self, message: Reconfigure | Settle | Hold | Release) -> None:
        done = partial(self._reconfigured, message.id)
        match message:
            case Reconfigure(terms=terms, is_back=is_back):
                self._changing.begin(decode_terms(terms), done, is_back=is_back)
            case Settle(names=names):
                self._changing.settle(names, done)
            case Hold(names=names, environment=environment):
                self._holding.hold(names, decode_environment(environment), done)
            case Release(environment=environment):
                self._holding.release(decode_environment(environment), done)

    def _monitored(self, message: GetChild | AwaitEnd | Forget | GetReports) -> object:
        watches = self.supervision.watches
        if isinstance(message, GetChild):
            return watches.describe(message.child)
        delivery = self.mailbox.current
        assert delivery is not None  # it came by socket: nobody here tells it to itself
        if isinstance(message, GetReports):
            return self.supervision.reports.asked(message, delivery)
        if isinstance(message, AwaitEnd):
            return watches.add(message, delivery)
        return watches.forget(message, delivery)

    def _stop(self) -> None:
        """Pykka's stop, which a remote ref may send too: never without the children."""
        if self.supervision.phase == "stopped":
            super()._stop()
        else:
            self.supervision.stop(EXIT_STOPPED)

    def _reconfigured(self, ident: int, error: str) -> None:
        self._reply(Reconfigured(ident, error))

    def _reply_status(self, ident: int, children: list[ChildStatus]) -> None:
        self._reply(status_of(self.mailbox, ident, children, self.supervision.undertaker.gone))


class Describe(Protocol):
    """Makes the answer to GetTree of the root's own status."""

    def __call__(self, root: ChildStatus, /) -> Tree: ...


class RootActor(SupervisorActor):
    """The root: it is stopped by signals and StopTree, and knows the whole tree."""

    def __init__(
        self,
        *,
        supervision: Supervision,
        boot: int,
        within: float | None,
        farewell: float,
        describe: Describe,
        signs: Callable[[], Signs],
        reloading: Reloading | None,
    ) -> None:
        """``within``: seconds that its stop may take; None for what the children may.

        ``farewell``: seconds for a checkpoint before it, 0 for none; ``signs`` are those of its
        own flight record.  ``reloading`` None: it has no config file.
        """
        super().__init__(supervision=supervision, reply=lambda _: None)
        self._signs = signs
        self._began = self.mailbox.monotonic()
        # The signal that ended the start, or the second one, which ends everything at once.
        self.interrupted_by: int | None = None
        self._is_signalled = False
        self._boot = boot
        self._within = within
        self._farewell = Farewell(mailbox=self.mailbox, within=farewell)
        self._describe = describe
        self._terminal = Terminal()
        self._reloading = reloading
        if reloading is not None:
            reloading.adopted = self._adopt

    def on_start(self) -> None:
        """Start the children, and look after the config file."""
        super().on_start()
        if self._reloading is not None:
            self._reloading.start()

    def on_receive(self, message: object) -> object:
        """Handle what only the root is told, then what all supervisors are."""
        match message:
            case Signalled(number=number):
                self._interrupt(number)
            case StopTree():
                self._stop_in_order()
                return Stopping(os.getpid())
            case Answered(context=Farewell() as farewell, outcome=outcome):
                farewell.answered(outcome)
                self._stop_now()
            case GetTree():
                delivery = self.mailbox.current
                assert delivery is not None  # it came by socket: nobody here tells it to itself
                self.supervision.rounds.join(
                    lambda children: delivery.set(self._describe(self._status(children)))
                )
                return LATER
            case Reload():
                if self._reloading is None:
                    raise InvalidInputError("this daemon was started without a config file")
                assert self.mailbox.current is not None  # it came by socket
                return self._reloading.asked(message, self.mailbox.current)
            case GetSwap() | GetSwaps() | ForgetSwapped() | CancelSwap():
                if self._reloading is None:
                    raise InvalidInputError("this daemon was started without a config file")
                assert self.mailbox.current is not None  # it came by socket
                return self._reloading.asked_of_swaps(message, self.mailbox.current)
            case Answered(context=Question() as question, outcome=outcome):
                question.answered(outcome)
            case Locate(name=name):
                return Located(self.supervision.roster.supervisor_of(name))
            case GetChild(child=self.mailbox.name):
                status = self._status(self.supervision.rounds.statuses())
                return ChildIs(status, self.mailbox.incarnation)
            case _:
                return super().on_receive(message)
        return None

    def _interrupt(self, number: int) -> None:
        """The first signal stops in order; whoever sends another one does not want to wait.

        A StopTree before it is no signal: who runs `holdfast stop` has not lost patience.  Nor is
        the SIGHUP of a terminal that goes away, which stops in order, too; any other is to reload.
        """
        if number == signal.SIGHUP and self._reloading is not None and not self._terminal.is_gone:
            self._reloading.begin("signal")
            return
        is_first = not self._is_signalled or number == signal.SIGHUP
        self._is_signalled = self._is_signalled or number != signal.SIGHUP
        if is_first:
            if not self.supervision.was_ready:
                self.interrupted_by = number
            self._stop_in_order()
            return
        logger.warning("{} again: killing all", signal.Signals(number).name)
        self.interrupted_by = number
        self.supervision.abandon()

    def _adopt(self, environment: Environment) -> None:
        self._within = environment.stop_within
        self._farewell.within = environment.farewell

    def _stop_in_order(self) -> None:
        """After a checkpoint of the daemon, if it runs and one is wanted."""
        if self.supervision.phase != "running" or not self._farewell.begin(self._within):
            self._stop_now()

    def _stop_now(self) -> None:
        within = self._within
        rest = None if within is None else max(0.0, within - self._farewell.spent)
        self.supervision.stop(EXIT_STOPPED, rest)

    def _status(self, children: list[ChildStatus]) -> ChildStatus:
        state: ChildState = (
            "stopping" if self.supervision.phase == "stopped" else self.supervision.phase
        )
        stat, signs = process_stat(os.getpid()), self._signs()
        assert stat is not None
        now = self.mailbox.monotonic()
        said = status_of(self.mailbox, 0, children, self.supervision.undertaker.gone)
        return ChildStatus(
            id=self.mailbox.name,
            pid=os.getpid(),
            state=state,
            incarnation=self._boot,
            restarts=0,
            mailbox=said.mailbox,
            handled=said.handled,
            rss=stat.rss,
            children=said.children,
            gone=said.gone,
            traffic=said.traffic,
            uptime=now - self._began,
            cpu=stat.cpu,
            last_message=signs.last_message,
            busy=now - signs.since if signs.since else 0.0,
            rate=said.rate,
            p50=quantile(said.handling, 0.5),
            p99=quantile(said.handling, 0.99),
            handling=said.handling,
            handling_seconds=said.handling_seconds,
        )
