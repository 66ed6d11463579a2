"""What became of a frame of events, on any backend."""

from __future__ import annotations

import msgspec

__all__ = ["Stored"]


class Stored(msgspec.Struct, frozen=True):
    """What became of a frame; the indexes count from the frame's first event."""

    first_seq: int
    count: int
    repeated: list[tuple[int, int]] = []
    refused: list[tuple[int, str]] = []
    payloads: list[tuple[int, str]] = []
