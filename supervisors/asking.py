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

__all__ = ["Question", "asked", "told"]


class Question:
    """The context of one; its answer comes to the actor as Answered, and is handed in here."""

    def __init__(self, done: Callable[[Any], None], *, mailbox: Mailbox) -> None:
        self._done = done
        self._mailbox = mailbox

    def answered(self, outcome: Any) -> None:
        """With a reply, or with what went wrong."""
        self._mailbox.deliver(Errand(partial(self._done, outcome)))


def asked(name: str, message: object, *, timeout: float | None, mailbox: Mailbox) -> Begin:
    """Ask it, again in each of its next lives; the outcome is the error."""

    def begin(done: Callable[[str], None]) -> None:
        def answered(outcome: Any) -> None:
            done(str(outcome) if isinstance(outcome, BaseException) else "")

        told(name, message, answered, timeout=timeout, mailbox=mailbox)

    return begin


def told(
    name: str,
    message: object,
    answered: Callable[[Any], None],
    *,
    timeout: float | None,
    mailbox: Mailbox,
) -> None:
    """Ask it likewise; ``answered`` gets the reply, or what went wrong."""
    question = Question(answered, mailbox=mailbox)
    mailbox.link(name).ask(message, context=question, timeout=timeout)
