"""What is said of an error of the server: its message and the constraint, never a stored value.

PostgreSQL's own text goes on with DETAIL, CONTEXT and the failing row, which hold what is stored.
Errors travel to callers, logs and events, and so do the tracebacks of those they came of: cut
here, once, as they are raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

__all__ = ["said_of", "without_values"]

# "invalid input syntax for type bigint: "..."": of class 22, what is in quotes may be the value,
# which may have quotes in it.  Of other classes it is the name of a table, column or constraint.
_DATA: Final = "22"
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)


def said_of(error: psycopg.Error) -> str:
    """One line, without any value."""
    diagnosis = error.diag
    said = diagnosis.message_primary
    if said is None:  # not the server's: of psycopg or libpq, which know of no row
        return " ".join(str(error).split())
    if (diagnosis.sqlstate or "").startswith(_DATA):
        said = _QUOTED.sub('"..."', said)
    constraint = diagnosis.constraint_name
    if constraint and constraint not in said:
        said = f"{said} (constraint {constraint})"
    return " ".join(said.split())


@contextmanager
def without_values() -> Iterator[None]:
    """What psycopg raises in it has no more text than ``said_of``, wherever it is printed."""
    try:
        yield
    except psycopg.Error as error:
        error.args = (said_of(error),)
        raise
