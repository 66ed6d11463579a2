"""What is moved: every table, in an order in which what is referred to comes first.

Not moved as rows, and why:

* ``properties`` is what entities are found by, made anew of each entity's own text, for it differs
  between backends;
* ``meta`` is a few facts (``ports.Facts``); its other rows are a backend's own, as is the epoch;
* ``session_totals`` is kept by triggers, ``daemons`` is PostgreSQL's lock, and the tables of the
  full-text index, ``events_text``, are built by the writer in time.

A test compares this with the tables that both backends make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, Literal, cast

import msgspec

from holdfast.errors import SwapError

__all__ = [
    "BY_NAME",
    "COUNTERS",
    "EVENTS",
    "FACTS",
    "INDEXED",
    "LONG",
    "NOT_MOVED",
    "NO_FACTS",
    "TABLES",
    "Row",
    "Table",
    "facts_of",
    "shown",
]

Value = int | float | str | bytes | None
Row = tuple[Any, ...]

Kind = Literal["int", "real", "text", "bytes"]

_KINDS: Final[dict[str, Kind]] = {"i": "int", "r": "real", "t": "text", "b": "bytes"}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """``columns`` with their kinds, of which the first ``width`` are the key.

    ``unique``: other columns that no two rows share, where none of them is NULL.  ``parents``:
    tables that have the row that these columns name, by their key.  ``dependents``: tables whose
    rows a backend deletes with a row of this one; these columns of it name them there, by those.
    """

    name: str
    columns: dict[str, Kind]
    width: int
    unique: tuple[tuple[str, ...], ...] = ()
    parents: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dependents: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the key."""
        return tuple(self.columns)[: self.width]

    @property
    def texts(self) -> list[int]:
        """Which columns are texts."""
        return [n for n, kind in enumerate(self.columns.values()) if kind == "text"]

    def size_of(self, rows: Iterable[Row]) -> int:
        """Characters and bytes in what may be long."""
        long = [n for n, column in enumerate(self.columns) if column in LONG]
        return sum(len(row[n] or "") for row in rows for n in long)

    def key_of(self, row: Row) -> Row:
        """The key of a row."""
        return row[: self.width]

    def pick(self, columns: tuple[str, ...]) -> Callable[[Row], Row]:
        """What takes the values of those columns from a row."""
        names = list(self.columns)
        indexes = [names.index(column) for column in columns]
        if len(indexes) == 1:
            index = indexes[0]
            return lambda row: (row[index],)
        return cast("Callable[[Row], Row]", itemgetter(*indexes))

    def values(self, columns: tuple[str, ...], rows: Iterable[Row]) -> list[Row]:
        """What the rows have in those columns, each once; those with a NULL in it left out."""
        return list({value for value in map(self.pick(columns), rows) if None not in value})


def _table(name: str, width: int, columns: str, **others: Any) -> Table:
    """``columns`` as "name:kind", the kind by its first letter, text where there is none."""
    found: dict[str, Kind] = {}
    for each in columns.split():
        column, _, kind = each.partition(":")
        found[column] = _KINDS[kind or "t"]
    return Table(name=name, columns=found, width=width, **others)


EVENTS: Final = _table(
    "events",
    1,
    "seq:i daemon time_us:i type source subject session correlation cause root depth:i key data"
    " payload",
    unique=(("key", "source"),),
    dependents=(("stream_events", ("seq",), ("seq",)), ("payloads", ("payload",), ("ref",))),
)

