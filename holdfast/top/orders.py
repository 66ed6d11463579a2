"""What the keys do to the daemon, and the words before and after.  Each waits: for a thread."""

from __future__ import annotations

from typing import Literal

from holdfast.actors.hub import Hub
from holdfast.actors.messages.supervisor import ChildStatus
from holdfast.errors import HoldfastError

__all__ = ["Order", "carry_out", "question"]

Order = Literal["restart", "stop", "start", "reload"]
TIMEOUT = 60.0  # seconds


def question(order: Order, child: ChildStatus | None) -> str:
    """What is asked before it is done."""
    if child is None:
        return "Reload the config file?"
    below = f" and {len(child.children)} below it" if child.children else ""
    return f"{order.capitalize()} {child.id}{below}?"


def carry_out(hub: Hub | None, order: Order, name: str) -> str:
    """Do it, and say what came of it."""
    if hub is None:
        return f"{order}: there is no daemon"
    try:
        match order:
            case "reload":
                done = hub.supervision.reload()
                counts = ", ".join(f"{n} {what}" for what, n in done.counts.items() if n)
                return f"reloaded: {counts or 'nothing has changed'}"
            case "restart":
                hub.supervision.terminate_child(name, timeout=TIMEOUT)
                hub.supervision.restart_child(name, timeout=TIMEOUT)
            case "stop":
                hub.supervision.terminate_child(name, timeout=TIMEOUT)
            case "start":
                hub.supervision.restart_child(name, timeout=TIMEOUT)
    except HoldfastError as error:
        return f"{order} {name}: {error}"
    return f"{order} {name}: done"
