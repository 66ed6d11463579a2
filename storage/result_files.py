"""Named results, one JSON file each: replaced as a whole, and on the disk when that is answered.

Besides the value a file keeps which messages brought the last ones, so that a repeat is recognised
also after another sender's result has taken its place.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.clock import Clock
from holdfast.errors import Conflict, StorageError
from holdfast.storage.atomic_files import disk_errors, replace, sync_folder
from holdfast.storage.file_catalog import Catalog
from holdfast.storage.file_names import name_of, stem_of
from holdfast.storage.file_records import ResultInfo
from holdfast.storage.jsonl_lines import Sent

__all__ = ["Result", "ResultFiles"]

REMEMBERED: Final = 16  # senders whose last message a result's file knows


class Written(msgspec.Struct, frozen=True, array_like=True):
    """What a sender's last message made of a result."""

    sent: Sent
    version: int


class Result(msgspec.Struct, frozen=True):
    """A result; ``version`` counts its replacements from 1, ``value`` is JSON text."""

    name: str
    version: int
    time_us: int
    value: msgspec.Raw
    written: list[Written] = []


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Result).decode


class ResultFiles:
    """The one writer of the folder."""

    def __init__(self, catalog: Catalog, *, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def put(
        self, name: str, value: str, sent: Sent | None, *, expected: int | None, is_repeat: bool
    ) -> int:
        """Replace the result by JSON text, on the disk; its version.

        Raises Conflict when its version is not ``expected`` (0: there is none), StorageError;
        the old one is there then.
        """
        stem = stem_of(name)
        before = self.get(name)
        written = [] if before is None else before.written
        if is_repeat and sent is not None:
            for one in written:
                if _covers(one.sent, sent):
                    return one.version
        current = 0 if before is None else before.version
        if expected is not None and expected != current:
            raise Conflict(f"result {name!r}", expected=expected, current=current or None)
        if sent is not None:
            others = [one for one in written if one.sent.sender != sent.sender]
            written = [*others[1 - REMEMBERED :], Written(sent, current + 1)]
        now = self._clock.time_us()
        result = Result(name, current + 1, now, msgspec.Raw(value.encode()), written)
        data = _encode(result) + b"\n"
        self._catalog.make_room(len(data))  # for a moment there are both
        replace(self._catalog.result_path(stem), data)
        self._catalog.set_result(stem, len(data))
        return result.version

    def get(self, name: str) -> Result | None:
        """The result, or None.  Raises StorageError."""
        stem = stem_of(name)
        if stem not in self._catalog.results:
            return None
        path = self._catalog.result_path(stem)
        with disk_errors(path):
            raw = path.read_bytes()
        try:
            result = _decode(raw)
            bytes(result.value).decode()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            text = f"{path}: no result can be read there ({error}): delete it"
            raise StorageError(text) from error
        return result

    def delete(self, name: str) -> bool:
        """Delete it; whether it was there.  Raises StorageError."""
        stem = stem_of(name)
        if stem not in self._catalog.results:
            return False
        path = self._catalog.result_path(stem)
        with disk_errors(path):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        self._catalog.set_result(stem, 0)
        return True

    def list(self, after: str, limit: int) -> tuple[list[ResultInfo], str]:
        """What there is, in the order of file names after ``after``; where to go on, or ""."""
        stems = sorted(stem for stem in self._catalog.results if stem > after)
        infos = [
            ResultInfo(self._name_of(stem), self._catalog.results[stem]) for stem in stems[:limit]
        ]
        return infos, stems[limit - 1] if len(stems) > limit else ""

    def _name_of(self, stem: str) -> str:
        """The name, from inside the file where it was too long for the file's own."""
        name = name_of(stem)
        if name is not None:
            return name
        try:
            return _decode(self._catalog.result_path(stem).read_bytes()).name
        except (OSError, msgspec.MsgspecError):
            return stem


def _covers(known: Sent, sent: Sent) -> bool:
    """Whether a message came with the known one, or before it."""
    is_same = (known.sender, known.incarnation) == (sent.sender, sent.incarnation)
    return is_same and known.number >= sent.number
