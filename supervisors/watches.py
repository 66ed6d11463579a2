"""Who waits for the end of which life: the monitors of one supervisor's children.

Lost with the supervisor, whose children die with it: whoever waited asks its next life, which
answers that the old ones are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.messages.supervisor import (
    AwaitEnd,
    ChildIs,
    Ended,
    Forget,
    Forgotten,
    LastExit,
)
from holdfast.clock import Clock
from holdfast.errors import DeliveryError, UnknownActorError
from holdfast.supervisors.children import Child

__all__ = ["Watches", "unknown"]

MOST: Final = 20_000  # that wait; about 10 MB
LEAST_SWEPT: Final = 256  # fewer are not worth a sweep

_Key = tuple[str, str, int]  # sender, its incarnation, and the number of its ask


class Watches:
    """Answers each wait once.  Those of senders that have gone are swept out, at most doubled."""

    def __init__(
        self, *, name: str, life: str, children: Mapping[str, Child], clock: Clock
    ) -> None:
        """``name`` and ``life`` are the supervisor's and its incarnation."""
        self._supervisor = name
        self._incarnation = life
        self._children = children
        self._clock = clock
        self._waiting: dict[str, dict[_Key, Delivery]] = {}  # by life
        self._lives: dict[_Key, str] = {}  # where in ``_waiting`` to look
        self._bound = LEAST_SWEPT  # at so many, senders that have gone are looked for

    def life_of(self, child: Child) -> str:
        """The incarnation of a child's present life, or the last one."""
        return f"{self._incarnation}.{child.starts}"

    def describe(self, name: str) -> ChildIs:
        """How a child is.  Raises UnknownActorError."""
        child = self._children.get(name)
        if child is None:
            raise unknown(name)
        return ChildIs(child.status(), self.life_of(child))

    def add(self, request: AwaitEnd, delivery: Delivery) -> Ended | Later:
        """Answer now what is over, else when it is.  Raises DeliveryError."""
        life = request.incarnation
        if request.child == self._supervisor:  # the root's: the end of its connections tells
            is_alive, present = True, self._incarnation
        else:
            child = self._children.get(request.child)
            is_alive = child is not None and child.has_process
            present = "" if child is None else self.life_of(child)
        if not is_alive or life not in ("", present):
            return self._ended_before(request)
        if len(self._lives) >= self._bound:
            self._sweep()
        if len(self._lives) >= MOST:
            raise DeliveryError(
                f"{MOST} monitors of children of {self._supervisor!r} wait already: cancel some"
            )
        key = delivery.sender, delivery.incarnation, delivery.number
        self._drop(key)
        self._waiting.setdefault(present, {})[key] = delivery
        self._lives[key] = present
        delivery.set_aside()
        return LATER

    def forget(self, request: Forget, delivery: Delivery) -> Forgotten:
        """Answer an earlier ask of the same sender no more."""
        self._drop((delivery.sender, delivery.incarnation, request.ask))
        return Forgotten()

    def ended(self, child: Child, last_exit: LastExit) -> None:
        """A child's life is over: tell all who wait for that."""
        life = self.life_of(child)
        for key, delivery in self._waiting.pop(life, {}).items():
            del self._lives[key]
            delivery.set(Ended(life, last_exit))

    def _ended_before(self, request: AwaitEnd) -> Ended:
        """What is known of a life that is over already; nothing of any but the last."""
        life, child = request.incarnation, self._children.get(request.child)
        kind = "noproc"
        if life:
            supervisor, _, number = life.rpartition(".")
            if supervisor != self._incarnation:
                kind = "supervisor_lost"
            elif child is not None and child.last_exit is not None:
                last = child.starts - 1 if child.has_process else child.starts
                if number == str(last):
                    return Ended(life, child.last_exit)
        return Ended(life, LastExit(kind, None, None, self._clock.time_us() / 1e6))

    def _sweep(self) -> None:
        gone = [
            key
            for waiting in self._waiting.values()
            for key, delivery in waiting.items()
            if delivery.intake.closed
        ]
        for key in gone:
            self._drop(key)
        self._bound = min(2 * len(self._lives) + LEAST_SWEPT, MOST)

    def _drop(self, key: _Key) -> None:
        life = self._lives.pop(key, None)
        if life is not None:
            del self._waiting[life][key]
            if not self._waiting[life]:
                del self._waiting[life]


def unknown(name: str) -> UnknownActorError:
    """The error for a name that is nobody's."""
    return UnknownActorError(
        f"no supervisor has a child {name!r}: `holdfast status` shows all there are"
    )
