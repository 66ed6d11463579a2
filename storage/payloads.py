"""Large data of events: what it is called where it is stored apart, and how it is packed.

A reference is ``sha256/bytes``: the hash of the JSON text as UTF-8, in hexadecimal, and how long
it is.  The same text has the same reference, wherever it came from.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

import msgspec

__all__ = ["PAYLOAD_BYTES", "Codec", "Payload", "pack", "reference", "unpack"]

# Where an overflow chain begins in pages of 8 KiB; below it a row is read in one go anyway.
PAYLOAD_BYTES: Final = 8_192
# Levels above take twice the time for a tenth of the size; a typical tool result shrinks to a
# tenth at this one, in 9 us a kilobyte.
LEVEL: Final = 3
WORTH_IT: Final = 0.8  # packed to less than this share, or stored as it is

Codec = Literal["plain", "zstd"]


class Payload(msgspec.Struct, frozen=True):
    """What an event says of its large data: its sha256 in hexadecimal, and its bytes as JSON."""

    hash: str
    bytes: int

    @classmethod
    def of(cls, ref: str) -> Payload:
        """What a reference says."""
        digest, _, size = ref.partition("/")
        return cls(digest, int(size))


def reference(text: bytes) -> str:
    """What the text is called."""
    return f"{hashlib.sha256(text).hexdigest()}/{len(text)}"


def pack(text: bytes) -> tuple[Codec, bytes]:
    """As it is stored: compressed when that is worth it."""
    import zstandard  # what never sees a large event does without it

    packed = zstandard.ZstdCompressor(level=LEVEL).compress(text)
    return ("zstd", packed) if len(packed) < WORTH_IT * len(text) else ("plain", text)


def unpack(codec: str, body: bytes, size: int) -> bytes:
    """The text again.  Raises ValueError when it is not what was packed."""
    if codec == "plain":
        return body
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
