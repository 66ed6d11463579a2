"""The one form of a row that is the same from every backend, and sums of rows in that form.

A row is msgpack of its values in the catalog's order, hashed by BLAKE2b to 128 bits; a sum is that
of the hashes, modulo 2^128: the order of rows does not matter, and one can be taken out again.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from holdfast.storage.migrating.catalog import Row
from holdfast.storage.migrating.ports import TableProof

__all__ = ["Sum", "digests"]

_MODULUS: Final = 1 << 128
_encode: Final = msgspec.msgpack.Encoder().encode


def digests(rows: Iterable[Row]) -> list[bytes]:
    """Of each its 128 bits."""
    return [blake2b(_encode(row), digest_size=16).digest() for row in rows]


class Sum:
    """How many rows, and the sum of their digests."""

    __slots__ = ("rows", "total")

    def __init__(self) -> None:
        self.rows = 0
        self.total = 0

    def add(self, found: Iterable[bytes]) -> None:
        """Rows that are there now."""
        for each in found:
            self.rows += 1
            self.total += int.from_bytes(each, "big")

    def take(self, found: Iterable[bytes]) -> None:
        """Rows that are there no more."""
        for each in found:
            self.rows -= 1
            self.total -= int.from_bytes(each, "big")

    def proof(self, name: str) -> TableProof:
        """For people and for comparison."""
        return TableProof(name, self.rows, f"{self.total % _MODULUS:032x}")
