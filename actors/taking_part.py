"""How an agent takes part in checkpoints of the daemon: it says so, and answers when it is asked.

Nothing is kept here.  An exception of a hook goes to the checkpoint, and the agent lives.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from holdfast.actors.hub import Hub
from holdfast.actors.messages import checkpoints, writer
from holdfast.actors.messages.barrier import Collect, Collected, Restore, Restored
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = ["enrol", "take_part"]

MAX_STATE: Final = 4 * 1024 * 1024  # bytes of JSON text: a part travels in one message
WAIT: Final = 30.0  # seconds


class Taking(Protocol):
    """What an agent has for this."""

    hub: Hub
    name: str

    def on_collect(self) -> object:
        """The state to keep."""

    def on_restore(self, state: Any) -> None:
        """Take it over."""


def enrol(agent: Taking) -> None:
    """Have it asked from now on.  Waits for the ``checkpoints`` actor."""
    agent.hub.ask("checkpoints", checkpoints.Enrol(agent.name), timeout=WAIT)


def take_part(agent: Taking, message: Collect | Restore) -> Collected | Restored:
    """The answer; ``mark`` is behind everything that the agent has emitted."""
    if isinstance(message, Restore):
        agent.on_restore(jsontext.decode(message.state))
        return Restored(1)
    state = jsontext.encode(agent.on_collect())
    if len(state) > MAX_STATE:
        raise InvalidInputError(
            f"on_collect of {agent.name!r} returned {len(state)} characters of JSON: the bound is "
            f"{MAX_STATE}; put large states with self.checkpoint and return the id"
        )
    agent.hub.flush(timeout=WAIT)
    position = agent.hub.ask("writer", writer.GetPosition(), timeout=WAIT)
    mark = msgspec.convert(position, writer.PositionIs).position.last_seq
    return Collected(state, 1, mark)
