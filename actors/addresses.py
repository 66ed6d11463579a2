"""Where an actor listens, from its name: no name leads out of the run directory.

Owns nothing; the descriptor of the directory is its caller's.
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.errors import UnknownActorError

__all__ = ["socket_path"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,47}")


def socket_path(folder: int, name: str) -> str:
    """By the descriptor of the run directory: the path of a socket holds 107 bytes only.

    Raises UnknownActorError for what no actor can be called, before anything is opened.
    """
    if _NAME.fullmatch(name) is None:
        raise UnknownActorError(
            f"{name[:80]!r} is no name of an actor: expected 1 to 48 characters a-z 0-9 _ -, "
            "the first a letter"
        )
    return f"/proc/self/fd/{folder}/{name}.sock"
