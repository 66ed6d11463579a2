"""A link and an intake connected by hand: the bytes between them are the test's to carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from holdfast.actors.delivery import Delivery
from holdfast.actors.frames import FrameReader
from holdfast.actors.intake import CopyError, Intake
from holdfast.actors.link import Link
from holdfast.actors.receiver import Receiver
from holdfast.actors.wire import (
    VERSION,
    Begin,
    Hello,
    Welcome,
    array_head,
    decode_from_receiver,
    encode_frame,
)


def receiver(**changes: Any) -> Receiver:
    arguments: dict[str, Any] = {
        "actor": "critic",
        "incarnation": "1.1",
        "decode": msgspec.msgpack.decode,
        "mailbox_limit": 40,
        "keeps_marks": True,
    }
    return Receiver(**arguments | changes)


def link() -> Link:
    return Link(to="critic", sender="planner", incarnation="1.1", pack=pack)


def pack(items: list[bytes]) -> bytes:
    """Items are msgpack already; together they are an array."""
    return array_head(len(items)) + b"".join(items)


def greeted(receiver: Receiver, sender: str) -> Intake:
    """An intake that has heard Hello and Begin, as one has that a link speaks to."""
    intake = Intake(receiver, wake=lambda: None)
    intake.receive(encode_frame(Hello(VERSION, receiver.actor, sender, "1", 1, False))[4:])
    begin(intake)
    return intake


def begin(intake: Intake) -> None:
    """Answer its Welcome, as a sender does."""
    welcome = decode_from_receiver(intake.take_output()[4:])
    assert isinstance(welcome, Welcome)
    intake.receive(encode_frame(Begin(welcome.connection))[4:])


def copied(data: bytes, receiver: Receiver) -> Iterator[Delivery]:
    """This comes on a connection, as it came on another one: no more than its greeting is heard."""
    intake = Intake(receiver, wake=lambda: None)
    with suppress(CopyError):
        for payload in FrameReader().feed(data):
            for delivery in intake.receive(payload):
                assert delivery.kind == "joined", "a copy is taken in"
                yield delivery
    intake.close()


class Journal:
    """Handles deliveries at once, and remembers them."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.repeats: list[tuple[Any, bool]] = []

    def __call__(self, delivery: Delivery) -> None:
        self.messages.append(delivery.message)
        self.repeats.append((delivery.message, delivery.redelivered))
        delivery.done()


class Wire:
    """One connection between a link and an intake, carrying pieces of any size."""

    def __init__(self, link: Link, receiver: Receiver) -> None:
        self.link = link
        self.intake = Intake(receiver, wake=lambda: None)
        self.to_intake = FrameReader()
        self.to_link = FrameReader()
        self.there = b""  # handed over by the link, and not with the intake yet
        self.left = True  # whether something of what was handed over last is with it
        self.back = b""
        self.gone = b""  # all that the intake was given, for whoever copies it
        link.connected()

    def move(self, size: int) -> list[Delivery]:
        """Carry up to ``size`` bytes each way; what arrived."""
        arrived = self.carry(size)
        self.bring(size)
        return arrived

    def carry(self, size: int) -> list[Delivery]:
        """Carry up to ``size`` bytes to the intake, as a socket takes them; what arrived."""
        self._load()
        self.left = self.left or bool(self.there)
        piece, self.there = self.there[:size], self.there[size:]
        self.gone += piece
        arrived: list[Delivery] = []
        for payload in self.to_intake.feed(piece):
            arrived += self.intake.receive(payload)
        return arrived

    def bring(self, size: int) -> None:
        """Carry up to ``size`` bytes of answers to the link."""
        self._answers()
        piece, self.back = self.back[:size], self.back[size:]
        for payload in self.to_link.feed(piece):
            self.link.receive(payload)

    def settle(self, handle: Callable[[Delivery], None]) -> None:
        """Carry and handle until nothing moves."""
        while True:
            arrived = self.move(1 << 20)
            for delivery in arrived:
                handle(delivery)
            self._answers()
            self._load()
            if not (arrived or self.back or self.there):
                return

    def _load(self) -> None:
        if not self.there:
            self.there = self.link.outgoing()
            self.left = False

    def _answers(self) -> None:
        self.back += self.intake.take_output()

    def cut(self) -> None:
        """Lose what is on the way."""
        self.intake.close()
        self.link.disconnected(last_was_sent=self.left)

    @property
    def is_quiet(self) -> bool:
        """Nothing is on the way."""
        return not (self.there or self.back or self.intake.has_output)
