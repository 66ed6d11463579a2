"""Subscribers behind the gateway: one position for each connection, and its next page.

The next page is asked for when the one before it has left this process, so a slow reader holds a
page here and nothing in the log.  Lost with the process: all of them; a client subscribes again
with ``after``, the cursor of the last event it has seen, and misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from holdfast.actors.calls import Steps
from holdfast.actors.doors import Client, Figures
from holdfast.actors.event_calls import Event
from holdfast.actors.failures import AskTimeout
from holdfast.actors.following import Following, Start, following_of
from holdfast.actors.gateway_events import as_push, patterns_of
from holdfast.actors.messages import gateway as said
from holdfast.actors.stepping import Call, Stepping
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError, NotFoundError

__all__ = ["Subscriptions"]

PAGE: Final = 100  # events, each up to a MiB
PATIENCE: Final = 30.0  # seconds for an answer of the log, which is asked again then

Answer = dict[str, Any]
Encode = Callable[[Answer], bytes]


class _Subscription:
    """What one client gets; ``call`` is the page under way."""

    def __init__(
        self, client: Client, id: str, patterns: tuple[str, ...], following: Following
    ) -> None:
        self.client = client
        self.id = id
        self.patterns = patterns
        self.following = following
        self.call: Call | None = None


class Subscriptions:
    """By client; one for each, and one for each ``client_id``."""

    def __init__(
        self, stepping: Stepping, *, clock: Clock, encode: Encode, figures: Figures
    ) -> None:
        self._stepping = stepping
        self._figures = figures
        self._clock = clock
        self._encode = encode
        self._of: dict[Client, _Subscription] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, client: Client) -> bool:
        return client in self._of

    def subscribe(self, request: said.Subscribe, client: Client, timeout: float) -> Steps[Answer]:
        """Take the position, which is what the answer means; ``start`` has to follow it."""
        if not request.event_patterns:
            raise InvalidInputError('event_patterns: expected at least one glob, as ["*"]')
        start: Start = "now" if request.after is None else request.after
        following = following_of(
            start=start,
            name=None,
            change_filter=False,
            max_in_flight=PAGE,
            rate=None,
            burst=None,
            on_gap=None,
            timeout=PATIENCE,
            owner="gateway",
            clock=self._clock,
            types=patterns_of(request.event_patterns),
        )
        yield from following.begin()
        id = request.client_id or f"client-{client.number}"
        for other in [each for each in self._of.values() if each.id == id]:
            self.drop(other.client)  # as KSI has it: the newest of a name replaces the others
        self.drop(client)
        self._of[client] = _Subscription(client, id, request.event_patterns, following)
        return {"status": "subscribed", "client_id": id, "patterns": list(request.event_patterns)}

    def unsubscribe(self, client: Client) -> Answer:
        """Raises NotFoundError."""
        found = self._of.get(client)
        if found is None:
            raise NotFoundError("this connection has no subscription: monitor:subscribe makes one")
        self.drop(client)
        return {"status": "unsubscribed", "client_id": found.id}

    def described(self) -> Answer:
        """Who gets what."""
        patterns = {each.id: list(each.patterns) for each in self._of.values()}
        return {"total_subscriptions": len(patterns), "subscriptions": patterns}

    def go_on(self, client: Client) -> None:
        """It has nothing left to read of what was sent: have the next page fetched."""
        found = self._of.get(client)
        if found is None or found.call is not None or client.is_deaf or not client.is_clear:
            return
        steps = found.following.next_page()
        call = self._stepping.begin(steps, lambda page: self._got(found, page), within=None)
        if not call.is_over:
            found.call = call

    def drop(self, client: Client) -> None:
        """It wants no more, or is gone."""
        found = self._of.pop(client, None)
        if found is not None and found.call is not None:
            self._stepping.cancel(found.call)

    def _got(self, found: _Subscription, page: list[Event] | BaseException) -> None:
        found.call = None
        client = found.client
        if isinstance(page, AskTimeout):
            self.go_on(client)  # the log is not there: it is asked again
        elif isinstance(page, BaseException):
            self.drop(client)
            ended = {"error": str(page), "client_id": found.id}
            client.say(self._encode({"event_name": "monitor:subscription_ended", "data": ended}))
        else:
            if page:
                client.say(b"".join(self._encode(as_push(event)) for event in page))
                self._figures.pushed += len(page)
            self.go_on(client)
