"""Answers for actors that are gone for good, at their addresses, which their supervisor holds.

An ask fails with ActorGone; a tell is acknowledged once the writer keeps it as a dead letter.
Lost when the supervisor dies: nothing, senders hold what was not acknowledged; the next life of
the supervisor starts its children anew, and what was kept already may then be handled as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from socket import socket
from typing import Any, Final

from loguru import logger

from holdfast.actors.burial import AGAIN, keep
from holdfast.actors.delivery import Delivery
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.supervisor import GoneActor
from holdfast.actors.messages.writer import Kept
from holdfast.actors.receiver import MAX_SENDERS, Receiver
from holdfast.actors.recorder import InHand, LastLife
from holdfast.errors import ActorGone
from holdfast.storage.records import DeadLetter
from holdfast.supervisors.children import Child
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.reports import exit_text
from holdfast.supervisors.settings import AgentSettings, GatewaySettings
from holdfast.supervisors.spec import ChildSpec, SupervisorSpec

__all__ = ["Funeral", "Undertaker"]

# Tells to one gone actor that may wait for the writer: each may be as large as a frame, and the
# writer's group commit makes a few at a time fast enough.
WAITING: Final = 16
MOST_ADDED: Final = 100  # gone actors that messages had added; about 10 KB each


class Funeral:
    """A tell on its way to the dead letters; the context of the question to the writer."""

    __slots__ = ("delivery", "grave", "is_kept", "letter")

    def __init__(self, grave: _Grave, delivery: Delivery, letter: DeadLetter) -> None:
        self.grave = grave
        self.delivery = delivery
        self.letter = letter
        self.is_kept = False


class Undertaker:
    """The gone among the children of one supervisor, and below those that were supervisors."""

    def __init__(self, *, mailbox: Mailbox, listeners: Listeners) -> None:
        self._mailbox = mailbox
        self._listeners = listeners
        self._graves: dict[str, _Grave] = {}
        # Of those, the ones that messages had added and that are no children, the oldest first.
        self._added: dict[str, None] = {}

    @property
    def gone(self) -> list[GoneActor]:
        """Who is answered for."""
        return [grave.status for grave in self._graves.values()]

    def answers_for(self, name: str) -> bool:
        """Whether it is gone, and nobody but this is at its address."""
        return name in self._graves

    def take_over(self, child: Child, how: str | None = None) -> None:
        """``child`` has ended, by default as its last exit says, and is not started again.

        Nothing changes where that was so before: an ended child may be deleted.
        """
        if child.spec.id not in self._graves:
            how = how or exit_text(child.last_exit)
            self._open(child.spec, how, child.evidence.close())

    def forget_in_time(self, name: str) -> None:
        """No child has that address, which a message had added: it need not last.

        Such names may be without end: the oldest have no address any more.
        """
        self._added[name] = None
        while len(self._added) > MOST_ADDED:
            oldest = next(iter(self._added))
            del self._added[oldest]
            self._graves.pop(oldest).close()
            self._listeners.drop(oldest)

    def release(self, spec: ChildSpec) -> None:
        """It is to be started after all: what waits here goes back to its senders."""
        below = spec.run.descendants() if isinstance(spec.run, SupervisorSpec) else ()
        self._added.pop(spec.id, None)
        for name in (spec.id, *below):
            if (grave := self._graves.pop(name, None)) is not None:
                grave.close()

    def forget(self, name: str) -> None:
        """Somebody else has that name now."""
        self._added.pop(name, None)
        self._graves.pop(name).close()

    def answered(self, funeral: Funeral, outcome: Any) -> None:
        """What the writer said to a letter."""
        if isinstance(outcome, Kept):
            funeral.grave.kept(funeral)
            return
        logger.warning("a dead letter cannot be kept, trying again: {}", outcome)
        self._mailbox.later(AGAIN, partial(funeral.grave.keep, funeral))

    def close(self) -> None:
        """The supervisor ends: whoever still sends keeps what it has."""
        for grave in self._graves.values():
            grave.close()
        self._graves.clear()

    def _open(self, spec: ChildSpec, how: str, last_life: LastLife | None) -> None:
        match spec.run:
            case SupervisorSpec(children=children):
                for below in children:
                    self._open(below, f"with its supervisor {spec.id!r}: {how}", None)
            case AgentSettings() | GatewaySettings():
                pass  # no frame comes to a gateway: whoever connects there is let go
            case _:
                # What owns state is permanent, the config sees to that: events that had no log
                # would be dead letters by the thousand.  Their senders keep them.
                return
        logger.info("{} is gone for good: what is sent to it becomes dead letters", spec.id)
        self._listeners.ensure([spec.id])
        self._graves[spec.id] = _Grave(
            spec.id,
            how,
            mailbox=self._mailbox,
            listener=self._listeners.sockets[spec.id],
            last=last_life,
        )


class _Grave:
    """One gone actor: its connections, and the letters that wait to be kept."""

    def __init__(
        self, name: str, how: str, *, mailbox: Mailbox, listener: socket, last: LastLife | None
    ) -> None:
        self._name = name
        self._how = how
        self._mailbox = mailbox
        self._listener = listener
        self._last = last
        self._letters = 0
        # Letters by sender and its incarnation, the least recent first: senders count on it.
        self._counts: dict[tuple[str, str], int] = {}
        # In the order they came: an acknowledgement covers all that was sent before it.
        self._waiting: deque[Funeral] = deque()
        self._is_closed = False
        receiver = Receiver(
            actor=name,
            incarnation=mailbox.incarnation,
            decode=bytes,
            mailbox_limit=WAITING,
            keeps_marks=True,
            last_life=last,
        )
        self._connections = mailbox.serve(listener, receiver, self._deliver)

    @property
    def status(self) -> GoneActor:
        """What the tree shows of it."""
        return GoneActor(self._name, self._how, self._letters, len(self._waiting))

    def keep(self, funeral: Funeral) -> None:
        """Have the letter kept; Answered with the funeral comes as a message."""
        if self._is_closed:
            return
        keep(self._mailbox, funeral.letter, context=funeral)

    def kept(self, funeral: Funeral) -> None:
        """Acknowledge it, and what came after it and was kept before."""
        if self._is_closed:
            return
        funeral.is_kept = True
        while self._waiting and self._waiting[0].is_kept:
            delivery = self._waiting.popleft().delivery
            self._letters += 1
            delivery.done(dropped=self._count(delivery.sender, delivery.incarnation))

    def close(self) -> None:
        """Accept nothing more and let all connections go."""
        self._is_closed = True
        self._mailbox.unwatch(self._listener.fileno())
        self._mailbox.dismiss(self._connections)

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._answer_for(delivery)

    def _answer_for(self, delivery: Delivery) -> None:
        if delivery.kind != "tell":
            gone = ActorGone(self._name, self._how)
            delivery.set_exception((ActorGone, gone, None))
            return
        if not self._letters and not self._waiting:
            logger.warning("{} is gone: a tell to it becomes a dead letter", self._name)
        funeral = Funeral(self, delivery, self._letter(delivery))
        self._waiting.append(funeral)
        self.keep(funeral)

    def _letter(self, delivery: Delivery) -> DeadLetter:
        return DeadLetter(
            id=0,
            actor=self._name,
            sender=delivery.sender,
            incarnation=delivery.incarnation,
            stream=self._name,
            number=delivery.number,
            kind="tell",
            reason=f"gone: {self._how}",
            deaths=self._deaths(delivery),
            time_us=self._mailbox.time_us(),
            body=delivery.message,
        )

    def _deaths(self, delivery: Delivery) -> int:
        """How many lives had it in hand when they ended."""
        if self._last is None or not delivery.redelivered:
            return 0
        message = InHand(delivery.sender, delivery.incarnation, "tell", delivery.number)
        suspect = self._last.poison(message, max_deliveries=1)
        return 0 if suspect is None else suspect.deaths

    def _count(self, sender: str, incarnation: str) -> int:
        key = sender, incarnation
        self._counts[key] = count = self._counts.pop(key, 0) + 1
        if len(self._counts) > MAX_SENDERS:
            del self._counts[next(iter(self._counts))]
        return count
