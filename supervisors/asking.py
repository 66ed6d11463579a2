"""Questions of the root to actors of its tree, as one of several steps.

Nothing is kept; an answer to who does not wait any more is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from holdfast.actors.host import Errand
from holdfast.actors.mailbox import Mailbox
from holdfast.supervisors.steps import Begin

__all__ = ["Question", "asked"]


class Question:
    """The context of one; its answer comes to the actor as Answered, and is handed in here."""

    def __init__(self, done: Callable[[str], None], *, mailbox: Mailbox) -> None:
        self._done = done
        self._mailbox = mailbox

    def answered(self, outcome: Any) -> None:
        """With a reply, or with what went wrong."""
        error = str(outcome) if isinstance(outcome, BaseException) else ""
        self._mailbox.deliver(Errand(partial(self._done, error)))


def asked(name: str, message: object, *, timeout: float | None, mailbox: Mailbox) -> Begin:
    """Ask it, again in each of its next lives; the outcome is the error."""

    def begin(done: Callable[[str], None]) -> None:
        question = Question(done, mailbox=mailbox)
        mailbox.link(name).ask(message, context=question, timeout=timeout)

    return begin
