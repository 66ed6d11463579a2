"""A swap of the database: the data moves to another one while the tree works with the old one.

The steps of the root: a copier is forked, copies, and follows what changes; when little is left,
the actors that have the database open are held, the rest is moved and proven, and the commit point
is written.  Before that anything that fails is undone; after it nothing is, and ordinary
supervision brings up what does not start.  What was copied stays there, and the next reload goes on
from it (``cut_off.py``).  Lost when the root dies: what is not committed; its next life finds which
it was, and finishes or reports it (``recover``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.swap import (
    SwapPhase,
    SwapRecord,
    SwapStatus,
)
from holdfast.actors.messages.writer import BeginCapture, EndCapture, Pace
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, ReloadError, StorageError
from holdfast.supervisors.asking import asked
from holdfast.supervisors.backends import modules_of
from holdfast.supervisors.chasing import Chase
from holdfast.supervisors.commit_point import (
    CommitPoint,
    in_words,
    iso,
    read_point,
    write_point,
)
from holdfast.supervisors.copier_line import Copier
from holdfast.supervisors.copier_words import (
    Commit,
    Copy,
    Far,
    Finish,
    Finished,
    Job,
    Move,
    Prepared,
    Retired,
    Verified,
    Verify,
)
from holdfast.supervisors.cut_off import CANCELLED, UNDONE, CutOff
from holdfast.supervisors.holding import Holding
from holdfast.supervisors.in_place import ON_DATABASE
from holdfast.supervisors.readdressing import HOLD_ORDER, Readdressing
from holdfast.supervisors.settings import StorageSettings
from holdfast.supervisors.spec import Environment
from holdfast.supervisors.steps import Begin, Steps, within
from holdfast.supervisors.supervision import Supervision
from holdfast.supervisors.swap_files import Entry, SwapFiles, UnderWay
from holdfast.supervisors.swap_remains import Remains
from holdfast.supervisors.swap_state import Swap, bare, left_status, record_in_words

__all__ = ["Swapping"]

WRITER_ANSWERS: Final = 60.0  # seconds; it may be on its way up again
LETS_GO: Final = 1.0  # seconds for a copier that is not wanted any more


class _AnewError(Exception):
    """What was cut off cannot be gone on with; nothing was touched.  Of this module alone."""


class Swapping:
    """The root's; one swap at a time, which its caller sees to."""

    def __init__(
        self, supervision: Supervision, holding: Holding, *, mailbox: Mailbox, clock: Clock
    ) -> None:
        self._supervision = supervision
        self._holding = holding
        self._mailbox = mailbox
        self._clock = clock
        self._data_dir = Path(supervision.terms.environment.data_dir)
        self.files = SwapFiles(self._data_dir)
        self.cut_off = CutOff(self.files, mailbox=mailbox, keep=self._keep)
        self.remains = Remains(
            self.files, self.cut_off, copier=self._copier, mailbox=mailbox, keep=self._keep
        )
        self.readdressing = Readdressing(holding, self._data_dir, mailbox=mailbox, clock=clock)
        self._swap: Swap | None = None
        self._copier_now: Copier | None = None  # of that
        self._cancelling: list[Delivery] = []  # who waits for its end

    @property
    def status(self) -> SwapStatus | None:
        """Of the one under way, or else of the one that was cut off."""
        if self._swap is not None:
            return self._swap.status(self._mailbox.monotonic())
        return None if (left := self.cut_off.left()) is None else left_status(left)

    def move(self, storage: StorageSettings, target: Environment, trigger: str) -> Steps[str]:
        """To the database of ``target``; what is to be said of one that was cut off before.

        Raises ReloadError: it is where it was.
        """
        self.cut_off.limit = storage.resume_rows
        yield from self.remains.retire()
        left, anew = self._left(storage, target)
        while True:
            swap = self._swap = Swap(
                left.record.swap if left is not None and not anew else self._new_id(),
                source=self._supervision.terms.environment,
                target=target,
                mode=storage.migrate,
                trigger=trigger,
                began=iso(self._clock),
                start=self._mailbox.monotonic(),
                resumes=left is not None and not anew,
                anew=anew,
            )
            try:
                yield from self._move(swap, storage)
                return swap.note
            except _AnewError as error:
                anew = str(error)
            finally:
                self._swap = self._copier_now = None

    def outlook(self, storage: StorageSettings, target: Environment) -> str:
        """What ``move`` would do with one that was cut off, as far as the root knows."""
        left, anew = self._left(storage, target)
        if left is None:
            return ""
        swap = f"swap {left.record.swap}, which was cut off while {left.phase}"
        return f"{swap}, begins anew: {anew}" if anew else f"{swap}, is gone on with"

    def _left(self, storage: StorageSettings, target: Environment) -> tuple[UnderWay | None, str]:
        left = self.cut_off.left()
        if left is None:
            return None, ""
        source = self._supervision.terms.environment
        return left, self.cut_off.why_not(left, storage.migrate, source, target)

    def cancel(self, delivery: Delivery) -> Later:
        """Give up the one under way; answered when that is done.  Raises ReloadError."""
        swap = self._swap
        if swap is None:
            raise ReloadError("busy: a reload is under way already; try again", reason="busy")
        if swap.phase in ("releasing", "verifying", "done"):
            raise ReloadError(
                f"swap {swap.id}: its commit point is written: the data is in "
                f"{in_words(swap.target)} now; reload with the old config to move it back",
                reason="committed",
            )
        delivery.set_aside()
        self._cancelling.append(delivery)
        swap.cancelled = swap.cancelled or CANCELLED
        if self._copier_now is not None and swap.phase != "undoing":
            self._copier_now.dismiss(CANCELLED, LETS_GO)
        return LATER

    # -- before the commit point ----------------------------------------------------------------

    def _move(self, swap: Swap, storage: StorageSettings) -> Steps[None]:
        job = Move(swap.id, swap.source, swap.target, storage.migrate, swap.resumes)
        copier = self._copier_now = self._copier(job, swap.far)
        try:
            yield from self._bring(swap, copier, storage.hold_timeout)
            yield from self._cut_over(swap, copier, storage)
        except HoldfastError as error:
            said = yield from self._undo(swap, copier, error)
            raise ReloadError(f"{UNDONE}: {said}", reason="failed") from error
        try:
            yield from self._finish(swap, copier)
        finally:
            copier.close()

    def _bring(self, swap: Swap, copier: Copier, hold_timeout: float) -> Steps[None]:
        """All of it but what changes now."""
        self._enter(swap, "preparing")
        if swap.is_copied and not swap.resumes:
            yield from _done(self._writer(BeginCapture(swap.id)))
        swap.require_wanted()
        copier.start()
        error = yield copier.wait(Prepared)
        if error and copier.does == "anew":
            copier.close()
            raise _AnewError(error)
        yield from _done(lambda done: done(error))
        swap.resumed = copier.answer(Prepared).resumed
        self._enter(swap, "copying")
        self._holding.preload([*modules_of(swap.target.backend)])
        copier.tell(Copy())
        yield from _done(copier.wait(Far, until=lambda far: far.is_copied))
        self._enter(swap, "following")
        yield from self._catch_up(copier, hold_timeout)

    def _catch_up(self, copier: Copier, hold_timeout: float) -> Steps[None]:
        """Until little is left; a writer that is too fast is slowed down for that."""
        chase = Chase(hold_timeout=hold_timeout, now=self._mailbox.monotonic())
        verdict = ""

        def sees(far: Far) -> bool:
            nonlocal verdict
            if far.progress.phase == "following":
                verdict = chase.sees(far.progress, self._mailbox.monotonic())
            return bool(verdict)

        while verdict != "hold":
            verdict = ""
            yield from _done(copier.wait(Far, until=sees))
            behind = copier.answer(Far).progress.behind
            if verdict == "late":
                self._writer(Pace(1.0))(lambda _: None)
                raise ReloadError(chase.words(behind), reason="failed")
            if verdict == "slow":
                logger.info("the writer has {:.0%} of its time: a copier follows", chase.share)
                self._writer(Pace(chase.share))(lambda _: None)

    def _cut_over(self, swap: Swap, copier: Copier, storage: StorageSettings) -> Steps[None]:
        """Everybody who has it open stops; from the commit point on it is the other one."""
        if self._supervision.phase != "running":
            raise ReloadError("the daemon is being stopped", reason="stopping")
        self._enter(swap, "holding")
        swap.held_at = self._mailbox.monotonic()
        held = msgspec.structs.replace(swap.source, held=ON_DATABASE)
        limit = storage.hold_timeout
        late = f"not held within [storage] hold_timeout = {limit:g} s"
        for names in HOLD_ORDER:
            yield from _done(self._within(swap, limit, partial(self._hold, names, held), late))
            swap.require_wanted()
        swap.held_until(self._mailbox.monotonic(), "stop")
        swap.phase = "finishing"
        copier.tell(Finish())
        late = f"not moved within [storage] hold_timeout = {limit:g} s"
        yield from _done(self._within(swap, limit, copier.wait(Finished), late))
        swap.proven(copier.answer(Finished))
        swap.held_until(self._mailbox.monotonic(), "move")
        swap.require_wanted()
        self._commit(swap, storage)
        swap.held_until(self._mailbox.monotonic(), "commit")

    def _hold(self, names: list[str], held: Environment, done: Callable[[str], None]) -> None:
        self._holding.hold(names, held, done)

    def _within(self, swap: Swap, limit: float, begin: Begin, late: str) -> Begin:
        left = max(0.0, swap.held_at + limit - self._mailbox.monotonic())
        return within(left, begin, later=self._mailbox.later, late=late)

    def _commit(self, swap: Swap, storage: StorageSettings) -> None:
        """Raises StorageError, when it is not written."""
        swap.phase = "committing"
        point = CommitPoint.of(storage, clock=self._clock, swap=swap.id)
        try:
            write_point(self._data_dir, point)
        except StorageError as error:
            if read_point(self._data_dir) != point:
                raise
            logger.error("{}: it may not be on the disk", error)  # but every start finds it

    def _undo(self, swap: Swap, copier: Copier, error: HoldfastError) -> Steps[str]:
        """All that had it open has it open again; what the copier made says what it is.

        What is to be said of it.
        """
        phase, swap.phase = swap.phase, "undoing"
        yield copier.end(LETS_GO)
        copier.close()
        if swap.held_at:
            yield partial(self._holding.release, swap.source)
            swap.held_until(self._mailbox.monotonic(), "start")
        record = swap.record(self._seconds(swap), phase, error=str(error))
        left = UnderWay(record, phase, swap.source, swap.target, resumes=swap.resumes)
        kept = None
        if not swap.cancelled and copier.does != "end":
            kept = self.cut_off.kept(left, str(error))
        if kept is not None:
            record = kept
        elif swap.is_copied and (yield self._writer(EndCapture())):
            self.cut_off.watch()  # which tries again
        else:
            self._noting(self.files.end)
        self._tell(swap, record)
        yield from self._answer_cancelling(swap)
        return record.error

    def _answer_cancelling(self, swap: Swap) -> Steps[None]:
        while self._cancelling:  # more may come meanwhile
            waiting, self._cancelling = self._cancelling, []
            done = yield from self.remains.discarded(swap.id, swap.target)
            for delivery in waiting:
                delivery.set(done)

    # -- after it -------------------------------------------------------------------------------

    def _finish(self, swap: Swap, copier: Copier) -> Steps[None]:
        """Nothing goes back from here, and nothing raises: who undoes a reload would bring back
        the old database."""
        swap.phase = "releasing"
        yield partial(self._holding.release, swap.target)
        swap.held_until(self._mailbox.monotonic(), "start")
        self._noting(partial(self._note, swap))
        copier.tell(Commit())
        error = yield copier.wait(Retired)
        if error:
            error = f"the old data is not labelled as such, which the next swap does: {error}"
        else:
            swap.old = copier.answer(Retired).where
            self._noting(self.files.end)
        if not error and swap.is_copied:
            swap.phase = "verifying"
            copier.tell(Verify())
            error = yield copier.wait(Verified)
            swap.is_verified = not error
        self._tell(swap, swap.record(self._seconds(swap), "done", error=error, ok=True))

    # -- what is kept --------------------------------------------------------------------------

    def note_sessions(self, source: str, target: str, trigger: str, seconds: float) -> None:
        """The backend of sessions was swapped, by a reload that took so long so far."""
        record = SwapRecord(
            swap=self._new_id(),
            part="sessions",
            source=source,
            target=target,
            began=iso(self._clock),
            seconds=round(seconds, 3),
            ok=True,
            phase="done",
            trigger=trigger,
            mode="copy",
        )
        self._keep(record, [])

    # -- inside ---------------------------------------------------------------------------------

    def _new_id(self) -> str:
        """Never used before: with the boot counter in it."""
        return f"{self._mailbox.incarnation}-{self._clock.time_us() // 1000:x}"

    def _copier(self, job: Job, told: Callable[[Far], None]) -> Copier:
        launcher = self._supervision.launcher
        return Copier(job, mailbox=self._mailbox, launcher=launcher, told=told)

    def _writer(self, message: BeginCapture | EndCapture | Pace) -> Begin:
        return asked("writer", message, timeout=WRITER_ANSWERS, mailbox=self._mailbox)

    def _enter(self, swap: Swap, phase: SwapPhase) -> None:
        """On record before anything of it happens.  Raises StorageError."""
        swap.phase = phase
        self._note(swap)

    def _note(self, swap: Swap) -> None:
        record = swap.record(self._seconds(swap), swap.phase)
        under_way = UnderWay(record, swap.phase, swap.source, swap.target, resumes=swap.resumes)
        self.files.begin(under_way)

    def _noting(self, note: Callable[[], None]) -> None:
        """What is not on record is found out by the next start."""
        try:
            note()
        except StorageError as error:
            logger.error("{}", error)

    def _seconds(self, swap: Swap) -> float:
        return self._mailbox.monotonic() - swap.start

    def _tell(self, swap: Swap, record: SwapRecord) -> None:
        self._keep(record, [swap.source, swap.target])

    def _keep(self, record: SwapRecord, places: list[Environment]) -> None:
        places = [bare(place) for place in places]
        try:
            self.files.add(Entry(record, places))
        except StorageError as error:
            logger.error("the swap is not in the history: {}", error)
        data: dict[str, Any] = msgspec.to_builtins(record)
        self._supervision.reports.swapped(
            record_in_words(record), data, is_error=bool(record.error)
        )


def _done(begin: Begin) -> Steps[None]:
    """Raises ReloadError when it goes wrong."""
    if error := (yield begin):
        raise ReloadError(error, reason="failed")
