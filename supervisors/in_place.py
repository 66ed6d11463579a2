"""Which keys a running child takes without another life, and which none takes at all.

A key that is not named here needs another life: that is never wrong, only slower.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.supervisors.settings import (
    ActorSettings,
    ChildSettings,
    FilesSettings,
    SessionsSettings,
    StorageSettings,
    WriterSettings,
)
from holdfast.supervisors.spec import Environment, SupervisorSpec

__all__ = [
    "MOVING",
    "ON_DATABASE",
    "STORAGE",
    "changed_keys",
    "is_moved",
    "is_swap",
    "needs_another_life",
    "swaps",
    "takes_in_place",
]

# Those of the supervisor, and what the mailbox of every actor takes.
ALWAYS: Final = frozenset(
    {"restart", "significant", "shutdown", "start_timeout", "handler_timeout", "mailbox_limit"}
)
# Beyond those, by the tag of the table.
IN_PLACE: Final[dict[str, frozenset[str]]] = {
    "writer": frozenset(),
    "query": frozenset({"statement_timeout"}),
    "log": frozenset({"capacity", "sync_at", "drop_at", "flush_at"}),
    "sessions": frozenset(
        {
            "ttl",
            "ttl_jitter",
            "maxsize",
            "max_bytes",
            "store_max_sessions",
            "store_max_bytes",
            "cache_ttl",
            "cache_maxsize",
            "cache_max_bytes",
            "cache_refresh_ahead",
        }
    ),
    "checkpoints": frozenset({"interval", "on_stop", "collect_timeout", "keep"}),
    "files": frozenset({"max_bytes", "rotate_bytes", "rotate_daily", "open_files"}),
    "tracker": frozenset(
        {
            "max_requests",
            "max_bytes",
            "keep",
            "max_kept",
            "max_limiters",
            "max_waiting",
            "limits",
        }
    ),
    "gateway": frozenset({"max_clients", "max_line", "max_answer", "timeout", "grace"}),
    "agent": frozenset(),
}
# What of [storage] and [retention] concerns whom; a key that stands in none is the database itself.
STORAGE: Final[dict[str, tuple[str, ...]]] = {
    "durability": ("writer", "files"),
    "sync_interval": ("writer", "files"),
    "payload_bytes": ("writer",),
    "full_text": ("writer",),
    "outage": ("writer",),
    "outage_timeout": ("writer",),
}
# Of [storage], too: what the root alone goes by.
MOVING: Final = ("migrate", "hold_timeout", "resume_rows")
# Who has the database open.
ON_DATABASE: Final = ("writer", "query", "log", "sessions", "checkpoints")
# Of the environment: what the writer, and the files, learn when they begin.
_WRITERS: Final = ("database", "daemon", "durability", "full_text", "outage_timeout")
_FILES: Final = ("data_dir", "durability")


def changed_keys(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    """The names of the fields that differ, in their order."""
    return [
        name
        for name in new.__struct_fields__
        if name not in old.__struct_fields__ or getattr(old, name) != getattr(new, name)
    ]


def takes_in_place(table: ActorSettings, key: str) -> bool:
    """Whether the running actor takes the key of its own table."""
    tag = str(type(table).__struct_config__.tag)
    return key in ALWAYS or key in IN_PLACE[tag]


def needs_another_life(
    old: SupervisorSpec | ChildSettings,
    new: SupervisorSpec | ChildSettings,
    before: Environment,
    after: Environment,
) -> bool:
    """Whether a child has to be started again to be ``new``; a supervisor never has."""
    if isinstance(old, SupervisorSpec) or isinstance(new, SupervisorSpec):
        return False
    if any(not takes_in_place(new, key) for key in changed_keys(old, new)):
        return True
    learned: tuple[str, ...] = ()
    if isinstance(new, WriterSettings):
        learned = _WRITERS
    elif isinstance(new, FilesSettings):
        learned = _FILES
    return any(getattr(before, name) != getattr(after, name) for name in learned)


def swaps(old: SupervisorSpec | ChildSettings, new: SupervisorSpec | ChildSettings) -> bool:
    """Whether an actor keeps its state elsewhere from then on."""
    return isinstance(old, SessionsSettings) and any(
        is_swap(old, key) for key in changed_keys(old, new)
    )


def is_moved(old: StorageSettings, new: StorageSettings) -> bool:
    """Whether they name two databases."""
    if old.backend != new.backend:
        return True
    return {
        "sqlite": old.path != new.path,
        "memory": False,
        "postgresql": old.dsn != new.dsn,
    }[old.backend]


def is_swap(table: ActorSettings, key: str) -> bool:
    """Whether a change of the key is one of what the actor keeps its state in."""
    return isinstance(table, SessionsSettings) and not (
        takes_in_place(table, key) or key in ("memory_max", "nofile", "nice")
    )