TABLES: Final = (
    _table("entity_types", 1, "name history:i keep:i"),
    _table(
        "entities",
        1,
        "number:i id type version:i created_us:i updated_us:i properties",
        unique=(("id",),),
    ),
    _table(
        "relationships",
        3,
        "from_id relation_type to_id version:i created_us:i updated_us:i metadata",
    ),
    _table("entity_tombstones", 1, "id version:i deleted_us:i"),
    _table("entity_history", 2, "id version:i type created_us:i since_us:i until_us:i properties"),
    _table("queues", 1, "number:i namespace key length:i", unique=(("namespace", "key"),)),
    _table("queue_items", 1, "number:i queue:i pushed_us:i expires_us:i value"),
    _table("payloads", 1, "ref bytes:i codec body:b"),
    EVENTS,
    _table("streams", 1, "name version:i"),
    _table(
        "stream_events",
        1,
        "seq:i stream version:i",
        unique=(("stream", "version"),),
        parents=(("events", ("seq",)), ("streams", ("stream",))),
    ),
    _table("subscribers", 1, "name acked:i filter generation:i owner created_us:i updated_us:i"),
    _table("senders", 3, "sender incarnation stream mark:i duplicates:i dropped:i pruned:i turn:i"),
    _table("results", 4, "sender incarnation stream number:i result:b"),
    _table("dropped", 1, "id:i time_us:i sender incarnation stream first:i last:i count:i reason"),
    _table(
        "dead_letters",
        1,
        "id:i time_us:i actor sender incarnation stream number:i kind reason deaths:i body:b"
        " message",
        unique=(("actor", "sender", "incarnation", "kind", "number"),),
    ),
    _table("retained", 1, "rule counted_seq:i oldest_seq:i count:i bytes:i"),
    _table("deleted", 3, "day rule reason count:i bytes:i first_seq:i last_seq:i"),
    _table(
        "sessions",
        1,
        "id data version created_us:i touched_us:i expires_us:i ttl:r max_age:r owner holders"
        " items:i item_bytes:i",
        dependents=(("session_items", ("id",), ("session",)),),
    ),
    _table(
        "session_items",
        2,
        "session number:i time_us:i key data",
        unique=(("session", "key"),),
        parents=(("sessions", ("session",)),),
    ),
    _table(
        "checkpoints",
        2,
        "agent id:i created_us:i state pieces size:i parent_agent parent_id:i",
    ),
    _table("checkpoint_parts", 1, "id:i hash:b refs:i held_us:i", unique=(("hash",),)),
    _table("checkpoint_data", 1, "id:i size:i codec:i data:b"),
    _table("checkpoint_pins", 2, "agent name id:i"),
    _table("checkpoint_threads", 1, "agent sender incarnation fence:i is_present:i"),
    _table("checkpoint_evicted", 3, "sender incarnation agent"),
    _table("checkpoint_participants", 1, "name boot:i"),
)
BY_NAME: Final = {table.name: table for table in TABLES}

# In the databases, and not among TABLES.
NOT_MOVED: Final = (
    "properties",
    "meta",
    "session_totals",
    "daemons",
    "schema_version",
    "events_text",
)

# Of ``meta``: those that are numbers, and the others.
COUNTERS: Final = (
    "deleted_seq",
    "restored_turn",
    "lost_events",
    "lost_payloads",
    "last_dead_letter",
)
FACTS: Final = (*COUNTERS, "forks")
# A backend's own, or a migration's.
INDEXED: Final = "full_text_from"
NO_FACTS: Final = (
    "epoch",
    "synced_seq",
    "barriers",
    INDEXED,
    "swap",
    "swap_standing",
    "capture",
)

# Columns whose values may be long; names are not.
LONG: Final = frozenset(
    (
        "body",
        "data",
        "holders",
        "message",
        "metadata",
        "pieces",
        "properties",
        "result",
        "state",
        "value",
    )
)

_SHOWN: Final = 60  # characters of a part of a key


def facts_of(rows: Iterable[Row]) -> dict[str, int | str]:
    """Those of ``meta`` that go with the data.  Raises SwapError for one that nobody knows."""
    found: dict[str, int | str] = {}
    for name, value in rows:
        if name in FACTS:
            found[name] = int(value) if name in COUNTERS else value
        elif name not in NO_FACTS:
            raise SwapError(
                f"table meta: row {name!r} is none of holdfast's: delete it, or move without it",
                table="meta",
                key=(name,),
            )
    return found


def shown(key: Row) -> str:
    """A key for people."""
    texts = (repr(part) for part in key)
    return ", ".join(f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text for text in texts)
