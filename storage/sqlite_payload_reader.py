"""Large data of events, reading side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from holdfast.errors import StorageError
from holdfast.storage.payloads import unpack
from holdfast.storage.sqlite_reading import Reading

__all__ = ["PayloadReading"]


class PayloadReading(Reading):
    """Implements ``holdfast.storage.reader_ports.PayloadReader``."""

    def payloads(self, refs: Sequence[str], max_bytes: int) -> list[str | None]:
        """The data behind the references, or behind the first of them."""
        found: list[str | None] = []
        size = 0
        for ref in refs:
            if size >= max_bytes:
                break
            rows = self._read("SELECT codec, body, bytes FROM payloads WHERE ref = ?", (ref,))
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
            raise StorageError(
                f"{self.path}: payload {ref}: {error}; the file is damaged; keep a copy, then "
                f"restore a backup"
            ) from error
