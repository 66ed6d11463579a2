"""A sender of the conversation machine: a link, and what is known of it without looking inside."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from holdfast.actors.delivery import Delivery
from holdfast.actors.failures import RemoteActorDied
from holdfast.actors.link import Link
from holdfast.actors.outbox import OutboxLimits
from holdfast.actors.receiver import Receiver
from tests.actors.conversing import Wire, pack

__all__ = ["OUTBOX", "Sender"]

encode = msgspec.msgpack.encode

OUTBOX = 30  # messages that a sender may have under way


def numbers_in(message: Any) -> list[int]:
    """The numbers a tell brings: one, or those that were offered one by one."""
    kind, content = message
    return content if kind == "many" else [content]


class Sender:
    """A link, its present connection, and what the model knows of both."""

    def __init__(self, name: str, shared: Receiver, *, keeps_marks: bool) -> None:
        self.link = Link(
            to="critic",
            sender=name,
            incarnation="1.1",
            pack=lambda items: encode(["many", msgspec.Raw(pack(items))]),
            limits=OutboxLimits(messages=OUTBOX),
        )
        self.keeps_marks = keeps_marks
        self.wire = Wire(self.link, shared)
        self.before = b""  # what came on the connection before that
        self.told = 0  # the newest number; what is numbered carries its number
        self.highest = 0  # the newest number that was ever handled
        self.due: int | None = None  # the next one in this life of the receiver, once one has come
        self.results: dict[int, Any] = {}  # of commands, as a writer keeps them
        self.answers: dict[int, list[Any]] = {}  # to commands, as the sender got them
        self.asked: dict[int, tuple[bool, int]] = {}  # idempotent?, numbers told before it
        self.idents: dict[int, int] = {}  # the link's names of asks
        self.outcomes: dict[int, list[Any]] = {}
        self.abandoned: set[int] = set()
        self.times_handled: Counter[int] = Counter()

    def connect(self, shared: Receiver) -> None:
        """The connection breaks, and there is another one."""
        self.before = self.wire.gone
        self.wire.cut()
        self.wire = Wire(self.link, shared)

    # -- the sender ---------------------------------------------------------------------------

    def tell(self) -> None:
        self.told += 1
        self.link.tell(["one", self.told])

    def offer(self) -> None:
        self.told += 1
        self.link.offer(encode(self.told))

    def command(self) -> None:
        self.told += 1
        got: list[Any] = []
        self.answers[self.told] = got
        self.link.command(["command", self.told], got.append)

    def ask(self, *, idempotent: bool) -> None:
        question = len(self.asked)
        self.asked[question] = idempotent, self.told
        got: list[Any] = []
        self.outcomes[question] = got
        ident = self.link.ask(["ask", question], got.append, idempotent=idempotent)
        self.idents[question] = ident

    # -- the receiver -------------------------------------------------------------------------

    def handle(self, delivery: Delivery) -> None:
        """What a handler, and the writer behind it, does; it is not acknowledged here."""
        if delivery.kind == "ask":
            self._handle_ask(delivery)
        elif delivery.kind == "command":
            self._handle_command(delivery)
            if self.keeps_marks:  # a repeat comes also on the next connection to the same life
                self.due = max(self.due or 0, delivery.message[1] + 1)
        elif self.keeps_marks:
            self._handle_tell(delivery)
        else:
            for number in numbers_in(delivery.message):
                self._commit(number)

    def _handle_tell(self, delivery: Delivery) -> None:
        for number in numbers_in(delivery.message)[delivery.skip :]:
            due = self.due or number  # what an earlier life has handled may be left out
            assert number >= due, f"{number} came where {due} was due"
            assert number <= self.highest + 1, f"{number} came after {self.highest}: a gap"
            assert number > self.highest or delivery.redelivered, f"{number} again, not marked"
            self.highest = max(self.highest, number)
            self.due = number + 1

    def _commit(self, number: int) -> bool:
        """As the writer does: what is at or below the mark is passed over, a gap is refused."""
        assert number <= self.highest + 1, f"{number} came after {self.highest}: a gap"
        is_new = number > self.highest
        self.highest = max(self.highest, number)
        return is_new

    def _handle_command(self, delivery: Delivery) -> None:
        _, number = delivery.message
        if self._commit(number):
            self.results[number] = ["result of", number]
        else:
            assert delivery.redelivered, f"command {number} again, not marked"
        for answered in [known for known in self.results if known <= delivery.acked]:
            assert self.answers[answered], f"the result of {answered} was given up too early"
            del self.results[answered]

    def _handle_ask(self, delivery: Delivery) -> None:
        _, question = delivery.message
        idempotent, told_before = self.asked[question]
        assert self.highest >= told_before, "an ask overtook a tell"
        self.times_handled[question] += 1
        assert idempotent or self.times_handled[question] == 1, "asked twice"

    def acknowledge(self, delivery: Delivery) -> None:
        if delivery.kind == "ask":
            delivery.set(["answer to", delivery.message[1]])
        elif delivery.kind == "command":
            delivery.set(self.results.get(delivery.message[1], "given up"))
        else:
            delivery.done()

    # -- what always holds --------------------------------------------------------------------

    def check(self) -> None:
        assert 0 <= self.link.queued <= OUTBOX
        assert self.link.queued_bytes >= 0
        assert self.link.accepted == self.told
        assert self.told - self.link.queued <= self.highest, "acknowledged, and not handled"
        for number, got in self.answers.items():
            assert got in ([], [["result of", number]])
        for question, got in self.outcomes.items():
            self._check_outcome(question, got)

    def _check_outcome(self, question: int, got: list[Any]) -> None:
        if not got:
            return
        (outcome,) = got
        assert question not in self.abandoned
        if isinstance(outcome, RemoteActorDied):
            idempotent, _ = self.asked[question]
            assert not idempotent
            assert outcome.started or not self.times_handled[question]
        else:
            assert outcome == ["answer to", question]
            assert self.times_handled[question]

    def check_settled(self) -> None:
        """Everything has had its time: nothing is missing."""
        self.check()
        assert self.highest == self.told
        assert self.link.idle
        assert (self.link.queued, self.link.queued_bytes) == (0, 0)
        assert all(self.answers.values())
        unanswered = [question for question, got in self.outcomes.items() if not got]
        assert set(unanswered) <= self.abandoned
