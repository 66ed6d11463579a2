"""How a child becomes a process: what its zygote is told, and whose process the answer is.

Owns the requests that are not answered; lost with the supervisor, and so are the processes.
"""

from __future__ import annotations

import errno
import socket
from typing import Protocol

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.clock import Clock
from holdfast.supervisors.children import Child
from holdfast.supervisors.lifeline import lifeline_pair
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.ports import PORT
from holdfast.supervisors.processes import Processes
from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.spec import ChildStart, Environment, SupervisorSpec
from holdfast.supervisors.watches import Watches
from holdfast.supervisors.zygote import Forked, ForkFailed

__all__ = ["LIFELINE", "Launcher"]

LIFELINE = "/lifeline"  # the descriptor's name in a fork request; no actor can be called so

_encode_start = msgspec.msgpack.Encoder().encode


class Other(Protocol):
    """Who asks for a process that is no child."""

    def forked(self, pid: int, pidfd: int) -> None:
        """There is one."""

    def not_forked(self, reason: str) -> None:
        """There is none."""


class Launcher:
    """Asks the zygote of one supervisor for processes."""

    def __init__(
        self,
        *,
        environment: Environment,
        mailbox: Mailbox,
        processes: Processes,
        listeners: Listeners,
        watches: Watches,
        heartbeat: float,
        clock: Clock,
    ) -> None:
        """``heartbeat``: seconds between two signs of life of a child; 0 for none."""
        self._environment = environment
        self._mailbox = mailbox
        self._processes = processes
        self._listeners = listeners
        self._watches = watches
        self._heartbeat = heartbeat
        self._clock = clock
        self._forks: dict[int, Child | Other] = {}  # asked of the zygote and not answered, by id
        self._count = 0

    def adopt(self, environment: Environment, heartbeat: float) -> None:
        """What the next ones are told."""
        self._environment, self._heartbeat = environment, heartbeat

    def launch(self, child: Child) -> None:
        """Ask for the child's next life; Forked or ForkFailed follows as a message."""
        child.begin(self._clock.monotonic())
        self._count += 1
        self._forks[self._count] = child
        try:
            lifeline, theirs = lifeline_pair()
            child.tie(lifeline)
            with theirs:
                self._ask_for(child, theirs)
        except OSError as error:  # also of too many open files, here or in the zygote
            what = "its options are over 200 KB" if error.errno == errno.EMSGSIZE else str(error)
            self._mailbox.deliver(ForkFailed(self._count, f"cannot be forked: {what}"))

    def _ask_for(self, child: Child, theirs: socket.socket) -> None:
        incarnation = self._watches.life_of(child)
        evidence = child.evidence
        start = ChildStart(
            child.spec.id,
            incarnation,
            self._environment,
            child.spec.run,
            evidence.last_incarnation,
            evidence.suspects,
            self._heartbeat,
        )
        names = [child.spec.id]
        if isinstance(child.spec.run, SupervisorSpec):
            names += child.spec.run.descendants()
        self._listeners.ensure(names, without=child.unlisted)
        child.unlisted.clear()
        descriptors = {name: self._listeners.sockets[name].fileno() for name in names}
        descriptors[LIFELINE] = theirs.fileno()
        if (port := self._port_of(child)) is not None:
            descriptors[PORT] = port.fileno()
        try:
            descriptors |= child.output.begin()
            descriptors |= evidence.begin(incarnation)
            self._processes.fork(self._count, _encode_start(start), descriptors)
        finally:
            child.output.given()

    def _port_of(self, child: Child) -> socket.socket | None:
        """What it listens with beside its address in the tree, if it is to and can."""
        run = child.spec.run
        if not isinstance(run, AgentSettings) or not run.listen:
            return None
        return self._listeners.ports.keep(child.spec.id, run.listen)

    def launch_other(self, other: Other, payload: bytes, descriptors: dict[str, int]) -> None:
        """Ask for a process that is no child.  Raises OSError."""
        self._count += 1
        self._processes.fork(self._count, payload, descriptors)
        self._forks[self._count] = other

    def forked(self, message: Forked) -> None:
        """A process came of it."""
        self._forks.pop(message.id).forked(message.pid, message.pidfd)

    def failed(self, message: ForkFailed) -> Child | None:
        """Whose request was refused; None when the zygote was lost meanwhile."""
        child = self._forks.pop(message.id, None)
        if child is None:
            return None
        if not isinstance(child, Child):
            child.not_forked(message.reason)
            return None
        child.failure = message.reason
        return child

    def forget(self) -> None:
        """The zygote is lost: no request is answered any more."""
        self._forks.clear()
