"""Whose life is watched: an actor is told when one that owns something has ended.

Kept in the process that watches; the supervisors forget who waited when it dies.  Nothing here
waits: each step is an ask whose answer comes as a message.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.actors.delivery import Delivery
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.supervisor import (
    AwaitEnd,
    ChildIs,
    Ended,
    GetChild,
    LastExit,
    Locate,
    Located,
)
from holdfast.actors.supervision_calls import ROOT, read_reply
from holdfast.errors import HoldfastError

__all__ = ["Owners", "Watching", "sender_of"]

MOST: Final = 1_000  # lives watched at a time; who comes after that is not


class Watching(msgspec.Struct, frozen=True):
    """The context of an ask: which life of whom, and who its supervisor is once that is known.

    ``life`` is "" until it is known which one is meant: the present one.
    """

    owner: str
    life: str
    supervisor: str = ""
    is_awaited: bool = False


class Owners:
    """Asks the root whose child an owner is, then that supervisor for the end of the life."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._watched: set[tuple[str, str]] = set()  # owner and life as they were named

    def watch(self, owner: str, life: str) -> None:
        """Have the end of an actor's life told; unless it is watched, or too many are."""
        if (owner, life) in self._watched or len(self._watched) >= MOST:
            return
        self._watched.add((owner, life))
        self._ask(ROOT, Locate(owner), Watching(owner, life))

    def answered(self, watching: Watching, outcome: Any) -> LastExit | None:
        """Take the next step; how the life ended when that is known."""
        if isinstance(outcome, HoldfastError):  # nobody's child, or too many wait there
            self._watched.discard((watching.owner, watching.life))
            return None
        if not watching.supervisor:
            supervisor = read_reply(outcome, Located).supervisor
            found = msgspec.structs.replace(watching, supervisor=supervisor)
            if watching.life:
                self._await(found, watching.life)
            else:
                self._ask(supervisor, GetChild(watching.owner), found)
            return None
        if not watching.is_awaited:
            self._await(watching, read_reply(outcome, ChildIs).incarnation)
            return None
        self._watched.discard((watching.owner, watching.life))
        return read_reply(outcome, Ended).exit

    def _await(self, watching: Watching, life: str) -> None:
        awaited = msgspec.structs.replace(watching, is_awaited=True)
        self._ask(watching.supervisor, AwaitEnd(watching.owner, life), awaited)

    def _ask(self, to: str, message: object, context: Watching) -> None:
        # Asked again after a break: the life is named, so that another one is not meant then.
        self._mailbox.link(to).ask(message, context=context)


def sender_of(delivery: Delivery) -> tuple[str, str]:
    """Who sent it, by name and life; an agent's hub sends for the agent."""
    name = delivery.sender.removesuffix(".hub")
    return (name, "") if "/" in name else (name, delivery.incarnation)
