"""Which events are no more since a database was restored, so that no position beyond them passes.

A restore goes back to an earlier state, and what comes after it takes the numbers again that had
been given since.  So a stored position, ``epoch.seq``, is right only if it was read before the
copy was made, up to the copy's last number, or after the restore.  ``Fork`` says that of one
restore; a database carries all of its own, in ``meta`` as ``forks``, and of no event is anything
kept.  Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

__all__ = ["UNKNOWN", "Fork", "decode_forks", "encode_forks", "joined", "next_epoch"]

# Openings that a database may have seen since a copy of it was made, where nobody can say.
UNKNOWN: Final = 1_000_000


class Fork(msgspec.Struct, frozen=True, array_like=True):
    """Positions of the epochs ``since`` to ``until`` behind ``seq`` are of events that are gone."""

    since: int
    until: int
    seq: int

    def has_lost(self, epoch: int, seq: int) -> bool:
        """Whether the position is one of them."""
        return self.since <= epoch <= self.until and seq > self.seq


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
    copied: Sequence[Fork], replaced: Sequence[Fork], *, last_seq: int, epoch: int
) -> tuple[Fork, ...]:
    """The forks of a copy that ends with ``last_seq`` and is restored as ``epoch``.

    ``replaced`` are those of the database in whose place it comes.  Where that was restored itself
    after the copy was made, the two have less in common.
    """
    forks = [*copied, Fork(0, epoch - 1, last_seq)]
    common = last_seq
    for fork in sorted(replaced, key=lambda fork: fork.until):
        if fork not in copied:
            common = min(common, fork.seq)
            forks.append(Fork(fork.until + 1, epoch - 1, common))
    return tuple(forks)
