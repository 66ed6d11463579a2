"""What swaps leave: to a root whose forerunner died in the middle, and at the places.

Old data that is labelled so, what was filled by half, and a log that nobody follows any more.  Lost
with the root: nothing; all of it is done again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.swap import SwapCancelled, SwappedForgotten, SwapRecord
from holdfast.actors.messages.writer import EndCapture
from holdfast.errors import ReloadError
from holdfast.supervisors.asking import asked
from holdfast.supervisors.commit_point import read_point
from holdfast.supervisors.copier_line import Copier
from holdfast.supervisors.copier_words import (
    Discard,
    Far,
    Forget,
    Forgotten,
    Job,
    Retire,
    Retired,
)
from holdfast.supervisors.cut_off import CANCELLED, UNDONE, WRITER_ANSWERS, CutOff
from holdfast.supervisors.spec import Environment
from holdfast.supervisors.steps import Steps
from holdfast.supervisors.swap_files import SwapFiles
from holdfast.supervisors.swap_state import bare

__all__ = ["Remains"]


class _Copiers(Protocol):
    """What makes them."""

    def __call__(self, job: Job, told: Callable[[Far], None]) -> Copier:
        """One, for one job."""


class Remains:
    """The root's."""

    def __init__(
        self,
        files: SwapFiles,
        cut_off: CutOff,
        *,
        copier: _Copiers,
        mailbox: Mailbox,
        keep: Callable[[SwapRecord, list[Environment]], None],
    ) -> None:
        """``keep``: have it in the history, and told."""
        self._files = files
        self._cut_off = cut_off
        self._copier = copier
        self._mailbox = mailbox
        self._keep = keep

    def recover(self) -> Steps[None]:
        """Finish or report what a root was in the middle of when it died."""
        self._cut_off.watch()
        error = yield from self.retire()
        left = self._files.under_way()
        if left is None or left.is_cut:  # which is on record
            return
        record = msgspec.structs.replace(left.record, phase=left.phase)
        text = f"cut off: the daemon ended while it was {left.phase}; {UNDONE}"
        if error:
            record = msgspec.structs.replace(record, ok=True, error=error)
        elif kept := self._cut_off.kept(left, text):
            record, error = kept, "kept"
        else:
            ending = asked("writer", EndCapture(), timeout=WRITER_ANSWERS, mailbox=self._mailbox)
            error = "" if record.mode != "copy" else (yield ending)
            record = msgspec.structs.replace(record, ok=False, error=text)
        self._keep(record, [left.source, left.target])
        if not error:
            self._files.end()

    def retire(self) -> Steps[str]:
        """Label the old data of a swap that is committed, where nobody came to it; the error."""
        left, point = self._files.under_way(), read_point(self._files.data_dir)
        if left is None or left.is_cut or point is None or point.swap != left.record.swap:
            return ""
        copier = self._copier(Retire(point.swap, left.source, left.target), lambda _: None)
        copier.start()
        error = yield copier.wait(Retired)
        old = "" if error else copier.answer(Retired).where
        copier.close()
        if not error:
            done = msgspec.structs.replace(left.record, phase=left.phase, ok=True, old=old)
            self._keep(done, [left.source, left.target])
            self._files.end()
        return error

    def forget(self, *, dry_run: bool) -> Steps[SwappedForgotten]:
        """Delete what swaps have left; one that was cut off is given up.  Raises ReloadError."""
        if not dry_run:
            yield from self.retire()
            yield from self._cut_off.give_up("forgotten")
        history, point = self._files.history(), read_point(self._files.data_dir)
        places = {
            (each.backend, each.database, each.dsn): each
            for entry in history
            for each in entry.places
        }
        committed = {entry.record.swap for entry in history if entry.record.ok}
        committed.add("" if point is None else point.swap)
        failed = sorted({entry.record.swap for entry in history} - committed)
        copier = self._copier(Forget([*places.values()], dry_run, failed), lambda _: None)
        copier.start()
        error = yield copier.wait(Forgotten)
        copier.close()
        if error:
            raise ReloadError(f"not all of the old data is deleted: {error}", reason="failed")
        return SwappedForgotten(copier.answer(Forgotten).what)

    def cancel(self) -> Steps[SwapCancelled]:
        """Give up the one that was cut off.  Raises ReloadError."""
        left = yield from self._cut_off.give_up(CANCELLED)
        if left is None:
            raise ReloadError("no swap is under way, and none was cut off", reason="none")
        return (yield from self.discarded(left.record.swap, left.target))

    def discarded(self, swap: str, target: Environment) -> Steps[SwapCancelled]:
        """Delete what that swap had filled there."""
        copier = self._copier(Discard(swap, bare(target)), lambda _: None)
        copier.start()
        error = yield copier.wait(Forgotten)
        what = [] if error else copier.answer(Forgotten).what
        copier.close()
        return SwapCancelled(swap, what, error)
