"""The gateway actor: a door for every language, JSON lines with KSI's events.

It owns no state but connections and what was asked over them: whatever a client wants is a call to
the actors that have it, taken without waiting.  Lost when its process dies: the connections, and
subscriptions; of a request that was not answered it is not known whether it was carried out.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.doors import Client, Doors, Limits, Line
from holdfast.actors.event_encoding import EventEncoder
from holdfast.actors.gateway_answers import steps_of
from holdfast.actors.gateway_catalogue import UnknownEventError, read_data, read_envelope
from holdfast.actors.gateway_subscriptions import Subscriptions
from holdfast.actors.host import HostedActor
from holdfast.actors.json_lines import TooLong
from holdfast.actors.messages import gateway as said
from holdfast.actors.messages import log
from holdfast.actors.messages.gateway import Envelope, Parameters
from holdfast.actors.stepping import Call, Stepped, Stepping
from holdfast.actors.wire import array_head
from holdfast.clock import Clock
from holdfast.errors import CapacityError, HoldfastError, InvalidInputError
from holdfast.storage import jsontext

__all__ = ["GatewayActor"]

DEEPER: Final = jsontext.MAX_DEPTH + 10  # levels of an answer; what is stored has up to MAX_DEPTH
OUTBOX: Final = 10_000  # events that wait for the log

Answer = dict[str, Any]


class GatewayActor(HostedActor):
    """One line of each client at a time; any number of clients at once."""

    refuses_tells = True

    def __init__(self, *, listener: socket.socket, limits: Limits, clock: Clock) -> None:
        super().__init__()
        self._limits = limits
        self._stepping = Stepping(self.mailbox)
        self._encoder = EventEncoder(source=self.mailbox.name, clock=clock)
        self._doors = Doors(
            listener,
            reactor=self.mailbox.reactor,
            now=self.mailbox.monotonic,
            limits=limits,
            deliver=self.mailbox.deliver,
            is_listening=lambda client: client in self._subscriptions,
            on_clear=lambda client: self._subscriptions.go_on(client),
            on_leave=self._left,
        )
        self._subscriptions = Subscriptions(
            self._stepping, clock=clock, encode=_encoded, figures=self._doors.figures
        )
        # The request of a client that is under way.
        self._calls: dict[Client, Call] = {}

    def reconfigure(self, limits: Limits) -> None:
        """Other bounds; of a line, for clients that come from now on."""
        self._limits = self._doors.limits = limits

    def on_start(self) -> None:
        """Let clients in."""
        self._doors.open()

    def on_stop(self) -> None:
        """Tell who waits; a client that connects later is the next life's."""
        for client, call in list(self._calls.items()):
            self._stepping.cancel(call)
            text = "the gateway stops; whether the request is carried out is not known"
            client.say(_encoded({"error": text, "timestamp": self._time()}))
        self._doors.close()

    def on_receive(self, message: Any) -> Any:
        """Lines of clients, and what the actors answer that were asked on their behalf."""
        match message:
            case Line(client=client, text=text):
                self._begin(client, text)
            case Stepped():
                self._stepping.go_on(message)
            case Stepping.TICK():
                self._stepping.look()
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    # -- requests -----------------------------------------------------------------------------

    def _begin(self, client: Client, text: bytes | TooLong) -> None:
        if not client.is_open:
            return
        self._doors.figures.requests += 1
        envelope: Envelope | None = None
        try:
            if isinstance(text, TooLong):
                raise InvalidInputError(
                    f"a line is over {self._limits.max_line} bytes, [actors.gateway] max_line; "
                    "it was passed over: send less at a time"
                )
            envelope = read_envelope(text)
            request = read_data(envelope.event, envelope.data)
            timeout = self._limits.timeout if envelope.timeout is None else envelope.timeout
            steps = self._steps_of(request, client, envelope, timeout)
        except HoldfastError as error:
            self._answer(client, envelope, error)
            return
        if isinstance(steps, dict):
            self._answer(client, envelope, steps)
            return
        call = self._stepping.begin(steps, partial(self._answer, client, envelope), within=timeout)
        if not call.is_over:
            self._calls[client] = call

    def _steps_of(
        self, request: Parameters, client: Client, envelope: Envelope, timeout: float
    ) -> Steps[Answer] | Answer:
        """The steps to the answer, or the answer where it is known here."""
        match request:
            case said.Subscribe():
                return self._subscriptions.subscribe(request, client, timeout)
            case said.Unsubscribe():
                return self._subscriptions.unsubscribe(client)
            case said.GetSubscriptions():
                stats = self._subscriptions.described()
                return {"subscription_stats": stats, "timestamp": self._time()}
            case said.BroadcastEvent():
                return self._broadcast(request, envelope.correlation_id, timeout)
            case _:
                figures = self._figures()
                return steps_of(request, figures, timeout)  # type: ignore[arg-type]  # all others

    def _answer(self, client: Client, envelope: Envelope | None, outcome: Any) -> None:
        self._calls.pop(client, None)
        if not client.is_open:
            return
        text = self._told(envelope, outcome)
        if len(text) > self._limits.max_answer:
            error = CapacityError(
                f"the answer has {len(text)} bytes, over {self._limits.max_answer}, "
                "[actors.gateway] max_answer: ask for less, as with limit"
            )
            text = self._told(envelope, error)
        client.say(text)
        client.answered()
        self._subscriptions.go_on(client)  # where this was a subscription, or has come before it

    def _told(self, envelope: Envelope | None, outcome: Any) -> bytes:
        correlation_id = None if envelope is None else envelope.correlation_id
        tail = {"correlation_id": correlation_id, "timestamp": self._time()}
        event = None if envelope is None else envelope.event
        if not isinstance(outcome, BaseException):
            try:
                return _encoded({"event": event, "data": outcome, "count": 1, **tail})
            except InvalidInputError as error:
                outcome = error  # of values that no JSON can hold
        self._doors.figures.errors += 1
        told: Answer = {"error": str(outcome), "error_type": _type_of(outcome), "event": event}
        if isinstance(outcome, UnknownEventError):
            told["did_you_mean"] = outcome.near
        return _encoded({**told, **tail})

    def _left(self, client: Client) -> None:
        """A question is let go; what was commanded is carried out."""
        self._subscriptions.drop(client)
        if (call := self._calls.pop(client, None)) is not None:
            self._stepping.cancel(call)

    # -- what is known here -------------------------------------------------------------------

    def _broadcast(
        self, request: said.BroadcastEvent, correlation: str | int | float | None, timeout: float
    ) -> Steps[Answer]:
        raw = self._encoder.encode(
            request.event_name,
            request.event_data,
            None,
            None,
            None,
            correlation if isinstance(correlation, str) and correlation else None,
            None,
            None,
            None,
        )
        link = self.mailbox.link("log")
        if link.link.queued >= OUTBOX:
            raise CapacityError(f"{OUTBOX} events wait for the log: try again later")
        link.tell(log.Emit(msgspec.Raw(array_head(1) + raw)))
        yield Ask("log", log.Barrier(), timeout)
        return {"status": "broadcast", "event_name": request.event_name}

    def _figures(self) -> Answer:
        figures: Answer = msgspec.structs.asdict(self._doors.figures)
        return {
            "clients": len(self._doors),
            "subscriptions": len(self._subscriptions),
            "in_hand": len(self._calls),
            **figures,
        }

    def _time(self) -> float:
        return self.mailbox.time_us() / 1e6


def _encoded(answer: Answer) -> bytes:
    return jsontext.encode_utf8(answer, "answer", depth=DEEPER) + b"\n"


def _type_of(error: BaseException) -> str:
    """The class that programs know; those of the gateway itself are nobody's."""
    known = (each for each in type(error).__mro__ if each.__module__ == "holdfast.errors")
    return next((each.__name__ for each in known), type(error).__name__)
