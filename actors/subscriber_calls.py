"""The calls about named subscribers, and what one of them keeps: what it was handed, what is done.

Lost with the consumer's process: what it was handed and did not acknowledge comes again.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

from holdfast.actors.calls import Ask, Command, Steps
from holdfast.actors.messages import query
from holdfast.errors import InvalidInputError, UnacknowledgedError
from holdfast.storage.filters import EventFilter
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    RemoveSubscriber,
    StoreSubscriber,
)

__all__ = ["Acknowledging", "Subscriber", "list_subscribers", "nameless", "remove_subscriber"]

MAX_NAME: Final = 200  # characters
PASSED: Final = 10_000  # events that nobody asked for, and are acknowledged together


class Subscriber(msgspec.Struct, frozen=True):
    """A named subscriber; ``filter`` holds the conditions that are set.

    ``lag`` is how many numbers lie behind ``acked``; not all of them may match.  Times are
    microseconds since 1970.
    """

    name: str
    acked: int
    lag: int
    filter: dict[str, Any]
    owner: str
    generation: int
    created_us: int
    updated_us: int


def list_subscribers(*, timeout: float = 30.0) -> Steps[list[Subscriber]]:
    """The named subscribers, by name."""
    reply = yield Ask("query", query.ListSubscribers(), timeout)
    return [
        Subscriber(
            name=each.name,
            acked=each.acked,
            lag=max(0, reply.last_seq - each.acked),
            filter=msgspec.json.decode(each.filter),
            owner=each.owner,
            generation=each.generation,
            created_us=each.created_us,
            updated_us=each.updated_us,
        )
        for each in reply.subscribers
    ]


def remove_subscriber(name: str, *, timeout: float = 30.0) -> Steps[bool]:
    """Forget a named subscriber and its position, committed; whether there was one.

    Its consumer, if there is one, gets Conflict with its next acknowledgement.
    """
    _check_name(name)
    reply = yield Command("writer", RemoveSubscriber(None, name), timeout)
    existed: bool = reply.existed
    return existed


class Acknowledging:
    """The consumer of a name: events in flight are those handed out and not acknowledged."""

    def __init__(
        self,
        name: str,
        wanted: EventFilter,
        owner: str,
        change_filter: bool,
        max_in_flight: int,
        timeout: float,
    ) -> None:
        _check_name(name)
        self.name = name
        self.max_in_flight = max_in_flight
        self._filter = _as_json(wanted)
        self._owner = owner
        self._change_filter = change_filter
        self._timeout = timeout
        self._generation = 0
        self._in_flight: deque[int] = deque()
        self._handed_out = 0  # the number of the last event
        self._acked = 0  # by the program
        self._committed = 0

    def register(self, start: int | None) -> Steps[int]:
        """Take the name over; behind which number to go on.  Raises InvalidInputError."""
        store = StoreSubscriber(
            None, self.name, self._filter, self._owner, start, self._change_filter
        )
        reply = yield Command("writer", store, self._timeout)
        self._generation = reply.generation
        self._handed_out = self._acked = self._committed = reply.acked
        position: int = reply.acked
        return position

    @property
    def is_full(self) -> bool:
        """No more is handed out before something is acknowledged."""
        return len(self._in_flight) >= self.max_in_flight

    def hand_out(self, seq: int) -> None:
        """An event goes to the program."""
        self._in_flight.append(seq)
        self._handed_out = seq

    def note(self, seq: int) -> None:
        """The program is done with everything up to there.  Raises InvalidInputError."""
        if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq <= self._handed_out:
            raise InvalidInputError(
                f"ack({seq!r}): the last event that was handed out is number {self._handed_out}"
            )
        self._acked = max(self._acked, seq)
        while self._in_flight and self._in_flight[0] <= seq:
            self._in_flight.popleft()

    def pass_over(self, seq: int, *, is_idle: bool) -> None:
        """Nothing up to there is asked for but what was handed out.

        Acknowledged too, if that is all there is to do or it is much: retention waits for it.
        """
        if not self._in_flight and (is_idle or seq - self._committed >= PASSED):
            self._acked = max(self._acked, seq)

    def commit(self) -> Steps[int]:
        """Have what is acknowledged by now committed; up to where that is.  Raises Conflict."""
        if self._acked > self._committed:
            command = AcknowledgeEvents(None, self.name, self._generation, self._acked)
            reply = yield Command("writer", command, self._timeout)
            self._committed = max(self._committed, reply.acked)
        return self._committed

    def unacknowledged(self) -> UnacknowledgedError:
        """The error for who asks for more and acknowledges nothing."""
        return UnacknowledgedError(self.name, len(self._in_flight), self._timeout)


def nameless() -> InvalidInputError:
    """The error for an acknowledgement that nobody would keep."""
    return InvalidInputError(
        "ack: a subscription without a name keeps no position: subscribe(name=...)"
    )


def _as_json(wanted: EventFilter) -> str:
    """The conditions that are set, so that equal filters are equal texts."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(EventFilter):
        value = getattr(wanted, field.name)
        if value != field.default:
            found[field.name] = sorted(set(value)) if isinstance(value, tuple) else value
    return msgspec.json.encode(found, order="deterministic").decode()


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidInputError(f"name = {name!r}: expected 1 to {MAX_NAME} printable characters")
