"""What another config means for the tree that runs: a plan, line by line, and what is refused.

Nothing is touched, and nothing kept.  No secret is in a plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from holdfast.actors.messages.reload import Action, KeyChange, PlanLine
from holdfast.supervisors.config import SUPERVISORS
from holdfast.supervisors.in_place import (
    ON_DATABASE,
    STORAGE,
    changed_keys,
    is_moved,
    is_swap,
    takes_in_place,
)
from holdfast.supervisors.secrets import masked
from holdfast.supervisors.settings import ActorSettings, AgentSettings, Settings
from holdfast.supervisors.spec import Environment

__all__ = ["Plan", "plan_of"]

STOP_FIRST: Final = "stop the daemon, and start it with the changed file"
_NEED_LIFE: Final = {"durability", "full_text", "outage", "outage_timeout"}  # of [storage]
ALWAYS_THERE: Final = tuple(f"supervisors.{name}" for name in SUPERVISORS)
# By table and key: what a reload cannot change, and what to do instead.
_FIXED: Final[dict[tuple[str, str], str]] = {
    ("daemon", "name"): f"what is stored is of that name: {STOP_FIRST}",
    ("daemon", "data_dir"): "stop the daemon, move the directory, and start it again",
    ("daemon", "run_dir"): f"every client looks for the daemon there: {STOP_FIRST}",
    ("daemon", "log_dir"): f"the files that are there are open: {STOP_FIRST}",
    ("actors.files", "path"): "stop the daemon, move the folder, and start it again",
}
_MOVE: Final = "nobody moves as it runs: reload without it, and then with it in its new place"
_STAY: Final = "it cannot be taken out: " + STOP_FIRST
# Between the scheme and the host of a URL, whatever stands there, and in a connection string.
_USER: Final = re.compile(r"(?<=://)\S*@")
_PASSWORD: Final = re.compile(
    r"(password\s*=\s*)('(?:[^'\\]|\\.)*'?|(?:\\.|[^\s\\])+)", re.IGNORECASE | re.DOTALL
)

Kind = Literal["daemon", "database", "supervisor", "actor", "agent"]


class Plan(msgspec.Struct, frozen=True):
    """The lines, and one refusal for each change that is not possible."""

    lines: list[PlanLine]
    refusals: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return all(line.action == "unchanged" for line in self.lines)

    @property
    def is_moved(self) -> bool:
        """Whether the data moves to another database."""
        return bool(self.names("database", "swap"))

    @property
    def is_readdressed(self) -> bool:
        """Whether the same database is reached by another address."""
        (line,) = [line for line in self.lines if line.kind == "database"]
        return not self.is_moved and any(change.key == "dsn" for change in line.changes)

    def names(self, kind: Kind, *actions: Action) -> list[str]:
        """Of which the plan says that."""
        return [line.name for line in self.lines if line.kind == kind and line.action in actions]


def plan_of(
    old: Settings,
    new: Settings,
    before: Environment,
    after: Environment,
    *,
    is_same: bool = False,
) -> Plan:
    """From one config to another; the environments are what became, or would become, of them.

    ``is_same``: though they name two databases, that is one.
    """
    return _Planning(old, new, before, after, is_same).plan()


class _Planning:
    def __init__(
        self,
        old: Settings,
        new: Settings,
        before: Environment,
        after: Environment,
        is_same: bool,
    ) -> None:
        self._old, self._new = old, new
        self._before, self._after = before, after
        is_another = is_moved(old.storage, new.storage)
        self._is_moved = is_another and not is_same
        self._are_held = ON_DATABASE if is_another else ()
        self._lines: list[PlanLine] = []
        self._refusals: list[str] = []

    def plan(self) -> Plan:
        """Each part of the tree once, in the order of the tables."""
        self._plan_daemon()
        self._plan_database()
        old, new = self._old, self._new
        self._plan_tables("supervisor", "supervisors", old.supervisors, new.supervisors)
        self._plan_tables("actor", "actors", old.actors, new.actors)
        self._plan_tables("agent", "agents", old.agents, new.agents)
        return Plan(self._lines, self._refusals)

    def _plan_daemon(self) -> None:
        keys = changed_keys(self._old.daemon, self._new.daemon)
        for name in ("data_dir", "run_dir", "log_dir"):  # an option of `start` wins over them
            if name in keys and getattr(self._before, name) == getattr(self._after, name):
                keys.remove(name)
        changes = list(_changes(self._old.daemon, self._new.daemon, keys))
        self._refuse_fixed("daemon", changes)
        self._add("daemon", self._new.daemon.name, changes, "in place")

    def _plan_database(self) -> None:
        """The keys that make another database of it; the others are those of who takes them."""
        old, new = self._old.storage, self._new.storage
        keys = [key for key in changed_keys(old, new) if key not in STORAGE]
        changes = list(_changes(old, new, keys))
        self._add("database", "database", changes, "swap" if self._is_moved else "in place")

    def _plan_tables(
        self,
        kind: Kind,
        where: str,
        old: Mapping[str, msgspec.Struct],
        new: Mapping[str, msgspec.Struct],
    ) -> None:
        for name, table in new.items():
            if name not in old:
                self._lines.append(PlanLine(kind, name, "add"))
                continue
            changes = list(_changes(old[name], table, changed_keys(old[name], table)))
            self._refuse_fixed(f"{where}.{name}", changes)
            action: Action = "in place"
            if isinstance(table, ActorSettings):
                action = _action(table, [change.key for change in changes])
                action = self._with_storage(name, changes, action)
            if name in self._are_held:  # whatever its own table says
                self._lines.append(PlanLine(kind, name, action, changes))
            else:
                self._add(kind, name, changes, action)
        self._lines += [PlanLine(kind, name, "remove") for name in old if name not in new]

    def _with_storage(self, name: str, changes: list[KeyChange], action: Action) -> Action:
        """What the actor takes of [storage] and [retention], too."""
        keys = changed_keys(self._old.storage, self._new.storage)
        taken = [key for key in keys if name in STORAGE.get(key, ())]
        changes += _changes(self._old.storage, self._new.storage, taken, within="storage.")
        if name == "writer":
            old, new = self._old.retention, self._new.retention
            changes += _changes(old, new, changed_keys(old, new), within="retention.")
            if old.types == new.types and list(old.types) != list(new.types):  # the first decides
                orders = (_shown(list(each.types)) for each in (old, new))
                changes.append(KeyChange("retention.types", *orders))
        needs_life = _NEED_LIFE & set(taken) or name in self._are_held
        return "restart" if needs_life and action == "in place" else action

    def _refuse_fixed(self, table: str, changes: list[KeyChange]) -> None:
        for change in changes:
            advice = _FIXED.get((table, change.key))
            if change.key == "parent":
                is_fixed = table.startswith("actors.") or table in ALWAYS_THERE
                advice = _STAY if is_fixed else _MOVE
            if advice is not None:
                shown = f"[{table}] {change.key} = {change.new}"
                self._refusals.append(
                    f"{self._new.file}: {shown}: expected {change.old}, as it is: {advice}"
                )

    def _add(self, kind: Kind, name: str, changes: list[KeyChange], action: Action) -> None:
        self._lines.append(PlanLine(kind, name, action if changes else "unchanged", changes))


def _action(table: ActorSettings, keys: list[str]) -> Action:
    tops = [key.partition(".")[0] for key in keys]
    names = {"class": "target"}
    tops = [names.get(key, key) for key in tops]
    if any(is_swap(table, key) for key in tops if key != "parent"):
        return "swap"
    return "in place" if all(takes_in_place(table, key) for key in tops) else "restart"


def _changes(
    old: msgspec.Struct, new: msgspec.Struct, keys: list[str], *, within: str = ""
) -> Iterator[KeyChange]:
    """The keys as the file has them; a table in a table key by key."""
    for name in keys:
        key = f"{within}{_in_file(new, name)}"
        before, after = getattr(old, name, None), getattr(new, name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _inner(key, before, after, is_secret=isinstance(new, AgentSettings))
        else:
            yield KeyChange(key, _shown(before), _shown(after))


def _inner(
    key: str, old: dict[str, Any], new: dict[str, Any], *, is_secret: bool
) -> Iterator[KeyChange]:
    for name in dict.fromkeys((*old, *new)):
        if name not in old or name not in new or old[name] != new[name]:
            shown = [
                _shown(masked(table[name]) if is_secret else table[name]) if name in table else ""
                for table in (old, new)
            ]
            yield KeyChange(f"{key}.{name}", *shown)


def _in_file(table: msgspec.Struct, name: str) -> str:
    return next(field.encode_name for field in msgspec.structs.fields(table) if field.name == name)


def _shown(value: object) -> str:
    """As TOML would have it, nearly, and without a password."""
    if value is None:
        return ""
    if isinstance(value, str):
        value = _PASSWORD.sub(r"\1...", _USER.sub("...@", value))
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
