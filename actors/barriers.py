"""Rounds through the participants: what each holds is collected, or given back.

Owns the rounds that are under way, lost with the process: who asked for one asks again.  Nothing
waits: participants are asked, and answer or are late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.daemon_checkpoint import Manifest, Opened, laid_out
from holdfast.actors.delivery import Delivery
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages import barrier
from holdfast.actors.messages.checkpoints import Created, Participant, Reason, Restored
from holdfast.actors.plain import of_barrier
from holdfast.errors import ActorGone, HoldfastError, StorageError
from holdfast.storage import parts as parting
from holdfast.storage.checkpoint_records import (
    DAEMON,
    CheckpointStored,
    Part,
    PartsStored,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
)

__all__ = ["Answer", "Barriers", "Committing"]

TOGETHER: Final = 4 * 1024 * 1024  # bytes of parts in one message, half a frame


class _Round:
    """One way through the participants; ``waiting`` are those without an answer."""

    def __init__(self, delivery: Delivery | None, names: Iterable[str]) -> None:
        self.delivery = delivery  # of who asked; None for the timer
        self.waiting = set(names)
        self.heard: dict[str, Participant] = {}
        self.texts: dict[str, str] = {}


class _Collecting(_Round):
    def __init__(
        self, delivery: Delivery | None, names: Iterable[str], reason: Reason, began_us: int
    ) -> None:
        super().__init__(delivery, names)
        self.reason = reason
        self.began_us = began_us


class _Restoring(_Round):
    def __init__(self, delivery: Delivery, names: Iterable[str], id: int) -> None:
        super().__init__(delivery, names)
        self.id = id


class Answer(msgspec.Struct, frozen=True):
    """The context of a question to a participant."""

    round: _Collecting | _Restoring
    name: str


class Committing(msgspec.Struct, frozen=True):
    """The context of what the writer is told: the round, and the batches still to be sent."""

    round: _Collecting
    batches: list[list[Part]]
    store: StoreCheckpoint


class Barriers:
    """``is_plain`` says of a participant whether it speaks plain values, as agents do."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        boot: int,
        timeout: float,
        keep: int,
        is_plain: Callable[[str], bool],
        withdraw: Callable[[str], None],
    ) -> None:
        self._mailbox = mailbox
        self._boot = boot
        self.timeout = timeout  # seconds until a participant is late
        self.keep = keep  # checkpoints of the daemon that stay; 0 = all
        self._is_plain = is_plain
        self._withdraw = withdraw

    def collect(self, delivery: Delivery | None, names: Iterable[str], reason: Reason) -> None:
        """Begin a checkpoint; the delivery is answered with Created after its COMMIT."""
        round = _Collecting(delivery, names, reason, self._mailbox.time_us())
        message = barrier.Collect(str(round.began_us))
        self._ask(round, dict.fromkeys(round.waiting, message))

    def restore(self, delivery: Delivery, opened: Opened, names: Iterable[str]) -> None:
        """Give parts back; the delivery is answered with Restored."""
        round = _Restoring(delivery, names, opened.id)
        self._ask(
            round,
            {name: barrier.Restore(str(opened.id), opened.texts[name]) for name in round.waiting},
        )

    def answered(self, answer: Answer, outcome: Any) -> None:
        """What a participant said, or why it said nothing."""
        round, name = answer.round, answer.name
        round.waiting.discard(name)
        try:
            if not isinstance(outcome, barrier.Collected | barrier.Restored | HoldfastError):
                outcome = msgspec.convert(outcome, barrier.Reply)  # an agent's, plain
        except msgspec.ValidationError as error:
            outcome = HoldfastError(f"it answered what is no part: {error}")
        if isinstance(outcome, ActorGone):
            self._withdraw(name)  # it has ended for good: nobody misses it
        elif isinstance(outcome, HoldfastError):
            round.heard[name] = Participant(name, error=str(outcome))
        elif isinstance(outcome, barrier.Collected):
            round.texts[name] = outcome.state
            size = len(outcome.state.encode())
            round.heard[name] = Participant(name, outcome.count, outcome.mark, size)
        else:
            counts = {"restored": outcome.count, "skipped": outcome.skipped}
            round.heard[name] = Participant(name, **counts)
        self._finish_if_all(round)

    def committed(self, context: Committing, outcome: Any) -> None:
        """What the writer said: to parts that were sent ahead, or to the checkpoint itself."""
        round = context.round
        if isinstance(outcome, CheckpointStored):
            participants = _in_order(round)
            self._log(outcome.id, participants)
            _reply(round, Created(outcome.id, participants))
            if self.keep:
                prune = PruneCheckpoints(None, DAEMON, self.keep)
                self._mailbox.link("writer").ask(prune, context=None)
        elif isinstance(outcome, PartsStored):
            self._send(context)
        else:
            if not isinstance(outcome, HoldfastError):  # another life has this thread by now
                outcome = StorageError(f"the writer answered {outcome!r}")
            logger.warning("a checkpoint of the daemon is not kept: {}", outcome)
            if round.delivery is not None:
                round.delivery.set_exception((type(outcome), outcome, None))

    def _ask(
        self,
        round: _Collecting | _Restoring,
        messages: Mapping[str, barrier.Collect | barrier.Restore],
    ) -> None:
        for name, message in sorted(messages.items()):
            what = of_barrier(message) if self._is_plain(name) else message
            try:
                self._mailbox.link(name).ask(
                    what, context=Answer(round, name), timeout=self.timeout
                )
            except HoldfastError as error:  # too large, or its link is of no use any more
                round.waiting.discard(name)
                round.heard[name] = Participant(name, error=str(error))
        self._finish_if_all(round)

    def _finish_if_all(self, round: _Collecting | _Restoring) -> None:
        if round.waiting:
            return
        if isinstance(round, _Restoring):
            _reply(round, Restored(round.id, False, _in_order(round)))
            return
        manifest = Manifest(self._boot, round.reason, round.began_us, _in_order(round))
        layout = laid_out(manifest, round.texts)
        batches = _batches(parting.pack(layout.parts))
        last = batches.pop() if batches else []
        store = StoreCheckpoint(
            None, DAEMON, round.began_us, layout.state, layout.pieces, last, layout.size
        )
        self._send(Committing(round, batches, store))

    def _send(self, context: Committing) -> None:
        """The parts that are too much for one message first, the manifest last."""
        writer = self._mailbox.link("writer")
        if context.batches:
            first, *rest = context.batches
            context = msgspec.structs.replace(context, batches=rest)
            writer.ask(StoreParts(None, first), context=context)
        else:
            writer.command(context.store, context=context)

    def _log(self, id: int, participants: list[Participant]) -> None:
        missing = ", ".join(f"{each.name} ({each.error})" for each in participants if each.error)
        if missing:
            logger.warning("checkpoint {} of the daemon is partial: without {}", id, missing)


def _in_order(round: _Round) -> list[Participant]:
    return [round.heard[name] for name in sorted(round.heard)]


def _reply(round: _Round, reply: Created | Restored) -> None:
    if round.delivery is not None:
        round.delivery.set(reply)


def _batches(parts: list[Part]) -> list[list[Part]]:
    batches: list[list[Part]] = []
    size = TOGETHER
    for part in parts:
        size += len(part.data)
        if size > TOGETHER:
            batches.append([])
            size = len(part.data)
        batches[-1].append(part)
    return batches
