"""One TOML file in, frozen and checked values out; nothing is touched meanwhile.

An error names the file, the table, the key, the value and what is accepted.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from holdfast.errors import ConfigError
from holdfast.supervisors.accepting import as_toml, fields_of, hints_of, in_words, is_plain
from holdfast.supervisors.http import with_http
from holdfast.supervisors.metrics import with_metrics
from holdfast.supervisors.modules import is_importable
from holdfast.supervisors.otel import with_otel
from holdfast.supervisors.secrets import check_references, masked
from holdfast.supervisors.session_backends import check_session_backend
from holdfast.supervisors.settings import (
    ACTORS,
    OPTIONAL_ACTORS,
    ActorSettings,
    AgentSettings,
    DaemonSettings,
    HttpSettings,
    LogSettings,
    MetricsSettings,
    OtelSettings,
    RetentionBounds,
    RetentionSettings,
    SessionsSettings,
    Settings,
    StorageSettings,
    SupervisorSettings,
)
from holdfast.supervisors.spec import SupervisorSpec
from holdfast.supervisors.value_kinds import NAME, NAME_IN_WORDS

__all__ = ["load_settings", "parse_agent", "parse_settings", "parse_supervisor"]

TABLES: Final = (
    "daemon",
    "storage",
    "retention",
    "metrics",
    "otel",
    "http",
    "supervisors",
    "actors",
    "agents",
)
SUPERVISORS: Final = ("root", "state", "agents")  # always there, in start order
MOST: Final = 1024 * 1024  # bytes of a config; TOML's reader takes its time
LOG_LEAST: Final = 64 * 1024  # bytes; two of the longest lines

_Table = TypeVar("_Table", bound=msgspec.Struct)


def load_settings(path: Path) -> Settings:
    """Read and check a config file.  Raises ConfigError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST + 1)
        if len(data) > MOST:
            raise ConfigError(f"{path}: over {MOST} bytes: no config is so large")
        text = data.decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start}): save it as UTF-8") from error
    return parse_settings(text, file=str(path))


