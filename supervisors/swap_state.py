"""One swap of the database: what is known of it so far, and what is kept when it is over.

Lost with the root, but for what swap_files.py has of it.
"""

from __future__ import annotations

import msgspec

from holdfast.actors.messages.swap import SwapPhase, SwapRecord, SwapStatus, SwapSum
from holdfast.errors import ReloadError
from holdfast.supervisors.commit_point import in_words
from holdfast.supervisors.copier_words import Far, Finished
from holdfast.supervisors.spec import Environment
from holdfast.supervisors.swap_files import UnderWay

__all__ = ["Swap", "bare", "left_status", "record_in_words"]


class Swap:
    """The one under way: what is known of it so far."""

    def __init__(
        self,
        id: str,
        *,
        source: Environment,
        target: Environment,
        mode: str,
        trigger: str,
        began: str,
        start: float,
        resumes: bool = False,
        anew: str = "",
    ) -> None:
        """``resumes`` one that was cut off; ``anew`` is why such a one is not gone on with."""
        self.id, self.source, self.target = id, source, target
        self.mode, self.trigger, self.began = mode, trigger, began
        self.resumes, self.anew = resumes, anew
        self.resumed = 0  # rows that were there
        self.cancelled = ""  # why it is to be given up
        self.start = start  # monotonic, as held_at
        self.held_at = 0.0  # 0: nobody is, or was
        self.phase: SwapPhase = "preparing"
        self.pause = 0.0
        self.parts: dict[str, float] = {}  # of it
        self.old = ""
        self.is_verified = False
        self._far: Far | None = None
        self._finished: Finished | None = None

    @property
    def is_copied(self) -> bool:
        """Whether there is a log of changes to be followed."""
        return self.mode == "copy"

    @property
    def note(self) -> str:
        """What is to be said of a try that was cut off before."""
        if self.resumes:
            return f"swap {self.id} was gone on with: {self.resumed} rows were there already"
        return f"the swap that was cut off was begun anew: {self.anew}" if self.anew else ""

    def held_until(self, now: float, what: str) -> None:
        """The pause is so long by now, and this is what came last in it."""
        self.parts[what] = round(now - self.held_at - self.pause, 4)
        self.pause = now - self.held_at

    def far(self, report: Far) -> None:
        """So far it has come."""
        self._far = report

    def require_wanted(self) -> None:
        """Raise ReloadError when somebody has cancelled it."""
        if self.cancelled:
            raise ReloadError(self.cancelled, reason="failed")

    def proven(self, finished: Finished) -> None:
        """All of it is there."""
        self._finished = finished

    def status(self, now: float) -> SwapStatus:
        """For whoever asks."""
        seconds = now - self.start
        words = in_words(self.source), in_words(self.target)
        status = SwapStatus(
            self.id, *words, self.phase, round(seconds, 3), resumed=self.resumed, anew=self.anew
        )
        if self._far is None:
            return status
        far = self._far.progress
        rate = far.written / seconds if seconds > 0 else 0.0
        return msgspec.structs.replace(
            status,
            table=far.table,
            rows=far.rows,
            total=far.total,
            bytes=far.bytes,
            behind=far.behind,
            rate=round(rate, 1),
            remaining=round(max(0, far.total - far.rows) / rate, 1) if rate else None,
        )

    def record(
        self,
        seconds: float,
        phase: SwapPhase,
        *,
        error: str = "",
        ok: bool = False,
        resumable: bool = False,
    ) -> SwapRecord:
        """What is kept of it."""
        proof = None if self._finished is None else self._finished.proof
        far = None if self._far is None else self._far.progress
        sums = () if proof is None else proof.tables
        return SwapRecord(
            swap=self.id,
            part="database",
            source=in_words(self.source),
            target=in_words(self.target),
            began=self.began,
            seconds=round(seconds, 3),
            ok=ok,
            phase=phase,
            trigger=self.trigger,
            mode=self.mode,
            rows=sum(each.rows for each in sums) or (0 if far is None else far.rows),
            copied=0 if far is None else far.written,
            resumed=self.resumed,
            anew=self.anew,
            resumable=resumable,
            bytes=0 if far is None else far.bytes,
            tail=0 if proof is None else proof.tail,
            pause=round(self.pause, 4),
            parts=self.parts,
            last_seq=0 if proof is None else proof.last_seq,
            tables=[SwapSum(each.name, each.rows, each.checksum) for each in sums],
            old=self.old,
            verified=self.is_verified,
            error=error,
        )


def left_status(left: UnderWay) -> SwapStatus:
    """Of one that was cut off, as it is on record."""
    words = in_words(left.source), in_words(left.target)
    record = left.record
    return SwapStatus(
        record.swap,
        *words,
        left.phase,
        record.seconds,
        rows=record.rows,
        total=record.rows,
        resumed=record.resumed,
        is_cut=True,
    )


def bare(place: Environment) -> Environment:
    """What is enough to find the data again."""
    return Environment(
        daemon=place.daemon,
        data_dir=place.data_dir,
        run_dir="",
        database=place.database,
        backend=place.backend,
        dsn=place.dsn,
    )


def record_in_words(record: SwapRecord) -> str:
    """For the log."""
    what = f"swap {record.swap} of the {record.part}, {record.source} to {record.target}"
    if not record.ok:
        did = "was cut off" if record.resumable else "has failed"
        return f"{what}, {did} while {record.phase}: {record.error}"
    there = f" ({record.resumed} of them were there)" if record.resumed else ""
    pause = f"held for {record.pause * 1000:.0f} ms"
    seconds = f"{record.rows} rows{there} in {record.seconds:.3f} s, {pause}"
    verified = ", verified" if record.verified else ""
    return f"{what}: {seconds}{verified}{': ' if record.error else ''}{record.error}"
