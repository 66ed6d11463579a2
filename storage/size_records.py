"""How large a database is, and how fast it grows.  Bytes, but where it says otherwise."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["DAY_US", "LEAST_US", "Sizes"]

DAY_US: Final = 86_400_000_000
# Younger than this a database does not say how much a day brings.
LEAST_US: Final = 600_000_000


class Sizes(msgspec.Struct, frozen=True, array_like=True):
    """``file`` and ``wal`` are what the two files hold, ``free`` what the first has without use.

    ``events`` are stored, ``deleted`` were by retention; ``events_per_day`` and
    ``bytes_per_day`` are those of the last day, of what is younger in proportion, before anything
    is deleted; 0 when nobody knows.  ``disk_free`` is what this user can still write there.

    ``version`` is that of what holds it, SQLite's library or the server; ``cautions`` are what its
    operator should know of, a sentence each.

    ``backend`` "postgresql" is a database on a server, of all daemons in it: ``path`` names it, and
    what is said of log, free room and disk is 0.
    """

    path: str
    file: int
    wal: int
    free: int
    events: int
    deleted: int
    events_per_day: int
    bytes_per_day: int
    disk_free: int
    disk_size: int
    backend: str = "sqlite"
    version: str = ""
    cautions: list[str] = []
