"""What ``hub.state.batch`` takes: changes to relational state as values."""

from __future__ import annotations

from holdfast.actors.state_changes import (
    Change,
    create,
    define_type,
    delete,
    delete_queue,
    pop,
    push,
    relate,
    unrelate,
    update,
)

__all__ = [
    "Change",
    "create",
    "define_type",
    "delete",
    "delete_queue",
    "pop",
    "push",
    "relate",
    "unrelate",
    "update",
]
