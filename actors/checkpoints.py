"""The checkpoints actor: states that agents resume from, and those of the daemon as a whole.

Owns a read-only connection and the rounds through participants that are under way.  Lost when its
process dies: nothing acknowledged; who had asked for a checkpoint of the daemon asks again.
What changes an agent's checkpoints goes to the writer directly, one transaction each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.barriers import Answer, Barriers, Committing
from holdfast.actors.checkpoint_answers import Question, answer
from holdfast.actors.daemon_checkpoint import Opened, newest_part, opened
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.host import LATER
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import checkpoints
from holdfast.actors.messages.checkpoints import Participant
from holdfast.actors.reactor import Timer
from holdfast.actors.writer_backed import Greeting, WriterBackedActor
from holdfast.errors import InvalidInputError, UnreachableError
from holdfast.storage.checkpoint_records import EnrolParticipant, ParticipantEnrolled
from holdfast.storage.ports import Reader

__all__ = ["CheckpointsActor"]

NOT_NOW: Final = "it does not take part now"


class _Enrolling(msgspec.Struct, frozen=True):
    """A participant waits for its name to be committed."""

    delivery: Delivery


class _Due(msgspec.Struct, frozen=True):
    """The next checkpoint of the daemon that nobody has to ask for."""


class CheckpointsActor(WriterBackedActor):
    """Answers from the database; collects and restores without ever waiting."""

    STREAM = "checkpoints"

    def __init__(
        self,
        *,
        open_reader: Callable[[], Reader],
        boot: int,
        participants: Sequence[str],
        interval: float,
        collect_timeout: float,
        keep: int,
    ) -> None:
        super().__init__(open_reader=open_reader)
        self._boot = boot  # of the daemon: agents enrol for as long as it runs
        self._participants = participants  # state actors; agents enrol by themselves
        self._interval = interval  # seconds; 0: only when it is asked for
        self._timer: Timer | None = None  # for the next one
        self._barriers = Barriers(
            mailbox=self.mailbox,
            boot=boot,
            timeout=collect_timeout,
            keep=keep,
            is_plain=lambda name: name not in participants,
            withdraw=lambda name: self._enrol(name, is_in=False, delivery=None),
        )

    def reconfigure(self, *, interval: float, collect_timeout: float, keep: int) -> None:
        """From now on; the next checkpoint is due a whole new interval from here."""
        self._barriers.timeout, self._barriers.keep = collect_timeout, keep
        if interval != self._interval:
            self._interval = interval
            self._arm()

    def on_start(self) -> None:
        """Set the timer, if there is one."""
        super().on_start()
        self._arm()

    def on_receive(self, message: Any) -> Any:
        """Questions, rounds through the participants, and what those and the writer answer."""
        if isinstance(message, Question):
            return answer(self.reader, message)
        match message:
            case checkpoints.Create(reason=reason):
                self._barriers.collect(self.delivery, self._everybody(), reason)
                return LATER
            case checkpoints.Restore():
                return self._restore(message)
            case checkpoints.GetPart(participant=participant):
                return newest_part(self.reader, participant)
            case checkpoints.Enrol(name=name):
                self._enrol(name, is_in=True, delivery=self.delivery)
                return LATER
            case _Due():
                self._arm()
                try:
                    everybody = self._everybody()
                except UnreachableError as error:
                    logger.warning("no checkpoint of the daemon is made: {}", error)
                else:
                    self._barriers.collect(None, everybody, "interval")
            case Answered(context=context, outcome=outcome):
                self._answered(context, outcome)
            case Joined() | Departed():
                self.greet(message)
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    def _answered(
        self, context: Answer | Committing | _Enrolling | Greeting | None, outcome: Any
    ) -> None:
        match context:
            case Answer():
                self._barriers.answered(context, outcome)
            case Committing():
                self._barriers.committed(context, outcome)
            case _Enrolling(delivery=delivery):
                if isinstance(outcome, ParticipantEnrolled):
                    delivery.set(checkpoints.Enrolled())
                else:
                    delivery.set_exception((type(outcome), outcome, None))
            case Greeting():
                self.greeted(context, outcome)
            case None:
                pass

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.mailbox.after(self._interval, _Due()) if self._interval else None

    def _everybody(self) -> list[str]:
        enrolled = [] if self.reader is None else self.reader.checkpoint_participants(self._boot)
        return [*self._participants, *enrolled]

    def _enrol(self, name: str, *, is_in: bool, delivery: Delivery | None) -> None:
        enrolment = EnrolParticipant(None, name, self._boot, is_in)
        context = None if delivery is None else _Enrolling(delivery)
        self.writer.ask(enrolment, context=context)

    def _restore(self, message: checkpoints.Restore) -> Any:
        found = opened(self.reader, message.id)
        names = message.only or sorted(found.texts)
        if unknown := [name for name in names if name not in found.texts]:
            raise InvalidInputError(
                f"checkpoint {found.id} of the daemon has nothing of {', '.join(unknown)}"
            )
        present = set(self._everybody())
        if message.dry_run:
            return checkpoints.Restored(found.id, True, _plan(found, names, present))
        if absent := [name for name in names if name not in present]:
            raise InvalidInputError(
                f"{', '.join(absent)}: {NOT_NOW}; start it, or name the others with --only"
            )
        self._barriers.restore(self.delivery, found, names)
        return LATER


def _plan(found: Opened, names: Sequence[str], present: set[str]) -> list[Participant]:
    """What would be given to whom."""
    entries = {each.name: each for each in found.manifest.participants}
    return [
        entries[name] if name in present else msgspec.structs.replace(entries[name], error=NOT_NOW)
        for name in names
    ]
