"""What somebody asked for about single children, until it is done: who waits for which answer.

Lost with the supervisor; whoever waits then hears that it died.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from holdfast.actors.messages.supervisor import ChildIs
from holdfast.errors import HoldfastError, StartError
from holdfast.supervisors.children import Child
from holdfast.supervisors.reports import exit_text

__all__ = ["Orders"]


class Asker(Protocol):
    """Who is told; a delivery is one."""

    def set_aside(self) -> None:
        """It is answered later."""

    def set(self, value: ChildIs, /) -> None:
        """It is done."""

    def set_exception(self, info: Any, /) -> None:
        """It has failed."""


class Order(msgspec.Struct, frozen=True):
    """One child to be up, or to be down, and who is told."""

    wants_up: bool
    is_new: bool  # the child is not kept if its first start fails, or is not waited for
    deliveries: list[Asker]


class Orders:
    """At most one order a child; further ones for the same thing join it."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}

    def start(self, child: Child, delivery: Asker, *, is_new: bool = False) -> None:
        """``delivery`` is answered when the child is ready, or has failed to become so."""
        self._add(child, delivery, wants_up=True, is_new=is_new)

    def stop(self, child: Child, delivery: Asker) -> None:
        """``delivery`` is answered when the child is down."""
        is_new = self.is_new(child)
        if self.is_starting(child):
            self._fail(child, StartError(f"{child.spec.id!r} was terminated while it started"))
        self._add(child, delivery, wants_up=False, is_new=is_new)

    def is_starting(self, child: Child) -> bool:
        """Whether its present start was asked for, so that a failure is not tried again."""
        order = self._orders.get(child.spec.id)
        return order is not None and order.wants_up

    def is_new(self, child: Child) -> bool:
        """Whether it is not kept if its start fails."""
        order = self._orders.get(child.spec.id)
        return order is not None and order.is_new

    def is_stopping(self, child: Child) -> bool:
        """Whether it is to be down."""
        order = self._orders.get(child.spec.id)
        return order is not None and not order.wants_up

    def ready(self, child: Child, incarnation: str) -> None:
        """It is up."""
        if self.is_starting(child):
            self._answer(child, ChildIs(child.status(), incarnation))

    def ended(self, child: Child, incarnation: str) -> None:
        """It is down, and not about to be started again by itself."""
        if self.is_stopping(child):
            self._answer(child, ChildIs(child.status(), incarnation))
        elif self.is_starting(child):
            how = exit_text(child.last_exit)
            text = f"child {child.spec.id!r} did not start: {how}\n{child.failure}"
            self._fail(child, StartError(text.rstrip()))

    def _add(self, child: Child, delivery: Asker, *, wants_up: bool, is_new: bool) -> None:
        order = self._orders.setdefault(child.spec.id, Order(wants_up, is_new, []))
        order.deliveries.append(delivery)
        delivery.set_aside()

    def _answer(self, child: Child, answer: ChildIs) -> None:
        for delivery in self._orders.pop(child.spec.id).deliveries:
            delivery.set(answer)

    def _fail(self, child: Child, error: HoldfastError) -> None:
        order = self._orders.pop(child.spec.id, None)
        for delivery in order.deliveries if order is not None else ():
            delivery.set_exception((type(error), error, None))
