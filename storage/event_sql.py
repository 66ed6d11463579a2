"""Filters as SQL: what stands behind WHERE, and which index leads there.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.storage.filters import EventFilter, is_glob

__all__ = ["Condition", "conditions", "index_of", "join", "seq_conditions"]

# A condition in SQL and the values of its parameters.
Condition = tuple[str, tuple[str | int, ...]]

# Fields that have an index of the rows that have a value; the one that finds the fewest first.
_INDEXED: Final = ("correlation", "subject", "session")


def index_of(filter: EventFilter) -> str | None:
    """The index to use, unless it is the order of numbers or of time that leads to the events."""
    for field in _INDEXED:
        if getattr(filter, field) is not None:
            return f"INDEXED BY events_by_{field}"
    return None


def join(conditions: Sequence[Condition]) -> tuple[str, tuple[str | int, ...]]:
    """All of them, as the text behind WHERE and its values."""
    if not conditions:
        return "true", ()
    where = " AND ".join(sql for sql, _ in conditions)
    return where, tuple(value for _, values in conditions for value in values)


def conditions(filter: EventFilter) -> list[Condition]:
    """The filter but for sequence numbers; agrees with ``EventFilter.compile``."""
    found: list[Condition] = []
    if filter.types:
        alternatives = [_type_condition(pattern) for pattern in filter.types]
        sql, values = zip(*alternatives, strict=True)
        found.append((f"({' OR '.join(sql)})", values))
    if filter.subject is not None:
        found.append(("subject = ?", (filter.subject,)))
    if filter.session is not None:
        found.append(("session = ?", (filter.session,)))
    if filter.correlation is not None:
        found.append(("correlation = ?", (filter.correlation,)))
    if filter.source is not None:
        found.append(("source = ?", (filter.source,)))
    if filter.since_us is not None:
        found.append(("time_us >= ?", (filter.since_us,)))
    if filter.until_us is not None:
        found.append(("time_us < ?", (filter.until_us,)))
    return found


def seq_conditions(filter: EventFilter) -> list[Condition]:
    """Its sequence numbers."""
    found: list[Condition] = []
    if filter.after is not None:
        found.append(("seq > ?", (filter.after,)))
    if filter.before is not None:
        found.append(("seq < ?", (filter.before,)))
    return found


def _type_condition(pattern: str) -> tuple[str, str]:
    """SQLite's GLOB also knows ``[...]``; a bracket in a set of its own is only a bracket."""
    if is_glob(pattern):
        return "type GLOB ?", pattern.replace("[", "[[]")
    return "type = ?", pattern
