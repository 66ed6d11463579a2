"""How the children are: one question to all of them at a time, for whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import StatusReply
from holdfast.actors.messages.supervisor import ChildCount, ChildStatus
from holdfast.actors.reactor import Timer
from holdfast.supervisors.children import Child

__all__ = ["RoundOverdue", "Rounds"]


class RoundOverdue(msgspec.Struct, frozen=True):
    """The round ``id`` ends without those who did not answer."""

    id: int


class Rounds:
    """Who joins while a round is open gets its answer.

    A child that does not answer in time is shown as it last was; it is neither asked again nor
    waited for before it has, so that nothing piles up before a stopped child.
    """

    def __init__(self, *, mailbox: Mailbox, children: Mapping[str, Child], deadline: float) -> None:
        self._mailbox = mailbox
        self._children = children
        self.deadline = deadline
        self._id = 0
        self._timer: Timer | None = None  # of the open round
        self._waiting: dict[str, int] = {}  # the incarnation that was asked, by child
        self._silent: set[str] = set()  # let a round pass, and have not answered since
        self._answers: list[Callable[[list[ChildStatus]], None]] = []

    def join(self, answer: Callable[[list[ChildStatus]], None]) -> None:
        """Call ``answer`` with the state of all children, soon."""
        self._answers.append(answer)
        if self._timer is not None:
            return
        self._id += 1
        self._timer = self._mailbox.after(self.deadline, RoundOverdue(self._id))
        for name, child in self._children.items():
            if name not in self._silent and child.ask_status(self._id):
                self._waiting[name] = child.starts
        self._close_if_complete()

    def replied(self, child: Child, reply: StatusReply) -> None:
        """A child answered."""
        child.said = reply
        self.forget(child)

    def forget(self, child: Child) -> None:
        """The child is not waited for any more."""
        self._silent.discard(child.spec.id)
        if self._waiting.pop(child.spec.id, None) is not None:
            self._close_if_complete()

    def overdue(self, ident: int) -> None:
        """The deadline of a round."""
        if self._timer is not None and ident == self._id:
            self._silent.update(self._waiting)
            self._waiting.clear()
            self._close()

    def statuses(self) -> list[ChildStatus]:
        """What is known now, in start order."""
        return [child.status() for child in self._children.values()]

    def count(self) -> ChildCount:
        """How many there are."""
        known = self._children.values()
        supervisors = sum(child.spec.is_supervisor for child in known)
        return ChildCount(
            specs=len(known),
            active=sum(child.has_process for child in known),
            supervisors=supervisors,
            workers=len(known) - supervisors,
        )

    def _close_if_complete(self) -> None:
        if self._timer is not None and not self._waiting:
            self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        statuses = self.statuses()
        answers, self._answers = self._answers, []
        for answer in answers:
            answer(statuses)
