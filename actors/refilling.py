"""What the log's ring reads from the database: at the start, and what did not come by the log.

Owns whether older events are still to be read.  Where rows cannot be read the ring begins behind
them: what is older is the query actor's to answer, or to refuse.  That is told once a life, as a
line and as an event, and counted.  Lost when the process dies: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loguru import logger

from holdfast.actors.ring import Ring
from holdfast.errors import DamagedError, StorageError, UnreachableError
from holdfast.storage.ports import Reader

__all__ = ["Refilling"]

SLICE: Final = 250  # events of a refill read in one go: 0.8 ms in which nobody is answered


class Refilling:
    """``more_later`` sets up the next slice; ``tell`` gets what is to be known of damage."""

    def __init__(
        self,
        *,
        ring: Ring,
        reader: Callable[[], Reader | None],
        more_later: Callable[[], object],
        tell: Callable[[dict[str, object]], None],
    ) -> None:
        self._ring = ring
        self._reader = reader
        self._more_later = more_later
        self._tell = tell
        self.is_under_way = False  # older events are still to be read
        self.damaged = 0  # attempts to read what cannot be read

    def begin(self) -> None:
        """Hold the newest events; older ones follow slice by slice, between other messages.

        Of a server that does not answer the ring has none until the writer says where it stands.
        """
        ring = self._ring
        limit = min(SLICE, ring.capacity)
        last_seq = 0
        try:
            reader = self._reader()
            if reader is None:
                return
            last_seq = reader.last_seq()  # before the rows: retention may have deleted the last
            rows = reader.newest(limit)
        except UnreachableError as error:
            self._leave_out(error)
            return
        except DamagedError as error:
            self._stop_at(last_seq)
            self._note(last_seq, error)
            return
        last_seq = max(last_seq, rows[-1][0]) if rows else last_seq
        ring.refill(rows, last_seq, is_all=len(rows) < limit)
        if not self.is_under_way:
            self.is_under_way = True
            self._more_later()

    def resume(self) -> None:
        """There may be room for older events now."""
        if not self.is_under_way and self._ring.room > 0:
            self.is_under_way = True
            self._more_later()

    def go_on(self) -> None:
        """One slice of older events; the last one when there is no more or no room."""
        ring = self._ring
        self.is_under_way = False
        if ring.room <= 0:
            return
        limit = min(SLICE, ring.room)
        try:
            reader = self._reader()
            if reader is None:
                return
            rows = reader.before(ring.first_seq, limit)
        except UnreachableError as error:
            self._leave_out(error)
            return
        except DamagedError as error:
            self._note(ring.first_seq - 1, error)
            return
        ring.prepend(rows, is_all=len(rows) < limit)
        self.is_under_way = ring.room > 0

    def fill_up_to(self, last_seq: int, *, is_sure: bool) -> bool:
        """Read what was committed and did not come by the log; whether there was something.

        ``is_sure``: the writer says so itself; anybody else may say anything.
        """
        ring = self._ring
        if last_seq <= ring.last_seq:
            return False
        try:
            return self._read_up_to(last_seq)
        except UnreachableError as error:
            self._leave_out(error)
            if is_sure:
                self._stop_at(last_seq)
            return is_sure

    def _read_up_to(self, last_seq: int) -> bool:
        ring, reader = self._ring, self._reader()
        if reader is None:
            raise StorageError(f"event {last_seq} is committed, but there is no database to read")
        last_seq = min(last_seq, reader.last_seq())
        if last_seq - ring.last_seq >= ring.capacity:
            self.begin()
            return True
        try:
            ring.add_rows(reader.range(ring.last_seq, last_seq), last_seq)
        except DamagedError as error:
            self._stop_at(last_seq)
            self._note(last_seq, error)
        return True

    def _stop_at(self, last_seq: int) -> None:
        """The ring begins behind that number."""
        self._ring.refill([], last_seq, is_all=False)
        self.is_under_way = False

    def _leave_out(self, error: UnreachableError) -> None:
        logger.warning("older events are not in the ring, ask query for them: {}", error)

    def _note(self, up_to: int, error: DamagedError) -> None:
        self.damaged += 1
        if self.damaged == 1:
            logger.error("events up to number {} are not in the ring: {}", up_to, error)
            self._tell({"up_to": up_to, "error": str(error)})
