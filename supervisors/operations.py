"""What a supervisor does to single children when it is asked to: OTP's start_child and the others.

Keeps nothing; who waits for an answer is in the orders, and lost with the supervisor.
"""

from __future__ import annotations

from typing import assert_never

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.messages.supervisor import (
    ChildIs,
    DeleteChild,
    Order,
    RestartChild,
    StartChild,
    TerminateChild,
)
from holdfast.errors import ChildError
from holdfast.supervisors.children import Child
from holdfast.supervisors.plan import added_child
from holdfast.supervisors.supervision import Supervision

__all__ = ["Operations"]


class Operations:
    """Each either is done or under way when it returns, or was refused and changed nothing."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision

    def carry_out(self, order: Order, delivery: Delivery) -> ChildIs | Later:
        """Raises ChildError, ConfigError; the answer may come later."""
        match order:
            case StartChild():
                return self._start(order, delivery)
            case RestartChild(child=name):
                return self._restart(self._find(name), delivery)
            case TerminateChild(child=name):
                return self._terminate(self._find(name), delivery)
            case DeleteChild(child=name):
                return self._delete(self._find(name))
            case _:
                assert_never(order)

    def _start(self, order: StartChild, delivery: Delivery) -> Later:
        self._refuse_while_stopping(order.name)
        spec = added_child(order.name, order.table, kind=order.kind)
        child = self._supervision.roster.add(spec)
        self._supervision.orders.start(child, delivery, is_new=True)
        self._supervision.launcher.launch(child)
        return LATER

    def _restart(self, child: Child, delivery: Delivery) -> Later:
        self._refuse_while_stopping(child.spec.id)
        if child.spec.id in self._supervision.roster.held:
            raise ChildError(child.spec.id, "held")
        self._refuse_unless_down(child)
        self._supervision.undertaker.release(child.spec)
        self._supervision.orders.start(child, delivery)
        self._supervision.launcher.launch(child)
        return LATER

    def _terminate(self, child: Child, delivery: Delivery) -> ChildIs | Later:
        supervision = self._supervision
        if not child.has_process:
            supervision.restarting.withdrawn(child)
            return self._described(child)
        supervision.restarting.leave(child)
        supervision.orders.stop(child, delivery)
        if child.state != "stopping":
            child.stop()
        return LATER

    def _delete(self, child: Child) -> ChildIs:
        self._refuse_unless_down(child)
        answer = self._described(child)
        self._supervision.roster.remove(child, "deleted")
        return answer

    def _find(self, name: str) -> Child:
        child = self._supervision.roster.children.get(name)
        if child is None:
            raise ChildError(name, "not_found")
        return child

    def _described(self, child: Child) -> ChildIs:
        return ChildIs(child.status(), self._supervision.watches.life_of(child))

    def _refuse_while_stopping(self, name: str) -> None:
        if self._supervision.phase in ("stopping", "stopped"):
            raise ChildError(name, "stopping")

    def _refuse_unless_down(self, child: Child) -> None:
        if child.has_process:
            raise ChildError(child.spec.id, "running")
        if child.state == "backoff" or self._supervision.restarting.awaits(child):
            raise ChildError(child.spec.id, "restarting")
