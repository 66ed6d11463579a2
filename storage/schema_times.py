"""SQL that shows a time as people read it, for the views."""

from __future__ import annotations

__all__ = ["as_text"]


def as_text(column: str) -> str:
    """SQL for microseconds as ISO time, also before 1970."""
    rest = f"(({column} % 1000000 + 1000000) % 1000000)"
    seconds = f"({column} - {rest}) / 1000000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || printf('.%06dZ', {rest})"