def parse_settings(text: str, *, file: str) -> Settings:
    """Check the text of a config file; errors call it ``file``.  Raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        line = int(found[1]) if found else text.count("\n") + 1  # else: at end of document
        raise ConfigError(f"{file}: line {line}: not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deep") from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise ConfigError(f"{file}: {error}") from error
    return with_otel(with_http(with_metrics(_Document(document, file).settings())))


def parse_agent(name: str, table: dict[str, Any], *, file: str) -> AgentSettings:
    """One ``[agents.NAME]`` table that stands in no file.  Raises ConfigError."""
    return _Document({"agents": {name: table}}, file).agents()[name]


def parse_supervisor(name: str, table: dict[str, Any], *, file: str) -> SupervisorSettings:
    """One ``[supervisors.NAME]`` table that stands in no file.  Raises ConfigError."""
    if name in SUPERVISORS:
        raise ConfigError(f"{file}: expected another name: every tree has a {name!r}")
    return _Document({"supervisors": {name: table}}, file).supervisors()[name]


class _Document:
    """A parsed file on its way to Settings; holds what an error needs to say where it is."""

    def __init__(self, document: dict[str, Any], file: str) -> None:
        self._document = document
        self._file = file

    def settings(self) -> Settings:
        """The checked whole."""
        for table, content in self._document.items():
            if table not in TABLES:
                raise self._unknown(f"[{table}]", "table", table, TABLES)
            if not isinstance(content, dict):
                raise self._error(f"{table} = {as_toml(content)}", f"a table, [{table}]")
        settings = Settings(
            file=self._file,
            daemon=self._daemon(),
            storage=self._storage(),
            retention=self._retention(),
            supervisors=self.supervisors(),
            actors=self._actors(),
            agents=self.agents(),
            metrics=self._decode("metrics", self._document.get("metrics", {}), MetricsSettings),
            otel=self._decode("otel", self._document.get("otel", {}), OtelSettings),
            http=self._decode("http", self._document.get("http", {}), HttpSettings),
        )
        self._check_tree(settings)
        return settings

    def _daemon(self) -> DaemonSettings:
        daemon = self._decode("daemon", self._document.get("daemon", {}), DaemonSettings)
        if 0 < daemon.log_max_bytes < LOG_LEAST:
            shown = f"[daemon] log_max_bytes = {daemon.log_max_bytes}"
            raise self._error(shown, f"bytes >= {LOG_LEAST}, or 0 for files without a bound")
        return daemon

    def _storage(self) -> StorageSettings:
        """A key that another backend would not look at is a mistake."""
        storage = self._decode("storage", self._document.get("storage", {}), StorageSettings)
        shown = f'[storage] backend = "{storage.backend}"'
        if storage.backend == "postgresql":
            if not storage.dsn:
                accepted = 'dsn, as in dsn = "postgresql://user@host/database"'
                raise self._error(shown, f"{accepted}, or a reference to one")
            check_references(storage.dsn, f"{self._file}: [storage] dsn")
        if storage.backend == "memory" and storage.durability == "disk":
            raise self._error(f'{shown} with durability = "disk"', '"committed": it has no disk')
        if storage.backend != "postgresql" and storage.dsn:
            raise self._error(f"{shown} with dsn", 'backend = "postgresql", or no dsn')
        return storage

    def _retention(self) -> RetentionSettings:
        """One rule for each glob, and one for all other types, which has no glob of its own."""
        table = dict(self._document.get("retention", {}))
        types = table.pop("types", {})
        if not isinstance(types, dict):
            raise self._error(f"[retention] types = {as_toml(types)}", '[retention.types."GLOB"]')
        bounds = {}
        for glob, content in types.items():
            where = f"retention.types.{as_toml(glob)}"
            if not isinstance(content, dict):
                raise self._error(f"[{where}] = {as_toml(content)}", "a table")
            if not glob or glob == "*":
                raise self._error(f"[{where}]", "a glob of some types; [retention] is for all")
            bounds[glob] = self._decode(where, content, RetentionBounds)
        settings = self._decode("retention", table, RetentionSettings)
        return msgspec.structs.replace(settings, types=bounds)

    def supervisors(self) -> dict[str, SupervisorSettings]:
        """The supervisors of the file, and those that are always there."""
        tables = self._tables("supervisors")
        for name in tables:
            if name in self._actor_names:
                raise self._error(f"[supervisors.{name}]", f"another name: {name!r} is an actor's")
        decoded = {}
        for name in dict.fromkeys((*SUPERVISORS, *tables)):
            where = f"supervisors.{name}"
            decoded[name] = self._decode(where, tables.get(name, {}), SupervisorSettings)
            self._check_sense(where, decoded[name])
        if "parent" in tables.get("root", {}):
            raise self._error("[supervisors.root] parent", "no parent: the root has none")
        return decoded

    def _check_sense(self, where: str, table: SupervisorSettings) -> None:
        try:
            SupervisorSpec.of(table, ())
        except ConfigError as error:
            raise ConfigError(f"{self._file}: [{where}] {error}") from None

    def _actors(self) -> dict[str, ActorSettings]:
        tables = self._tables("actors")
        known: dict[str, type[ActorSettings]] = {**ACTORS, **OPTIONAL_ACTORS}
        for name in tables:
            if name not in known:
                raise self._unknown(f"[actors.{name}]", "actor", name, known)
        decoded = {
            name: self._decode(f"actors.{name}", tables.get(name, {}), type_)
            for name, type_ in known.items()
        }
        for name, actor in decoded.items():
            if actor.restart != "permanent":
                raise self._error(
                    f"[actors.{name}] restart = {as_toml(actor.restart)}",
                    '"permanent": senders keep what it has not acknowledged, for as long as it is '
                    "down; only agents may end for good",
                )
        log = decoded["log"]
        assert isinstance(log, LogSettings)
        self._check_thresholds(log)
        sessions = decoded["sessions"]
        assert isinstance(sessions, SessionsSettings)
        check_session_backend(sessions, f"{self._file}: [actors.sessions]")
        return {name: actor for name, actor in decoded.items() if name in self._actor_names}

    @property
    def _actor_names(self) -> set[str]:
        """Of those that there are: a name that no actor has is free."""
        tables = self._tables("actors")
        return {
            *ACTORS,
            *(name for name in OPTIONAL_ACTORS if tables.get(name, {}).get("enabled") is True),
        }

    def _check_thresholds(self, log: LogSettings) -> None:
        """Those that are not 0, in their order; each one within what may wait at all."""
        lowest, name = 0, ""
        for key, value in (
            ("sync_at", log.sync_at),
            ("drop_at", log.drop_at),
            ("flush_at", log.flush_at),
        ):
            shown = f"[actors.log] {key} = {value}"
            if key == "flush_at" and value and not log.drop_at:
                raise self._error(shown, "drop_at to be set as well, at most as high")
            if key == "drop_at" and value == 1:
                raise self._error(shown, "0, or events > 1: every single one would be dropped")
            if value > log.mailbox_limit:
                accepted = f"at most mailbox_limit, {log.mailbox_limit}: more never wait"
                raise self._error(shown, accepted)
            if 0 < value < lowest:
                raise self._error(shown, f"0, or events >= {name}, which is {lowest}")
            if value:
                lowest, name = value, key

    def agents(self) -> dict[str, AgentSettings]:
        """The agents of the file."""
        decoded = {}
        for name, content in self._tables("agents").items():
            where = f"agents.{name}"
            if name in self._actor_names:
                raise self._error(f"[{where}]", f"another name: {name!r} is an actor's")
            if name in SUPERVISORS or name in self._document.get("supervisors", {}):
                raise self._error(f"[{where}]", f"another name: {name!r} is a supervisor's")
            agent = decoded[name] = self._decode(where, content, AgentSettings)
            self._check_options(where, agent)
            self._check_environment(where, agent.env)
            for key, table in (("env", agent.env), ("options", agent.options)):
                check_references(table, f"{self._file}: [{where}] {key}")
            self._check_module(where, agent)
        return decoded

    def _tables(self, kind: str) -> dict[str, dict[str, Any]]:
        tables: dict[str, Any] = self._document.get(kind, {})
        for name, content in tables.items():
            if not isinstance(content, dict):
                wanted = f"a table, [{kind}.NAME]"
                raise self._error(f"[{kind}] {name} = {as_toml(content)}", wanted)
            if not re.search(NAME, name):
                raise self._error(f"[{kind}.{as_toml(name)}]", NAME_IN_WORDS)
        return tables

    def _decode(self, where: str, content: dict[str, Any], type_: type[_Table]) -> _Table:
        """One table, key by key: msgspec names a path, this names the key and its value."""
        hints = hints_of(type_)
        fields = fields_of(type_)
        values: dict[str, object] = {}
        for key, value in content.items():
            # The texts of an agent's table may be secrets, and a URL or DSN may have one in it.
            shown = as_toml(masked(value) if _is_secret(where, key, value, fields) else value)
            if key not in fields:
                raise self._unknown(f"[{where}] {key} = {shown}", "key", key, fields)
            hint = hints[fields[key].name]
            try:
                if isinstance(value, float) and not math.isfinite(value):
                    raise msgspec.ValidationError
                values[fields[key].name] = msgspec.convert(value, hint)
            except msgspec.ValidationError:
                raise self._error(f"[{where}] {key} = {shown}", in_words(hint)) from None
        for key, field in fields.items():
            if field.required and key not in content:
                raise ConfigError(
                    f"{self._file}: [{where}] has no {key}: expected {key} = "
                    f"{in_words(hints[field.name])}"
                )
        return type_(**values)

    def _check_options(self, where: str, agent: AgentSettings) -> None:
        for key, value in agent.options.items():
            shown = f"[{where}] options.{key} = {as_toml(masked(value))}"
            if not key.isidentifier():
                raise self._error(shown, "the name of a keyword argument")
            if not is_plain(value):
                raise self._error(
                    shown,
                    "texts, finite numbers (integers of 64 bits), booleans, lists and tables; "
                    "write a date as a text",
                )

    def _check_environment(self, where: str, env: dict[str, str]) -> None:
        for key, value in env.items():
            if not key or "=" in key or "\0" in key + value:
                raise self._error(
                    f"[{where}] env.{as_toml(key)} = {as_toml(masked(value))}",
                    "a name without '=', and no NUL",
                )

    def _check_module(self, where: str, agent: AgentSettings) -> None:
        module = agent.target.partition(":")[0]
        path = [os.path.abspath(entry) for entry in agent.python_path]
        if not is_importable(module, path):
            searched = ", ".join([*path, "the installed packages"])
            raise self._error(
                f"[{where}] class = {as_toml(agent.target)}",
                f"a module that can be found: there is no {module!r} in {searched}; "
                "set python_path, or start in the directory of the module",
            )

    def _check_tree(self, settings: Settings) -> None:
        supervisors = settings.supervisors
        parents = {f"supervisors.{name}": table.parent for name, table in supervisors.items()}
        parents |= {f"actors.{name}": table.parent for name, table in settings.actors.items()}
        parents |= {f"agents.{name}": table.parent for name, table in settings.agents.items()}
        for where, parent in parents.items():
            if parent not in supervisors:
                accepted = f"a supervisor: {', '.join(supervisors)}"
                raise self._error(f"[{where}] parent = {as_toml(parent)}", accepted)
        for name in supervisors:
            seen = {name}
            at = name
            while at != "root":
                at = supervisors[at].parent
                if at in seen:
                    raise self._error(
                        f"[supervisors.{name}] parent = {as_toml(supervisors[name].parent)}",
                        "a supervisor that is not below it; this is a circle",
                    )
                seen.add(at)

    def _error(self, what: str, accepted: str) -> ConfigError:
        return ConfigError(f"{self._file}: {what}: expected {accepted}")

    def _unknown(self, what: str, kind: str, name: str, known: Any) -> ConfigError:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}"
        return ConfigError(f"{self._file}: {what}: unknown {kind}; {hint}")


def _is_secret(where: str, key: str, value: object, fields: dict[str, Any]) -> bool:
    if where.startswith("agents."):
        return key not in fields or isinstance(value, dict)
    return key in ("url", "dsn", "endpoint", "headers", "token")
