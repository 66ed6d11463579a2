"""Any text as the name of a file: two texts never share a file, and no text leads elsewhere.

Of a name only ``a-z 0-9 _ -`` stay as they are; every other byte of its UTF-8 becomes ``%xx``, so
that neither case, composed and decomposed letters nor ``../`` mean anything to a file system.  A
name that gets too long keeps its beginning and ends in ``~`` and its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from holdfast.errors import InvalidInputError

__all__ = ["MAX_NAME", "checked_name", "name_of", "stem_of"]

MAX_NAME: Final = 1_024  # characters
MAX_STEM: Final = 160  # bytes; what is appended to it fits in the 255 of a file's name
BEGINNING: Final = 80  # bytes that a shortened name keeps, for people
_UNSAFE: Final = re.compile(rb"[^a-z0-9_-]")


def checked_name(field: str, name: str) -> str:
    """The name.  Raises InvalidInputError for what is no name at all."""
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise InvalidInputError(
            f"{field} = {name[:80]!r}: expected 1 to {MAX_NAME} characters without NUL"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"{field} = {name[:80]!r}: a lone surrogate is no Unicode text"
        ) from None
    return name


def stem_of(name: str) -> str:
    """What the names of its files begin with; it holds no dot."""
    raw = name.encode()
    stem = _UNSAFE.sub(lambda found: b"%%%02x" % found[0][0], raw).decode()
    if len(stem) <= MAX_STEM:
        return stem
    return f"{stem[:BEGINNING]}~{hashlib.sha256(raw).hexdigest()}"


def name_of(stem: str) -> str | None:
    """The name whose stem it is; None when the stem is a shortened one, or nobody's."""
    try:
        name = unquote_to_bytes(stem).decode()
    except UnicodeDecodeError:
        return None
    return name if name and stem_of(name) == stem else None
