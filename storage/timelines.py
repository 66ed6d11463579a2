"""Which events are no more since a database was restored, so that no position beyond them passes.

A restore goes back to an earlier state, and what comes after it takes the numbers again that had
been given since.  So a stored position, ``epoch.seq``, is right only if all up to it is what led
to the database of now.  ``Fork`` says of one restore where it began; a database carries those that
it and whatever it replaced had seen, in ``meta`` as ``forks``: a tree of all lines that there
were, a few bytes a restore, and of no event is anything kept.  Pure functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

__all__ = ["UNKNOWN", "Fork", "decode_forks", "encode_forks", "has_lost", "joined", "next_epoch"]

# Openings that a database may have seen since a copy of it was made, where nobody can say.
UNKNOWN: Final = 1_000_000


class Fork(msgspec.Struct, frozen=True, array_like=True):
    """The line that begins with the epoch ``since`` goes on behind ``epoch.seq``."""

    since: int
    epoch: int
    seq: int


_decode: Final = msgspec.json.Decoder(tuple[Fork, ...]).decode
_encode: Final = msgspec.json.Encoder().encode


def decode_forks(text: str | None) -> tuple[Fork, ...]:
    """As ``meta`` has them; none where it has no such row."""
    return () if text is None else _decode(text)


def encode_forks(forks: Iterable[Fork]) -> str:
    """For ``meta``."""
    return _encode(tuple(forks)).decode()


def next_epoch(copied: int, replaced: int | None) -> int:
    """The epoch of the restored database, higher than any position that somebody may have.

    ``replaced`` is that of the database in whose place it comes, None where that cannot be read.
    """
    if replaced is None:
        return (max(copied, 0) // UNKNOWN + 1) * UNKNOWN
    return max(copied, replaced) + 1


def joined(
    copied: Sequence[Fork], replaced: Sequence[Fork], *, end: tuple[int, int], epoch: int
) -> tuple[Fork, ...]:
    """The forks of a copy that ends with the position ``end`` and is restored as ``epoch``.

    ``replaced`` are those of the database in whose place it comes.
    """
    return tuple(sorted({*copied, *replaced, Fork(epoch, *end)}, key=lambda fork: fork.since))


def has_lost(forks: Sequence[Fork], epoch: int, seq: int) -> bool:
    """Whether the position ``epoch.seq`` is of events that are gone; ``forks`` as ``joined``."""
    if not forks:
        return False
    shared: dict[int, int] = {}  # with the line of now, by the epoch in which a line begins
    limit = 2**63
    for fork in _way(forks, forks[-1].since):
        shared[fork.since] = limit
        limit = min(limit, fork.seq)
    for fork in _way(forks, epoch):
        if fork.since in shared:
            return seq > shared[fork.since]
        if seq > fork.seq:
            return True
    return seq > limit


def _way(forks: Sequence[Fork], epoch: int) -> Iterator[Fork]:
    """The beginnings of the lines from that of ``epoch`` down to the first one, which has none."""
    while before := bisect_right(forks, epoch, key=lambda fork: fork.since):
        fork = forks[before - 1]
        yield fork
        epoch = min(fork.epoch, fork.since - 1)
