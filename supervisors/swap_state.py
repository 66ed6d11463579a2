"""One swap of the database: what is known of it so far, and what is kept when it is over.

Lost with the root, but for what swap_files.py has of it.
"""

from __future__ import annotations

import msgspec

from holdfast.actors.messages.swap import SwapPhase, SwapRecord, SwapStatus, SwapSum
from holdfast.supervisors.commit_point import in_words
from holdfast.supervisors.copier_words import Far, Finished
from holdfast.supervisors.spec import Environment

__all__ = ["Swap", "bare", "record_in_words"]


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
    ) -> None:
        self.id, self.source, self.target = id, source, target
        self.mode, self.trigger, self.began = mode, trigger, began
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

    def held_until(self, now: float, what: str) -> None:
        """The pause is so long by now, and this is what came last in it."""
        self.parts[what] = round(now - self.held_at - self.pause, 4)
        self.pause = now - self.held_at

    def far(self, report: Far) -> None:
        """So far it has come."""
        self._far = report

    def proven(self, finished: Finished) -> None:
        """All of it is there."""
        self._finished = finished

    def status(self, now: float) -> SwapStatus:
        """For whoever asks."""
        seconds = now - self.start
        words = in_words(self.source), in_words(self.target)
        status = SwapStatus(self.id, *words, self.phase, round(seconds, 3))
        if self._far is None:
            return status
        far = self._far.progress
        rate = far.rows / seconds if seconds > 0 else 0.0
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
        self, seconds: float, phase: SwapPhase, *, error: str = "", ok: bool = False
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
        return f"{what}, has failed while {record.phase}: {record.error}"
    seconds = f"{record.rows} rows in {record.seconds:.3f} s, held for {record.pause * 1000:.0f} ms"
    verified = ", verified" if record.verified else ""
    return f"{what}: {seconds}{verified}{': ' if record.error else ''}{record.error}"
