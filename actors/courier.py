"""Carries an agent's own messages through its mailbox: waiting pumps it, handlers do not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Timer

__all__ = ["Courier"]


class Courier:
    """The Driver of the references that an agent holds."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def send_tell(self, to: str, message: object) -> None:
        """Queue until acknowledged; a full outbox means what its policy says.

        Raises OutboxFullError.
        """
        core = self._mailbox.link(to).link
        if core.is_full:
            self._mailbox.pump(
                lambda: not core.is_full or core.refused is not None, core.room_timeout
            )
            if core.is_full and core.refused is None:
                raise core.reject(core.room_timeout)
        self._mailbox.outgoing.tell(to, message)

    def send_ask(
        self,
        to: str,
        message: object,
        on_reply: Callable[[Any], None],
        *,
        idempotent: bool,
        timeout: float | None = None,
    ) -> int:
        """Send at once if there is credit."""
        link = self._mailbox.link(to)
        deadline = None if timeout is None else self._mailbox.monotonic() + timeout
        with self._mailbox.outgoing.guard:
            ident = link.link.ask(message, on_reply, idempotent=idempotent, deadline=deadline)
            link.flush()
            return ident

    def send_stop(self, to: str, on_reply: Callable[[Any], None]) -> None:
        """Send pykka's stop."""
        link = self._mailbox.link(to)
        with self._mailbox.outgoing.guard:
            link.link.stop(on_reply)
            link.flush()

    def abandon(self, to: str, ident: int) -> None:
        """Nobody waits for the answer any more."""
        with self._mailbox.outgoing.guard:
            self._mailbox.link(to).link.abandon(ident)

    def wait(self, to: str, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Until ``is_done``, or ``timeout`` seconds; whether it was."""
        return self._mailbox.pump(is_done, timeout)

    def wait_until(self, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Until ``is_done``, or ``timeout`` seconds; whether it was."""
        return self._mailbox.pump(is_done, timeout)

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back from inside the mailbox."""
        return self._mailbox.later(delay, callback)

    def is_up(self, to: str) -> bool:
        """Whether the actor has welcomed this process."""
        return self._mailbox.link(to).link.is_up

    def remaining(self) -> float | None:
        """Seconds left of the ask in hand: what is asked on its behalf may take no longer."""
        delivery = self._mailbox.current
        if delivery is None or delivery.deadline is None:
            return None
        return max(0.0, delivery.deadline - self._mailbox.monotonic())
