"""What ``status`` and ``doctor`` say of the database's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.cli.daemon import walk
from holdfast.errors import DeliveryError, StorageError

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub
    from holdfast.actors.messages.supervisor import Tree
    from holdfast.actors.messages.writer import WriterStats
    from holdfast.storage.size_records import Sizes

__all__ = ["as_object", "line_of", "size", "sizes_of", "writing_of"]

STUCK: Final = 2  # blocked attempts in a row; one reader at work may meet one
TELLING: Final = 1_000  # events from which on their rate and size say something
TIMEOUT: Final = 2.0  # seconds; status has to come also when query or writer hang


def sizes_of(hub: Hub, tree: Tree) -> Sizes | None:
    """None when there is nobody to say, or no database yet."""
    from holdfast.actors.messages.query import GetSizes, SizesAre

    if not _runs(tree, "query"):
        return None
    try:
        reply = hub.ask("query", GetSizes(), timeout=TIMEOUT)
    except (DeliveryError, StorageError):  # or the database does not answer
        return None
    return msgspec.convert(reply, SizesAre).sizes


def writing_of(hub: Hub, tree: Tree) -> WriterStats | None:
    """How the writer is; None when there is nobody to say."""
    from holdfast.actors.messages import writer

    if not _runs(tree, "writer"):
        return None
    try:
        reply = hub.ask("writer", writer.Stats(), timeout=TIMEOUT)
    except DeliveryError:
        return None
    return msgspec.convert(reply, writer.WriterStats)


def _runs(tree: Tree, name: str) -> bool:
    return any(child.id == name and child.state == "running" for _, child in walk(tree.root))


def as_object(sizes: Sizes | None, writing: WriterStats | None) -> dict[str, object] | None:
    """For JSON; the numbers are bytes."""
    if sizes is None:
        return None
    found = {field: getattr(sizes, field) for field in sizes.__struct_fields__}
    rules, stuck = (None, None) if writing is None else (writing.rules, writing.wal_stuck)
    return {**found, "retention_rules": rules, "wal_stuck": stuck}


def line_of(sizes: Sizes, writing: WriterStats | None) -> str:
    """For people."""
    is_file = sizes.backend == "sqlite"
    found = [f"database {size(sizes.file)}"]
    if is_file:
        found += [f"log {size(sizes.wal)}", f"{size(sizes.free)} unused"]
    else:
        found.append(sizes.path)
    parts = [", ".join(found), f"{sizes.events:,} events"]
    if sizes.deleted:
        parts.append(f"{sizes.deleted:,} deleted")
    if sizes.events >= TELLING:
        daily = f"{sizes.events_per_day:,} events, {size(sizes.bytes_per_day)}"
        parts.append(f"about {daily} more a day")
    if writing is not None and writing.rules == 0:
        parts.append("nothing is ever deleted")
    if writing is not None and writing.wal_stuck >= STUCK:
        parts.append("a reader keeps the log from being emptied: close viewers of the database")
    if is_file:
        parts.append(f"{size(sizes.disk_free)} free on the disk")
    return "; ".join(parts)


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
