"""Column ``pieces`` of a checkpoint: which values were cut out of its state, as JSON text.

Pure functions; nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from holdfast.storage.checkpoint_records import Piece

__all__ = ["decode_pieces", "encode_pieces", "names_in"]

_WirePieces = list[tuple[list[str], list[str], str]]
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_WirePieces).decode


def decode_pieces(text: str | None) -> list[Piece]:
    """As column ``pieces`` has them."""
    if text is None:
        return []
    return [
        Piece(path, [bytes.fromhex(name) for name in names], tail)
        for path, names, tail in _decode(text)
    ]


def encode_pieces(pieces: Sequence[Piece]) -> str | None:
    """For column ``pieces``; None where nothing was cut."""
    if not pieces:
        return None
    wire = [(piece.path, [name.hex() for name in piece.parts], piece.tail) for piece in pieces]
    return _encode(wire).decode()


def names_in(pieces: Iterable[Piece]) -> list[bytes]:
    """The parts that pieces name, each once."""
    return list(dict.fromkeys(name for piece in pieces for name in piece.parts))
