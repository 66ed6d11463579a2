"""What a gateway's event means as a call, whichever door it came in by.

Nothing is kept here.
"""

from __future__ import annotations

from typing import Any

from holdfast.actors.calls import Steps
from holdfast.actors.gateway_catalogue import describe, discover
from holdfast.actors.gateway_daemon import DaemonRequest, answer_daemon
from holdfast.actors.gateway_events import EventRequest, answer_events, log_stats
from holdfast.actors.gateway_state import StateRequest, answer_state
from holdfast.actors.messages import gateway as said

__all__ = ["Shared", "steps_of"]

Answer = dict[str, Any]

# All but subscriptions, and what is emitted in the door's own name.
Shared = said.Discover | said.Help | said.GetStats | EventRequest | DaemonRequest | StateRequest


def steps_of(request: Shared, figures: Answer, timeout: float) -> Steps[Answer]:
    """The steps to the answer; ``figures`` are the door's.  Raises what the calls raise."""
    match request:
        case said.Discover():
            return discover(
                namespace=request.namespace,
                event=request.event,
                detail=request.detail,
                is_compact=request.format_style == "compact",
            )
        case said.Help(event=event):
            return describe(event, is_compact=request.format_style == "compact")
        case said.GetStats():
            stats = yield from log_stats(timeout)
            return {"event_log": stats, "router": figures}
        case _ if isinstance(request, EventRequest):
            return (yield from answer_events(request, timeout))
        case _ if isinstance(request, DaemonRequest):
            return (yield from answer_daemon(request, figures, timeout))
        case _:
            return (yield from answer_state(request, timeout))
