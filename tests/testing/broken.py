"""A daemon that breaks its promises in one way, on purpose: ``python -m tests.testing.broken ...``.

Which way is in the environment.  What cannot see that is no oracle.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from holdfast.storage.marks import Marks, SenderState
from holdfast.storage.records import Origin
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.faults.__main__ import main

WAY: Final = "HOLDFAST_TEST_BROKEN"


def acknowledge_before_commit() -> None:
    """What a transaction did is committed at the beginning of the next one."""
    transact = SqliteDatabase._transact

    def late(self: SqliteDatabase, work: Callable[[], Any]) -> Any:
        connection: Any = self._connection
        if connection.in_transaction:
            connection.execute("COMMIT")
        execute = connection.execute

        class Late:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            def execute(self, sql: str, *args: Any) -> Any:
                return None if sql == "COMMIT" else execute(sql, *args)

        self._connection = Late()  # type: ignore[assignment]
        try:
            return transact(self, work)
        finally:
            self._connection = connection

    SqliteDatabase._transact = late  # type: ignore[method-assign]


def skip_the_marks() -> None:
    """What comes again is stored again."""
    known = Marks.state

    def state(self: Marks, origin: Origin, *, gaps: bool = False) -> SenderState:
        found = known(self, origin, gaps=gaps)
        if origin.stream == "log" and origin.first <= found.number:
            found.number = origin.first - 1
        return found

    Marks.state = state  # type: ignore[method-assign]


WAYS: Final = {
    "early": acknowledge_before_commit,
    "marks": skip_the_marks,
}

if __name__ == "__main__":
    WAYS[os.environ[WAY]]()
    main()
