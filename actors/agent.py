"""User agents: actors with a hub of their own, named in the config.

Lost when an agent's process dies: what it emitted and was not committed, unless it was before a
checkpoint.  Its next life finds the last checkpoint in ``self.restored``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from holdfast.actors.host import HostedActor, construct
from holdfast.actors.hub import Hub
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Timer
from holdfast.actors.ref import RemoteRef
from holdfast.errors import OutboxFullError

__all__ = ["Agent", "construct_agent"]

A = TypeVar("A", bound="Agent")

ROOM: Final = 30.0  # seconds a tell waits for room in a full outbox


class Agent(HostedActor):
    """Subclass it, implement ``on_receive``, name the class in the config.

    Its messages are plain values: what msgspec encodes at the sender arrives as dicts, lists,
    text and numbers.  A handler may take minutes; it may ask other actors meanwhile.
    """

    hub: Hub
    name: str
    restored: Any = None  # the state of the last checkpoint, or None; set before on_start

    def ref(self, name: str) -> RemoteRef:
        """A reference to another actor by name: pykka's tell, ask and stop."""
        return RemoteRef(name, _Courier(self.mailbox))

    def after(self, delay: float, message: object) -> Timer:
        """Receive ``message`` from oneself in ``delay`` seconds."""
        return self.mailbox.after(delay, message)

    def checkpoint(self, state: object, *, timeout: float = 30.0) -> int:
        """Commit everything emitted before, then the state; the checkpoint's id.

        An agent that dies after this and has put the state to use neither skips nor repeats.
        """
        self.hub.flush(timeout=timeout)
        return self.hub.checkpoints.put(self.name, state, timeout=timeout)


class _Courier:
    """Carries an agent's messages through its mailbox: waiting pumps it, handlers do not run."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def send_tell(self, to: str, message: object) -> None:
        link = self._mailbox.link(to)
        if link.link.is_full and not self._mailbox.pump(lambda: not link.link.is_full, ROOM):
            raise OutboxFullError(
                f"{link.link.queued} messages to {to!r} wait for an acknowledgement since "
                f"{ROOM:.0f} s: look at it with `holdfast status`"
            )
        link.tell(message)

    def send_ask(
        self, to: str, message: object, on_reply: Callable[[Any], None], *, idempotent: bool
    ) -> int:
        link = self._mailbox.link(to)
        ident = link.link.ask(message, on_reply, idempotent=idempotent)
        link.flush()
        return ident

    def send_stop(self, to: str, on_reply: Callable[[Any], None]) -> None:
        link = self._mailbox.link(to)
        link.link.stop(on_reply)
        link.flush()

    def abandon(self, to: str, ident: int) -> None:
        self._mailbox.link(to).link.abandon(ident)

    def wait(self, to: str, is_done: Callable[[], bool], timeout: float | None) -> bool:
        return self._mailbox.pump(is_done, timeout)


def construct_agent(
    cls: type[A], *, mailbox: Mailbox, hub: Hub, name: str, options: dict[str, Any]
) -> A:
    """Make an agent with what its constructor may use already: hub, name, restored.

    ``options`` are its constructor's arguments.  Waits for the ``checkpoints`` actor.
    """
    last = hub.checkpoints.get(name)
    given = {"hub": hub, "name": name, "restored": None if last is None else last.state}
    return construct(cls, mailbox=mailbox, given=given, **options)
