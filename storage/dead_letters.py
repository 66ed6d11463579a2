"""Dead letters as people read them: the message as JSON text.  Nothing is kept here."""

from __future__ import annotations

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = ["readable_body"]


def readable_body(body: bytes) -> str | None:
    """The message as JSON text, or None where it is no msgpack, or nothing that JSON can hold."""
    try:
        return jsontext.encode(msgspec.msgpack.decode(body))
    except (msgspec.MsgspecError, InvalidInputError, UnicodeDecodeError, RecursionError):
        return None
