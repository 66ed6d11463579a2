"""Which events are no more since a database was restored, so that no position beyond them passes.

A restore goes back to an earlier state, and what comes after it takes the numbers again that had
been given since.  Epochs never come again, so each belongs to the restore that it follows: a
``Fork``.  Up to the copy's last number a fork has the events of the epoch that the copy was made
in, beyond that its own.  So a position, ``epoch.seq``, is good when the event of that number came
to its epoch and to the database as it is now from the same fork.  A database carries all forks
that it knows of, in ``meta`` as ``forks``.  Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

__all__ = ["UNKNOWN", "Fork", "decode_forks", "encode_forks", "is_lost", "joined", "next_epoch"]

# Openings that a database may have seen since a copy of it was made, where nobody can say.
UNKNOWN: Final = 1_000_000


class Fork(msgspec.Struct, frozen=True, array_like=True):
    """From ``epoch`` on the database is what it was at ``seq`` in epoch ``copied``, and its own."""

    epoch: int
    copied: int
    seq: int


def is_lost(forks: Sequence[Fork], epoch: int, seq: int, *, current: int) -> bool:
    """Whether what stands up to ``seq`` is not, in epoch ``current``, what it was in ``epoch``."""
    return seq > 0 and _origin(forks, epoch, seq) != _origin(forks, current, seq)


def _origin(forks: Sequence[Fork], epoch: int, seq: int) -> int:
    """The fork that the event of that number was written in; 0: before the first."""
    while True:
        fork = max(
            (fork for fork in forks if fork.epoch <= epoch),
            key=lambda fork: fork.epoch,
            default=None,
        )
        if fork is None or seq > fork.seq:
            return 0 if fork is None else fork.epoch
        epoch = min(fork.copied, fork.epoch - 1)  # always an earlier one


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


def joined(copied: Iterable[Fork], replaced: Iterable[Fork], new: Fork) -> tuple[Fork, ...]:
    """What a restored database knows: the forks of the copy, of what it replaces, and its own."""
    return tuple(sorted({*copied, *replaced, new}, key=lambda fork: fork.epoch))
