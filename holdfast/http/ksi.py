"""KSI's events over HTTP: POST what stands in ``data`` of a line, get what the line is answered.

Nothing is kept here.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from holdfast.actors.gateway_catalogue import read_data
from holdfast.actors.messages import gateway as said
from holdfast.errors import InvalidInputError
from holdfast.http.hub import DoorHub
from holdfast.http.reading import json_of

__all__ = ["answer_ksi"]

Answer = dict[str, Any]


async def answer_ksi(
    event: str,
    body: bytes | None,
    hub: DoorHub,
    figures: Answer,
    timeout: float,
    *,
    correlation_id: str | None,
) -> Answer:
    """Raises UnknownEventError, InvalidInputError, and what the calls raise."""
    if body:
        json_of(body, event)  # says what is wrong with it, as everywhere here
    request = read_data(event, msgspec.Raw(body or b"{}"))
    data: Answer
    match request:
        case said.Subscribe() | said.Unsubscribe():
            raise InvalidInputError(f"{event}: over HTTP, GET /events/stream is a subscription")
        case said.GetSubscriptions():
            stats = {"total_subscriptions": figures["streams"], "subscriptions": {}}
            data = {"subscription_stats": stats, "timestamp": time.time()}
        case said.BroadcastEvent(event_name=name, event_data=value):
            await hub.events.emit(name, value, correlation=correlation_id, timeout=timeout)
            await hub.flush("memory", timeout=timeout)
            data = {"status": "broadcast", "event_name": name}
        case _:
            data = await hub.answer(request, figures, timeout)  # type: ignore[arg-type]  # all others
    return {
        "event": event,
        "data": data,
        "count": 1,
        "correlation_id": correlation_id,
        "timestamp": time.time(),
    }
