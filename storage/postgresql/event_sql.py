"""Filters as SQL: what stands behind WHERE.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.storage.filters import EventFilter, is_glob

__all__ = ["Condition", "conditions", "join", "like", "seq_conditions"]

# A condition in SQL and the values of its parameters.
Condition = tuple[str, tuple[str | int, ...]]

_LIKE: Final = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})


def like(glob: str) -> str:
    """The glob as a pattern of LIKE, which also has two wildcards, and nothing else special."""
    return glob.translate(_LIKE)


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
    for field in ("subject", "session", "correlation", "source"):
        value = getattr(filter, field)
        if value is not None:
            found.append((f"{field} = %s", (value,)))
    if filter.since_us is not None:
        found.append(("time_us >= %s", (filter.since_us,)))
    if filter.until_us is not None:
        found.append(("time_us < %s", (filter.until_us,)))
    return found


def seq_conditions(filter: EventFilter) -> list[Condition]:
    """Its sequence numbers."""
    found: list[Condition] = []
    if filter.after is not None:
        found.append(("seq > %s", (filter.after,)))
    if filter.before is not None:
        found.append(("seq < %s", (filter.before,)))
    return found


def _type_condition(pattern: str) -> tuple[str, str]:
    if is_glob(pattern):
        return "type LIKE %s", like(pattern)
    return "type = %s", pattern
