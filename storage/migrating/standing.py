"""How far a migration has come: kept at the target, in the same transaction as the rows it is of.

So whatever a crash of either side takes with it, rows and figures are of one moment, and who goes
on from there copies nothing twice.  It goes on only with the source that it was begun with: one
that may have lost what was read from it before is told by its lineage.
"""

from __future__ import annotations

from base64 import b85decode, b85encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import Final

import msgspec

from holdfast.storage.migrating.canonical import Sum
from holdfast.storage.migrating.catalog import BY_NAME, TABLES, Row
from holdfast.storage.migrating.labels import Label, decode
from holdfast.storage.migrating.ports import AnewError, Source, TableProof

__all__ = ["Standing", "require_same_source", "stood"]


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """As ``meta`` has it; a row of ``sums`` is a table, its rows, and their sum."""

    swap: str
    shape: str
    lineage: str
    left: list[str]
    after: dict[str, Row]
    sums: dict[str, tuple[int, str]]
    logged: int
    rows: int
    size: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class Standing:
    """``left`` is still to be copied, the next first; ``after`` the key that each is there up to.

    ``logged``: the log is followed up to there.  ``rows`` were written, by all tries together.
    """

    def __init__(self, swap: str, lineage: str, *, left: list[str]) -> None:
        self.swap: Final = swap
        self.lineage: Final = lineage
        self.left = left
        self.after: dict[str, Row] = {}
        self.sums = {table.name: Sum() for table in TABLES}
        self.logged = 0
        self.rows = 0
        self.bytes = 0

    @property
    def proofs(self) -> tuple[TableProof, ...]:
        """Of every table."""
        return tuple(total.proof(name) for name, total in self.sums.items())

    def encode(self) -> str:
        """For ``meta``; a text that every backend can hold."""
        sums = {name: (sum.rows, f"{sum.total:x}") for name, sum in self.sums.items()}
        kept = _Kept(
            self.swap,
            shape(),
            self.lineage,
            self.left,
            self.after,
            sums,
            self.logged,
            self.rows,
            self.bytes,
        )
        return b85encode(_encode(kept)).decode()


def stood(swap: str, label: str | None, kept: str | None) -> Standing:
    """What another try of that swap has left at its target.  Raises AnewError, which says why."""
    found: Label | None = decode(label)
    if found is None:
        raise AnewError("the target is empty, or somebody else's")
    if found.swap != swap or found.state == "old":
        raise AnewError(f"the target was {found.state} by swap {found.swap} meanwhile")
    if kept is None:
        raise AnewError("nothing was copied yet")
    try:
        was = _decode(b85decode(kept))
    except (ValueError, Base64Error, msgspec.MsgspecError) as error:
        raise AnewError(f"what the target says of itself cannot be read: {error}") from error
    if was.swap != swap:
        raise AnewError(f"what the target says of itself is of swap {was.swap}")
    if was.shape != shape():
        raise AnewError("another version of holdfast, with other tables, began it")
    standing = Standing(swap, was.lineage, left=list(was.left))
    standing.after = dict(was.after)
    for name, (rows, total) in was.sums.items():
        standing.sums[name].rows, standing.sums[name].total = rows, int(total, 16)
    standing.logged, standing.rows, standing.bytes = was.logged, was.rows, was.size
    return standing


def require_same_source(standing: Standing, source: Source) -> None:
    """Raise AnewError where the source may have lost, or numbered anew, what was read from it."""
    if source.capture() != standing.swap:
        raise AnewError("the log of what has changed since was ended")
    if source.lineage() != standing.lineage:
        raise AnewError(
            "the machine, or the server, of the old database was started again or restored, and "
            "may have lost what was copied"
        )
    after = standing.after.get("events", (0,))
    if source.log_end() < standing.logged or source.last_seq() < int(after[0]):
        raise AnewError("the old database has gone back behind what was copied")


def shape() -> str:
    """Of all tables as this holdfast has them, in any backend."""
    from holdfast.storage.sqlite_schema import VERSION

    tables = [(table.name, list(table.columns.items()), table.width) for table in BY_NAME.values()]
    return f"{VERSION}-{blake2b(_encode(tables), digest_size=8).hexdigest()}"
