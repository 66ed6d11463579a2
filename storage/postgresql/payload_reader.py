"""Large data of events, reading side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from holdfast.errors import DamagedError
from holdfast.storage.payloads import unpack
from holdfast.storage.postgresql.reading import Reading

__all__ = ["PayloadReading"]


class PayloadReading(Reading):
    """Implements ``holdfast.storage.reader_ports.PayloadReader``."""

    def payloads(self, refs: Sequence[str], max_bytes: int) -> list[str | None]:
        """The data behind the references, or behind the first of them."""
        sql = "SELECT codec, body, bytes FROM payloads WHERE daemon = %s AND ref = %s"
        found: list[str | None] = []
        size = 0
        for ref in refs:
            if size >= max_bytes:
                break
            rows = self._read(sql, (self._daemon, ref))
            if not rows:
                found.append(None)
            for codec, body, length in cast("list[tuple[str, bytes, int]]", rows):
                found.append(self._unpacked(ref, codec, body, length))
                size += length
        return found

    def _unpacked(self, ref: str, codec: str, body: bytes, length: int) -> str:
        try:
            return unpack(codec, body, length).decode()
        except ValueError as error:
            raise DamagedError(
                f"{self.where}: payload {ref}: {error}; what is stored is damaged: restore a backup"
            ) from error
