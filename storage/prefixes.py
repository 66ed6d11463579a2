"""Texts that begin alike, as a range in the order of their characters.  Nothing is kept here."""

from __future__ import annotations

from typing import Final

__all__ = ["end_of"]

_HIGHEST: Final = chr(0x10FFFF)


def end_of(prefix: str) -> str | None:
    """The first text that sorts behind all that begin with ``prefix``; None when there is none."""
    head = prefix.rstrip(_HIGHEST)
    if not head:
        return None
    last = ord(head[-1]) + 1
    # Surrogates are no characters: databases compare UTF-8, which has none.
    return head[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)
