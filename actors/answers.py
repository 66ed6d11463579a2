"""Answers to commands that are carried out once: kept by the writer, given again to repeats.

A command that is refused takes its number all the same: its failure is the answer that is kept.
"""

from __future__ import annotations

import msgspec

from holdfast.actors.delivery import Delivery
from holdfast.actors.failures import exception_from, failure_of
from holdfast.errors import HoldfastError
from holdfast.storage.commands import Command
from holdfast.storage.records import KeepAnswer, Origin

__all__ = ["Refusal", "numbered", "origin_of", "recall", "refuse", "reopen_refusal"]


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag_field="kept", tag="refusal"):
    """A failure as a kept answer: class name, text and parts, as on the wire."""

    type: str
    text: str
    parts: list[str | int | None]


def origin_of(delivery: Delivery, stream: str) -> Origin | None:
    """Where a command stands in its sender's numbering; None for an ask, which has no number."""
    if delivery.kind != "command":
        return None
    fresh = not delivery.redelivered
    sender, incarnation = delivery.sender, delivery.incarnation
    return Origin(sender, incarnation, stream, delivery.number, delivery.acked, fresh)


def numbered(delivery: Delivery, stream: str) -> Command:
    """What a sender numbered towards this actor is told apart from what others pass on."""
    command: Command = delivery.message
    origin = origin_of(delivery, stream)
    return command if origin is None else msgspec.structs.replace(command, origin=origin)


def recall(origin: Origin) -> KeepAnswer:
    """What gets the first answer to a command that was carried out before."""
    return KeepAnswer(origin, "")


def refuse(origin: Origin, error: HoldfastError) -> KeepAnswer:
    """What keeps ``error`` as the answer to the command."""
    return KeepAnswer(origin, msgspec.json.encode(Refusal(*failure_of(error))).decode())


def reopen_refusal(actor: str, answer: str) -> HoldfastError:
    """The exception that ``refuse`` kept."""
    refusal = msgspec.json.decode(answer, type=Refusal)
    return exception_from(actor, refusal.type, refusal.text, list(refusal.parts))
