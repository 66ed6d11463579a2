"""Times as people read them, in the views of the database.  Nothing is kept here."""

from __future__ import annotations

__all__ = ["readable"]


def readable(column: str) -> str:
    """SQL for microseconds as ISO time, also before 1970."""
    rest = f"(({column} % 1000000 + 1000000) % 1000000)"
    seconds = f"({column} - {rest}) / 1000000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || printf('.%06dZ', {rest})"
