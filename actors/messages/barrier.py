"""The vocabulary of a daemon checkpoint: what the checkpoints actor and its participants say.

A participant answers ``Collect`` from what it has handled so far, so that the barrier is the order
of its own mailbox.  Each part is consistent by itself; the whole is not one instant.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

__all__ = ["Collect", "Collected", "Reply", "Restore", "Restored", "decode_barrier", "decode_reply"]


class Collect(msgspec.Struct, frozen=True, array_like=True, tag="collect"):
    """Say what you hold, for the daemon checkpoint ``checkpoint``.  Reply: Collected."""

    checkpoint: str


class Restore(msgspec.Struct, frozen=True, array_like=True, tag="restore"):
    """Hold what ``state`` says, as ``Collected`` had it.  Reply: Restored.

    Refused as a whole when it cannot be read; nothing is changed then.
    """

    checkpoint: str
    state: str


class Collected(msgspec.Struct, frozen=True, array_like=True, tag="collected"):
    """The state as JSON text; ``mark`` is the newest event number that it may rest on, 0 if none.

    ``count`` says how many things it holds: sessions, requests.
    """

    state: str
    count: int
    mark: int = 0


class Restored(msgspec.Struct, frozen=True, array_like=True, tag="restored"):
    """``count`` things were taken over, ``skipped`` were not, since what is held is newer."""

    count: int
    skipped: int = 0


Reply = Collected | Restored

decode_barrier: Callable[[bytes | memoryview], Collect | Restore] = msgspec.msgpack.Decoder(
    Collect | Restore
).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode
