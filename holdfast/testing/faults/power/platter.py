"""The disk below a recording: what is surely on it, and what may be on it when the power fails.

Sure is only what was synced.  Of what was not, any part may be there, whatever its order was;
a write may be torn at sectors, but bytes beside a write are as they were before (SQLite calls that
power-safe overwrite).  A file that has grown may hold anything where nothing was synced.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from random import Random
from typing import Final, Literal, TypeAlias, assert_never, get_args

from holdfast.testing.faults.recording import (
    Deleted,
    Entry,
    Made,
    Synced,
    SyncFailed,
    Told,
    Truncated,
    Wrote,
)

__all__ = ["LOSSES", "Loss", "Platter"]

SECTOR: Final = 512  # bytes: what a disk writes as a whole

# What of the unsynced is there: nothing; all; of each write whether it is there was drawn; only the
# newest ones; all, but of the newest write only some sectors.
Loss: TypeAlias = Literal["unsynced", "nothing", "some", "older", "torn"]
LOSSES: Final[tuple[Loss, ...]] = get_args(Loss)

GARBAGE: Final = 0.25  # of the disks: what was never written is no zeroes there
TEARS: Final = 0.15  # of the writes that are there, where some are lost

_Change: TypeAlias = Wrote | Truncated
_Placed: TypeAlias = tuple[int, _Change]


class _File:
    """What is synced, and what was done since, each with its place among all changes."""

    def __init__(self, content: bytes = b"") -> None:
        self.synced = bytearray(content)
        self.pending: list[_Placed] = []
        # From the first sync that failed on: what it was to put on the disk may be there or not,
        # for ever; what was synced later lies over it, and is sure (True).
        self._since: list[tuple[_Placed, bool]] = []

    def sync(self) -> None:
        if self._since:
            self._since += [(each, True) for each in self.pending]
        else:
            for _, change in self.pending:
                _apply(self.synced, change)
        self.pending.clear()

    def fail_to_sync(self) -> None:
        self._since += [(each, False) for each in self.pending]
        self.pending.clear()

    @property
    def changes(self) -> list[tuple[_Placed, bool]]:
        """All that lies over ``synced``, in order, and whether it surely does."""
        return [*self._since, *((each, False) for each in self.pending)]


class Platter:
    """Takes a recording entry by entry; says at each what the disk may hold after a power loss."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """``files`` are there and synced when the recording begins."""
        self._files = {name: _File(content) for name, content in files.items()}
        self._folder = dict(self._files)  # as it is on the disk
        self._moves: list[tuple[str, _File | None]] = []  # of the folder, not synced; None: gone
        self._turn = 0

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        match entry:
            case Made(file=name):
                self._make(name)
            case Wrote(file=name) | Truncated(file=name):
                self._turn += 1
                if name not in self._files:  # somebody else made it, who is not recorded
                    self._make(name)
                self._files[name].pending.append((self._turn, entry))
            case Synced(file=name, with_folder=with_folder):
                if name in self._files:
                    self._files[name].sync()
                if with_folder:
                    self._sync_folder()
            case SyncFailed(file=name):
                if name in self._files:
                    self._files[name].fail_to_sync()
            case Deleted(file=name, with_folder=with_folder):
                if self._files.pop(name, None) is not None:
                    self._moves.append((name, None))
                if with_folder:
                    self._sync_folder()
            case Told():
                pass
            case _:
                assert_never(entry)

    @property
    def is_settled(self) -> bool:
        """Whether all is synced, so that every loss leaves the same."""
        return not self._moves and not any(file.changes for file in self._files.values())

    def after(self, loss: Loss, random: Random) -> dict[str, bytearray]:
        """The files that are there when the power is back."""
        folder = self._folder_after(loss, random)
        files = {id(file): file for file in folder.values()}
        kept = _draw({key: file.changes for key, file in files.items()}, loss, random)
        filler = bytes(SECTOR)
        if loss != "nothing" and random.random() < GARBAGE:
            filler = random.randbytes(SECTOR)
        return {
            name: _content(file, kept[id(file)], loss, random, filler)
            for name, file in folder.items()
        }

    def _make(self, name: str) -> None:
        self._files[name] = _File()
        self._moves.append((name, self._files[name]))

    def _sync_folder(self) -> None:
        for name, file in self._moves:
            _move(self._folder, name, file)
        self._moves.clear()

    def _folder_after(self, loss: Loss, random: Random) -> dict[str, _File]:
        """A file system keeps the order of what it does to a folder: so many moves are there."""
        count = 0 if loss == "unsynced" else len(self._moves)
        if loss in ("some", "older"):
            count = random.randint(0, count)
        folder = dict(self._folder)
        for name, file in self._moves[:count]:
            _move(folder, name, file)
        return folder


def _move(folder: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        folder.pop(name, None)
    else:
        folder[name] = file


def _draw(
    made: Mapping[int, list[tuple[_Placed, bool]]], loss: Loss, random: Random
) -> dict[int, list[tuple[_Change, bool]]]:
    """Of each file the changes that are there, in order; with each whether it is torn."""
    turns = sorted(
        turn for changes in made.values() for (turn, _), is_sure in changes if not is_sure
    )
    share = random.random()
    first = turns[random.randrange(len(turns))] if turns else 0
    newest = turns[-1] if turns else 0

    def is_there(turn: int) -> bool:
        match loss:
            case "unsynced":
                return False
            case "nothing" | "torn":
                return True
            case "some":
                return random.random() < share
            case "older":
                return turn >= first
            case _:
                assert_never(loss)

    def is_torn(turn: int) -> bool:
        if loss == "torn":
            return turn == newest
        return loss in ("some", "older") and random.random() < TEARS

    return {
        key: [
            (change, not is_sure and is_torn(turn))
            for (turn, change), is_sure in changes
            if is_sure or is_there(turn)
        ]
        for key, changes in made.items()
    }


def _content(
    file: _File, kept: list[tuple[_Change, bool]], loss: Loss, random: Random, filler: bytes
) -> bytearray:
    content = bytearray(file.synced)
    for change, is_torn in kept:
        if is_torn and isinstance(change, Wrote):
            for part in _sectors(change, random):
                _apply(content, part, filler)
        else:
            _apply(content, change, filler)
    if loss == "some" and random.random() < 0.5:
        # The size is the folder's affair, not the data's: it may be there before them.
        writes = [change for _, change in file.pending if isinstance(change, Wrote)]
        ends = [write.offset + len(write.data) for write in writes]
        _grow(content, max(ends, default=0), filler)
    return content


def _sectors(write: Wrote, random: Random) -> list[Wrote]:
    """Some of the sectors that a write touches: the first ones, or any."""
    start, end = write.offset, write.offset + len(write.data)
    cuts = [start, *range(start - start % SECTOR + SECTOR, end, SECTOR), end]
    spans = list(pairwise(cuts))
    if random.random() < 0.5:
        chosen = spans[: random.randrange(len(spans))]
    else:
        chosen = [span for span in spans if random.random() < 0.5]
    return [
        Wrote(write.file, first, write.data[first - start : last - start]) for first, last in chosen
    ]


def _apply(content: bytearray, change: _Change, filler: bytes = bytes(SECTOR)) -> None:
    if isinstance(change, Truncated):
        del content[change.size :]
        _grow(content, change.size, filler)
        return
    _grow(content, change.offset, filler)
    content[change.offset : change.offset + len(change.data)] = change.data


def _grow(content: bytearray, size: int, filler: bytes) -> None:
    missing = size - len(content)
    if missing > 0:
        content += (filler * (missing // SECTOR + 1))[:missing]
