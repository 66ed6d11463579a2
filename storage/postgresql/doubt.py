"""What a writer is left with when its connection is lost: a COMMIT that may have been done."""

from __future__ import annotations

import msgspec

from holdfast.errors import HoldfastError
from holdfast.storage.commands import Command, Outcome

__all__ = ["Doubt", "LostError", "Settled"]

Settled = tuple[Command, Outcome | HoldfastError]


class LostError(Exception):
    """The connection was lost; it never leaves the database."""


class Doubt(msgspec.Struct, frozen=True):
    """A COMMIT that was not answered: the commits that there are if it was done, and what of."""

    commits: int
    settled: list[Settled]
