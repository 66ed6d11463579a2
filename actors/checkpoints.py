"""The checkpoints actor: states that agents resume from.

Owns nothing but a read-only connection.  Lost when its process dies: nothing acknowledged; a put
under way is carried out once, and its sender gets the first answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.answers import origin_of, recall, refuse, reopen_refusal
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.host import LATER
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import checkpoints
from holdfast.actors.writer_backed import Greeting, WriterBackedActor
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.checkpoint_records import CheckpointStored, StoreCheckpoint
from holdfast.storage.ports import Reader
from holdfast.storage.records import AnswerKept, KeepAnswer

__all__ = ["CheckpointsActor"]

MAX_AGENT: Final = 256  # characters of an agent's name
MAX_LIST: Final = 1_000


class _Put(msgspec.Struct, frozen=True):
    """A put whose commit is under way."""

    delivery: Delivery


class CheckpointsActor(WriterBackedActor):
    """Puts go through the writer, one transaction each; gets read the database."""

    STREAM = "checkpoints"

    def __init__(self, *, open_reader: Callable[[], Reader], clock: Clock) -> None:
        super().__init__(open_reader=open_reader)
        self._clock = clock

    def on_receive(self, message: Any) -> Any:
        """Requests of agents, and what the writer answers."""
        match message:
            case checkpoints.Put():
                return self._put(message)
            case checkpoints.Get(agent=agent):
                newest = None if self.reader is None else self.reader.checkpoint(agent)
                return checkpoints.CheckpointIs(newest)
            case checkpoints.List(agent=agent, limit=limit):
                bounded = max(1, min(limit, MAX_LIST))
                found = [] if self.reader is None else self.reader.checkpoints(agent, bounded)
                return checkpoints.CheckpointsAre(found)
            case Answered(context=context, outcome=outcome):
                self._answered(context, outcome)
            case Joined() | Departed():
                self.greet(message)
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    def _put(self, put: checkpoints.Put) -> Any:
        delivery = self.delivery
        origin = origin_of(delivery, self.STREAM)
        store: StoreCheckpoint | KeepAnswer = StoreCheckpoint(
            origin, put.agent, self._clock.time_us(), put.state
        )
        if origin is not None and delivery.skip:
            store = recall(origin)
        else:
            try:
                _check(put)
            except InvalidInputError as error:
                if origin is None:
                    raise
                store = refuse(origin, error)
        self.writer.ask(store, context=_Put(delivery))
        return LATER

    def _answered(self, context: _Put | Greeting | None, outcome: Any) -> None:
        match context:
            case _Put(delivery=delivery):
                if isinstance(outcome, CheckpointStored):
                    delivery.set(checkpoints.Saved(outcome.id))
                    return
                if isinstance(outcome, AnswerKept):
                    outcome = reopen_refusal(self.mailbox.name, outcome.answer)
                delivery.set_exception((type(outcome), outcome, None))
            case Greeting():
                self.greeted(context, outcome)
            case None:
                pass


def _check(put: checkpoints.Put) -> None:
    if not put.agent or len(put.agent) > MAX_AGENT or "\0" in put.agent:
        raise InvalidInputError(
            f"agent = {put.agent[:80]!r}: expected 1 to {MAX_AGENT} characters without NUL"
        )
    jsontext.decode(put.state)
