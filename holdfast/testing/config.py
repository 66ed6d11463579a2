"""The config file of a daemon under test: what the test says, and behind it a profile.

The profile has tests kill more, and wait less, than the defaults of a daemon allow.
"""

from __future__ import annotations

import copy
import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from holdfast.errors import InvalidInputError
from holdfast.testing.targets import import_path, target_of

__all__ = ["PROFILE", "Agents", "Config", "config_text", "database_name"]

# TOML's text, a file of it, or what it would be decoded to.
Config = str | Path | Mapping[str, Any]
# By name: a class, "module:Class", or a table of [agents.NAME] whose "class" is either.
Agents = Mapping[str, type | str | Mapping[str, Any]]

SUPERVISORS: Final = ("root", "state", "agents")  # in every tree, named in the config or not
# A thousand restarts, 20 ms apart from the second on.
_PATIENT: Final[Mapping[str, Any]] = {
    "max_restarts": 1000,
    "backoff": 0.02,
    "backoff_factor": 1.0,
}
# A table that the config has too is completed; its own keys win.  "*" is every supervisor.
PROFILE: Final[Mapping[str, Any]] = {"daemon": {"name": "test"}, "supervisors": {"*": _PATIENT}}


def config_text(config: Config | None, agents: Agents | None, profile: Mapping[str, Any]) -> str:
    """The file's text.  A text that is not TOML, or complete as it is, is left as it is.

    Raises InvalidInputError for what TOML, or an agent's process, could not have.
    """
    text = _text_of(config)
    try:
        given = tomllib.loads(text) if text is not None else dict(config or {})  # type: ignore[arg-type] # a mapping
    except tomllib.TOMLDecodeError:
        if agents:
            raise InvalidInputError("config is not TOML: agents cannot be added to it") from None
        return text or ""  # the daemon says where it is wrong
    document = copy.deepcopy(given)
    for name, agent in (agents or {}).items():
        table = document.setdefault("agents", {}).setdefault(name, {})
        table |= dict(agent) if isinstance(agent, Mapping) else {"class": agent}
    for table in _tables(document, "agents"):
        _locate(table)
    _complete(document, profile)
    return text if text is not None and document == given else _toml(document)


def database_name(text: str) -> str:
    """The database below the data directory.

    Raises InvalidInputError for an absolute path: a test would write to what is not its own.
    """
    try:
        storage = tomllib.loads(text).get("storage", {})
    except tomllib.TOMLDecodeError:
        storage = {}
    path = storage.get("path", "holdfast.db") if isinstance(storage, dict) else ""
    if isinstance(path, str) and os.path.isabs(path):
        raise InvalidInputError(
            f"[storage] path = {path!r}: a test keeps its database in its own folder: expected a "
            "relative path"
        )
    return path if isinstance(path, str) else ""


def _text_of(config: Config | None) -> str | None:
    if isinstance(config, Path):
        return config.read_text(encoding="utf-8")
    return config if isinstance(config, str) else None


def _tables(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    tables = document.get(kind, {})
    return [table for table in tables.values() if isinstance(table, dict)] if tables else []


def _locate(agent: dict[str, Any]) -> None:
    """Name the agent's class, and say where: as the test finds it, unless the table says more.

    Relative directories are those of the test, whose working directory the daemon does not have.
    """
    given = [os.path.abspath(entry) for entry in agent.get("python_path", [])]
    if isinstance(agent.get("class"), type):
        agent["class"], found = target_of(agent["class"])
        given = list(dict.fromkeys([*given, *found]))
    elif not given:
        given = list(dict.fromkeys([*import_path(), os.getcwd()]))
    agent["python_path"] = given


def _complete(document: dict[str, Any], profile: Mapping[str, Any]) -> None:
    for kind, content in profile.items():
        if not isinstance(document.setdefault(kind, {}), dict):
            continue  # the daemon says what is wrong with it
        everyone = {}
        if kind == "supervisors" and "*" in content:
            names = dict.fromkeys((*SUPERVISORS, *document[kind]))
            everyone = dict.fromkeys(names, content["*"])
        for key, value in {**content, **everyone}.items():
            if key == "*":
                continue
            if not isinstance(value, Mapping):
                document[kind].setdefault(key, value)
            elif isinstance(table := document[kind].setdefault(key, {}), dict):
                document[kind][key] = {
                    **table,
                    **{k: v for k, v in value.items() if k not in table},
                }


def _toml(document: Mapping[str, Any]) -> str:
    """Only what a config has: tables, and tables of tables; what is deeper is inline."""
    lines: list[str] = []
    for kind, content in document.items():
        if not isinstance(content, Mapping):
            lines.insert(0, f"{_key(kind)} = {_value(content, kind)}")
            continue
        tables = {k: v for k, v in content.items() if isinstance(v, Mapping)}
        plain = {k: v for k, v in content.items() if k not in tables}
        if plain or not tables:
            lines += ["", f"[{_key(kind)}]", *_lines(plain, kind)]
        for name, table in tables.items():
            where = f"{kind}.{name}"
            lines += ["", f"[{_key(kind)}.{_key(name)}]", *_lines(table, where)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], where: str) -> list[str]:
    return [f"{_key(key)} = {_value(value, f'[{where}] {key}')}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key, "a key")


def _value(value: object, where: str) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case date() | time():
            return value.isoformat()
        case os.PathLike():
            return _value(os.fspath(value), where)
        case list() | tuple():
            return f"[{', '.join(_value(item, where) for item in value)}]"
        case Mapping():
            inner = [f"{_key(key)} = {_value(item, where)}" for key, item in value.items()]
            return f"{{ {', '.join(inner)} }}"
        case _:
            raise InvalidInputError(
                f"{where} = {value!r}: expected what TOML has: texts, numbers, booleans, dates, "
                "lists and tables"
            )
