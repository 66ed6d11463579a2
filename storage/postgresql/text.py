r"""Texts that PostgreSQL cannot hold as they are: those with a NUL.

Character 1 is the mark: ``\0`` is stored as ``\1\1``, ``\1`` itself as ``\1\2``.  So every text
comes back exactly, two texts are equal or in the same order as before, and all but those two
characters are stored as they are.  JSON text has neither.  Every statement of a ``Cursor``
(``connection``) does it both ways; nobody else has to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["MARK", "escaped", "escaped_values", "unescaped", "unescaped_row"]

MARK: Final = "\1"


def escaped(text: str) -> str:
    """As it is stored."""
    if "\0" in text or MARK in text:
        return text.replace(MARK, "\1\2").replace("\0", "\1\1")
    return text


def unescaped(text: str) -> str:
    """As it was."""
    # In this order: a pair begins with the mark and never ends inside of another one.
    return text.replace("\1\1", "\0").replace("\1\2", MARK) if MARK in text else text


def escaped_values(values: Any) -> Any:
    """The parameters of a statement, by position or by name, texts in lists too."""
    if values is None:
        return None
    if isinstance(values, Mapping):
        return {name: _escaped(value) for name, value in values.items()}
    for value in values:
        if (type(value) is str and ("\0" in value or MARK in value)) or type(value) is list:
            return [_escaped(value) for value in values]
    return values


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return value


def unescaped_row(values: Sequence[Any]) -> tuple[Any, ...]:
    """A row as it was."""
    for value in values:
        if type(value) is str and MARK in value:
            return tuple(unescaped(each) if type(each) is str else each for each in values)
    return values if isinstance(values, tuple) else tuple(values)
