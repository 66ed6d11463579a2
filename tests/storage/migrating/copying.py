"""What every test of the end of a migration begins with."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Place
from holdfast.storage.ports import Database

Opens = Callable[[Place], Database]


def copied(moving: Migration) -> Migration:
    moving.prepare()
    while not moving.copy(1.0).is_done:
        pass
    return moving
