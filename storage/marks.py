"""How far each sender's numbers are committed, and the answers its repeated commands get.

The tables are the truth; the cache holds the same rows, is written to them before each COMMIT
and read again after every transaction that was lost.  What the tables are made of is the
backend's: ``SenderTables``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from holdfast.errors import Conflict, ExpiredError, GapError, InvalidInputError, NotFoundError
from holdfast.storage.commands import OnceOutcome
from holdfast.storage.records import Mark, Origin

__all__ = [
    "MAX_SENDERS",
    "MOST",
    "Kept",
    "Marks",
    "Refused",
    "SenderKey",
    "SenderRow",
    "SenderState",
    "SenderTables",
    "reopened",
]

MOST: Final = 2**62  # the highest number, and the most at once: their sum is a number of SQLite's

MAX_SENDERS: Final = 10_000  # each takes about 600 bytes in memory

# Answers kept for a sender that never says which ones reached it; more than any outbox holds.
RESULTS_KEPT: Final = 10_000

SenderKey = tuple[str, str, str]  # sender, incarnation, stream
# That, and mark, duplicates, dropped, pruned, turn.
SenderRow = tuple[str, str, str, int, int, int, int, int]


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """The command was refused for what it says; the text of its InvalidInputError.

    ``conflict``: of its Conflict, then: what, the expected version and the current one.
    ``is_missing``: of its NotFoundError, then.
    """

    text: str
    conflict: tuple[str, str | int | None, str | int | None] | None = None
    is_missing: bool = False


Kept = OnceOutcome | Refused

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Kept).decode


class SenderState:
    """One row of ``senders``: the mark, repeated keys and losses so far, and where its results
    begin."""

    __slots__ = ("dropped", "duplicates", "number", "pruned")

    def __init__(
        self, number: int = 0, duplicates: int = 0, dropped: int = 0, pruned: int = 0
    ) -> None:
        self.number = number
        self.duplicates = duplicates
        self.dropped = dropped
        self.pruned = pruned


class SenderTables(Protocol):
    """Tables ``senders`` and ``results`` within the caller's transaction, and two rows of
    ``meta``."""

    def rows(self) -> Sequence[SenderRow]:
        """All senders, in order of their last turn."""

    def restored_turn(self) -> int | None:
        """The last turn of the copy that the database was restored from; None for none, or when a
        sender was forgotten since."""

    def forget_restored(self) -> None:
        """There is no such turn any more."""

    def save(self, rows: Sequence[SenderRow]) -> None:
        """Insert or replace."""

    def delete(self, key: SenderKey) -> None:
        """A sender and its answers."""

    def prune(self, key: SenderKey, number: int) -> None:
        """Answers of the sender up to that number."""

    def keep(self, key: SenderKey, number: int, result: bytes) -> None:
        """An answer."""

    def kept(self, key: SenderKey, number: int) -> bytes | None:
        """The answer, if it is still there."""


class Marks:
    """At most ``limit`` senders; the one unused for longest is forgotten first.

    A forgotten sender that goes on is refused as expired.  In a database that was restored from a
    copy the marks are those of the copy: a sender that was acknowledged more since goes on where
    it is, and ``note_lost`` gets its origin, the first number that is missing, and how many.
    """

    def __init__(
        self,
        tables: SenderTables,
        *,
        limit: int,
        note_lost: Callable[[Origin, int, int], None],
    ) -> None:
        self._tables = tables
        self._limit = limit
        self._note_lost = note_lost
        self._is_restored = False  # and no sender was forgotten since
        self._silent: set[SenderKey] = set()  # known senders that have not spoken since a restore
        # In order of use, the least recent first.
        self._states: dict[SenderKey, SenderState] = {}
        # What the table does not have yet, in order of use.
        self._changed: dict[SenderKey, SenderState] = {}
        self._turn = 0
        self.load()

    def load(self) -> None:
        """Forget the cache, read the table."""
        rows = self._tables.rows()
        self._states = {row[:3]: SenderState(*row[3:7]) for row in rows}
        self._turn = rows[-1][7] if rows else 0
        self._changed.clear()
        restored = self._tables.restored_turn()
        self._is_restored = restored is not None
        self._silent = {row[:3] for row in rows if restored is not None and row[7] <= restored}

    def mark(self, sender: str, incarnation: str, stream: str) -> Mark:
        """Zeroes for an unknown sender."""
        state = self._states.get((sender, incarnation, stream)) or SenderState()
        return Mark(state.number, state.duplicates, state.dropped)

    def state(self, origin: Origin, *, gaps: bool = False) -> SenderState:
        """The sender's, once its number is known to fit; a new one for its first number.

        ``gaps``: numbers may be missing in front of it, those of commands that were answered
        with an error of the disk.  Raises ExpiredError, GapError, InvalidInputError.
        """
        state = self._states.get((origin.sender, origin.incarnation, origin.stream))
        if not 0 < origin.first <= MOST:
            raise InvalidInputError(f"{_name(origin)}: number {origin.first}; they start at 1")
        if self._was_set_back(origin, state):
            state = state or SenderState()
            lost = origin.first - 1 - state.number
            self._note_lost(origin, state.number + 1, lost)
            return SenderState(
                origin.first - 1, state.duplicates, state.dropped + lost, state.pruned
            )
        if state is None:
            if origin.first > 1 and not (gaps and origin.fresh):
                raise ExpiredError(
                    f"{_name(origin)}: number {origin.first} of a sender that is not known "
                    f"(any more); start again as a new incarnation"
                )
            return SenderState()
        if origin.first > state.number + 1 and not gaps:
            raise GapError(_name(origin), expected=state.number + 1, got=origin.first)
        return state

    def _was_set_back(self, origin: Origin, state: SenderState | None) -> bool:
        """Whether what is missing before the number was acknowledged, and then restored away."""
        if not self._is_restored or origin.fresh:
            return False
        key = (origin.sender, origin.incarnation, origin.stream)
        number = 0 if state is None else state.number
        return origin.first > number + 1 and (state is None or key in self._silent)

    def move(self, origin: Origin, state: SenderState) -> None:
        """The state has changed, and will be in the transaction's COMMIT."""
        key = (origin.sender, origin.incarnation, origin.stream)
        self._silent.discard(key)
        for states in (self._states, self._changed):
            states.pop(key, None)
            states[key] = state
        kept_from = min(state.number, max(origin.acked, state.number - RESULTS_KEPT))
        if kept_from > state.pruned:
            self._tables.prune(key, kept_from)
            state.pruned = kept_from

    def flush(self) -> None:
        """Write what changed; the last act before COMMIT."""
        while len(self._states) > self._limit:
            if self._is_restored:  # from here on one that is not known may have been forgotten
                self._is_restored = False
                self._tables.forget_restored()
            self._evict(next(iter(self._states)))
        rows = []
        for key, state in self._changed.items():
            self._turn += 1
            counts = (state.number, state.duplicates, state.dropped, state.pruned)
            rows.append((*key, *counts, self._turn))
        self._changed.clear()
        self._tables.save(rows)

    def _evict(self, key: SenderKey) -> None:
        del self._states[key]
        self._changed.pop(key, None)
        self._tables.delete(key)

    def forget(self, sender: str, incarnation: str) -> None:
        """Drop everything of a sender that will not come back."""
        for key in [key for key in self._states if key[:2] == (sender, incarnation)]:
            self._evict(key)

    def keep(self, origin: Origin, result: Kept) -> None:
        """Remember the answer to a command for its repeats."""
        key = (origin.sender, origin.incarnation, origin.stream)
        self._tables.keep(key, origin.first, _encode(result))

    def kept(self, origin: Origin) -> Kept:
        """The first answer.  Raises ExpiredError when the sender had it already."""
        key = (origin.sender, origin.incarnation, origin.stream)
        result = self._tables.kept(key, origin.first)
        if result is None:
            raise ExpiredError(
                f"{_name(origin)}: number {origin.first} was answered, and its answer is not kept"
                " any more"
            )
        kept: Kept = _decode(result)
        return kept


def reopened(refused: Refused) -> InvalidInputError | Conflict | NotFoundError:
    """The error that was kept."""
    if refused.is_missing:
        return NotFoundError(refused.text)
    if refused.conflict is None:
        return InvalidInputError(refused.text)
    what, expected, current = refused.conflict
    return Conflict(what, expected=expected, current=current)


def _name(origin: Origin) -> str:
    return f"{origin.sender} ({origin.incarnation}) to {origin.stream}"
