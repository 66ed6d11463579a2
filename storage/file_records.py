"""What lists of files say of each; nothing is owned here."""

from __future__ import annotations

import msgspec

__all__ = ["LogInfo", "ResultInfo"]


class LogInfo(msgspec.Struct, frozen=True, array_like=True):
    """The files of one session: ``bytes`` of all, ``parts`` that were rotated, ``torn`` bytes put
    aside, ``changed_us`` in microseconds since 1970."""

    session: str
    bytes: int
    parts: int
    torn: int
    changed_us: int


class ResultInfo(msgspec.Struct, frozen=True, array_like=True):
    """A result by name, and the bytes of its file."""

    name: str
    bytes: int
