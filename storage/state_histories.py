"""The versions of entities that were replaced, of types that keep them, whatever keeps the rows.

The current version stands with the entity: what a type keeps begins with the first change after
it was told to.  Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Final, Protocol

from holdfast.errors import InvalidInputError
from holdfast.storage.state_records import DefineType, TypeDefined, check_name

__all__ = ["Histories", "HistoryRows", "Version"]

MAX_KEEP: Final = 2**63 - 1  # versions: a number that every backend can hold

# id, version, type, created_us, since_us, until_us.
Version = tuple[str, int, str, int, int, int]


class HistoryRows(Protocol):
    """The tables of types and of replaced versions."""

    def define(self, type: str, history: bool, keep: int | None) -> None:
        """A new type, or one that is there."""

    def keep(self, version: Version, properties: str, keep: int | None) -> None:
        """One more of the id, and only the newest ``keep``."""


class Histories:
    """Says what types keep, and keeps it."""

    def __init__(self, rows: HistoryRows) -> None:
        self._rows = rows

    def define(self, change: DefineType) -> TypeDefined:
        """Raises InvalidInputError."""
        check_name(change.name, "type")
        keep = change.keep
        if keep is not None and (not 0 < keep <= MAX_KEEP or not change.history):
            raise InvalidInputError(f"keep = {keep}: expected at least 1, and history = true")
        self._rows.define(change.name, change.history, keep)
        return TypeDefined()

    def keep(self, version: Version, properties: str, keep: int | None) -> None:
        """The version that is about to be replaced, and at most so many before it."""
        self._rows.keep(version, properties, keep)
