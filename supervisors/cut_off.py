"""A swap that was cut off: who may go on with it, what it may cost until then, how it is given up.

The writer keeps its log on, so that what was copied need not be copied again; and no longer than
there are so many rows in it.  Lost with the root: nothing, ``swapping`` in the data directory has
it, and the next root looks after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.host import Errand
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.swap import SwapRecord
from holdfast.actors.messages.writer import CaptureIs, EndCapture, GetCapture
from holdfast.errors import HoldfastError, StorageError
from holdfast.supervisors.asking import asked, told
from holdfast.supervisors.commit_point import in_words
from holdfast.supervisors.settings import Migrate
from holdfast.supervisors.spec import Environment
from holdfast.supervisors.steps import Begin, Steps
from holdfast.supervisors.swap_files import SwapFiles, UnderWay
from holdfast.supervisors.swap_state import bare

__all__ = ["CANCELLED", "UNDONE", "WRITER_ANSWERS", "CutOff"]

# Before it nothing is copied, behind it nothing is left to copy.
RESUMABLE: Final = ("copying", "following", "holding", "finishing", "committing")
CANCELLED: Final = "cancelled"
UNDONE: Final = "the database stays where it was"
KEPT: Final = (
    "what was copied is kept: `holdfast reload` goes on from there, `holdfast swap cancel` gives "
    "it up"
)
FIRST_LOOK: Final = 1.0  # seconds
LOOK: Final = 10.0  # seconds between two looks at how long the log is
WRITER_ANSWERS: Final = 60.0  # seconds; it may be on its way up again


class CutOff:
    """The root's; there is one at most."""

    def __init__(
        self,
        files: SwapFiles,
        *,
        mailbox: Mailbox,
        keep: Callable[[SwapRecord, list[Environment]], None],
    ) -> None:
        """``keep``: have it in the history, and told."""
        self._files = files
        self._mailbox = mailbox
        self._keep = keep
        self._is_watching = False
        self.limit = 0  # rows of its log
        # Takes steps while no reload is under way, or says that one is.
        self.alone: Callable[[Steps[None]], bool] = lambda _: False

    def left(self) -> UnderWay | None:
        """The one that there is.  Raises ConfigError."""
        found = self._files.under_way()
        return found if found is not None and found.is_cut else None

    def why_not(
        self, left: UnderWay, mode: Migrate, source: Environment, target: Environment
    ) -> str:
        """Why a swap between these cannot go on with it, as far as the root knows; "" if it can."""
        if mode != "copy":
            return f'nothing is copied with [storage] migrate = "{mode}"'
        if bare(left.target) != bare(target):
            return f"it went to {in_words(left.target)}, another place"
        if bare(left.source) != bare(source):
            return f"it came from {in_words(left.source)}, and the data is elsewhere by now"
        return ""

    def _is_worth(self, swap: UnderWay) -> bool:
        """Whether there may be something to go on from."""
        is_begun = swap.resumes or swap.phase in RESUMABLE
        return is_begun and swap.record.mode == "copy" and self.limit > 0

    def kept(self, swap: UnderWay, why: str) -> SwapRecord | None:
        """What is to be kept of this one, which is cut off; None when nobody can go on with it."""
        if not self._is_worth(swap):
            return None
        error = f"{why}; {KEPT}"
        record = msgspec.structs.replace(swap.record, ok=False, error=error, resumable=True)
        try:
            self._files.begin(msgspec.structs.replace(swap, record=record, is_cut=True))
        except StorageError as unwritten:
            logger.error("{}: swap {} is given up", unwritten, record.swap)
            return None
        self.watch()
        return record

    def watch(self) -> None:
        """See to it that no log grows without end: its own, or one that nobody follows, which came
        with a backup or could not be ended."""
        if not self._is_watching:
            self._is_watching = True
            self._mailbox.after(FIRST_LOOK, Errand(self._look))

    def give_up(self, why: str) -> Steps[UnderWay | None]:
        """Keep no log for it any more; which it was.  Raises HoldfastError."""
        left = self.left()
        if left is None:
            return None
        if error := (yield self._ending()):
            raise HoldfastError(f"swap {left.record.swap}: its log is not ended: {error}")
        self._files.end()
        record = msgspec.structs.replace(left.record, ok=False, resumable=False, error=why)
        self._keep(record, [left.source, left.target])
        return left

    def _ending(self) -> Begin:
        return asked("writer", EndCapture(), timeout=WRITER_ANSWERS, mailbox=self._mailbox)

    def _look(self) -> None:
        told("writer", GetCapture(), self._seen, timeout=WRITER_ANSWERS, mailbox=self._mailbox)

    def _seen(self, outcome: Any) -> None:
        left: UnderWay | None = None
        try:
            left = self._files.under_way()
        except HoldfastError as error:
            logger.error("{}", error)
        is_cut = left is not None and left.is_cut
        if isinstance(outcome, CaptureIs) and not is_cut and not outcome.swap:
            self._is_watching = False
            return
        self._mailbox.after(LOOK, Errand(self._look))
        if not isinstance(outcome, CaptureIs):
            return  # it is asked again
        if left is None or not left.is_cut:
            self.alone(self._end_stray(left, outcome.swap))
        elif why := self._why_end(left, outcome):
            self.alone(self._end(why))

    def _why_end(self, left: UnderWay, found: CaptureIs) -> str:
        """The log of the one that was cut off."""
        if found.swap != left.record.swap:
            return "given up: its log was ended"
        if found.rows <= self.limit:
            return ""
        return (
            f"given up: its log has {found.rows} rows, more than [storage] resume_rows = "
            f"{self.limit}; the next reload begins anew"
        )

    def _end(self, why: str) -> Steps[None]:
        yield from self.give_up(why)

    def _end_stray(self, left: UnderWay | None, swap: str) -> Steps[None]:
        """Nothing is reloaded, so nobody follows it."""
        if error := (yield self._ending()):
            raise HoldfastError(f"the log of swap {swap}, which is over, is not ended: {error}")
        logger.info("the log of swap {}, which nobody follows any more, is ended", swap)
        if left is not None and left.record.swap == swap:
            self._files.end()
