"""Which table carries out which command: the one place where the concerns of a database meet."""

from __future__ import annotations

from holdfast.clock import Clock
from holdfast.storage.once import Handler
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.postgresql.state import StateTables
from holdfast.storage.state_records import ChangeState

__all__ = ["forget_sender", "handlers_of"]


def handlers_of(
    connection: Connection, daemon: str, *, events: EventTable, clock: Clock
) -> dict[type, Handler]:
    """By type of command.  ``clock`` dates what a command changes without saying when."""
    state = StateTables(connection, daemon, events=events, clock=clock)
    return {
        ChangeState: state.change,
    }  # fmt: skip


def forget_sender(connection: Connection, daemon: str, sender: str, incarnation: str) -> None:
    """This life of a sender is over: what it held is free."""
