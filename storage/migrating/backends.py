"""Each side of a migration, opened by what its place says it is."""

from __future__ import annotations

from holdfast.storage.migrating.labels import Label
from holdfast.storage.migrating.ports import Look, Place, Source, Target

__all__ = ["open_source", "open_target"]


def open_source(place: Place) -> Source:
    """To be read.  Raises NoDatabaseError, SchemaError, StorageError."""
    if place.backend == "postgresql":
        from holdfast.storage.migrating.postgresql_source import PostgresqlSource

        return PostgresqlSource(place)
    from holdfast.storage.migrating.sqlite_source import SqliteSource

    return SqliteSource(place)


def open_target(place: Place, label: Label, look: Look | None = None) -> Target:
    """To be filled, labelled as being so.  Raises SwapError when it is not empty, StorageError.

    ``look``: it is to be gone on with, if that raises nothing; else it is emptied.
    """
    if place.backend == "postgresql":
        from holdfast.storage.migrating.postgresql_target import PostgresqlTarget

        return PostgresqlTarget(place, label, look=look)
    from holdfast.storage.migrating.sqlite_target import SqliteTarget

    return SqliteTarget(place, label, look)
