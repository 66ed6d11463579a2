"""Pieces of SQL with the values of their parameters, in whatever way the backend marks them."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Sql", "both", "joined"]


class Sql(NamedTuple):
    """A piece of a statement and the values of its parameters."""

    text: str
    values: tuple[Any, ...] = ()


def joined(*pieces: Sql) -> Sql:
    """One after the other."""
    values = tuple(value for piece in pieces for value in piece.values)
    return Sql(" ".join(piece.text for piece in pieces), values)


def both(*conditions: Sql) -> Sql:
    """All of them hold; of none, that is so."""
    if not conditions:
        return Sql("true")
    text = " AND ".join(f"({condition.text})" for condition in conditions)
    return Sql(text, tuple(value for condition in conditions for value in condition.values))
