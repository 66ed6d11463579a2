"""Times as people read them, in the views of the database.  Nothing is kept here."""

from __future__ import annotations

__all__ = ["readable"]

_YEAR_1, _YEAR_9999 = -62_135_596_800_000_000, 253_402_300_799_999_999


def readable(column: str) -> str:
    """SQL for microseconds as ISO time; NULL where no calendar has it."""
    time = f"timestamp 'epoch' + {column} * interval '1 microsecond'"
    text = f"""to_char({time}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return f"CASE WHEN {column} BETWEEN {_YEAR_1} AND {_YEAR_9999} THEN {text} END"
