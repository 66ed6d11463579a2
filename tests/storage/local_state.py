"""``hub.state`` on a database in this process: calls, answers and the database, no daemon."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from holdfast.actors.calls import Ask, Command, Now, Steps
from holdfast.actors.hub_relational import HubState
from holdfast.actors.messages import query, writer
from holdfast.actors.state_answers import answer_about_state
from holdfast.clock import Clock
from holdfast.storage.ports import Database, Reader
from tests.storage.making import apply_one

T = TypeVar("T")


class LocalRunner:
    """What the writer and the query actor would do, over the wire's own encoding."""

    def __init__(self, database: Database, reader: Reader, clock: Clock) -> None:
        self._database = database
        self._reader = reader
        self._clock = clock

    def run(self, steps: Steps[T], /) -> T:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._take(step))
        except StopIteration as end:
            value: T = end.value
            return value

    def _take(self, step: object) -> Any:
        match step:
            case Command(message=message):
                command: Any = writer.decode_request(msgspec.msgpack.encode(message))
                return writer.decode_reply(
                    msgspec.msgpack.encode(apply_one(self._database, command))
                )
            case Ask(message=message):
                question: Any = query.decode_request(msgspec.msgpack.encode(message))
                answer = answer_about_state(self._reader, question, self._clock.time_us())
                return query.decode_reply(msgspec.msgpack.encode(answer))
            case Now():
                return self._clock.monotonic()
            case _:
                raise AssertionError(step)


def local_state(database: Database, reader: Reader, clock: Clock) -> HubState:
    """The calls on this database."""
    return HubState(LocalRunner(database, reader, clock))
