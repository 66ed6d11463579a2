"""From the config file's tables to the tree of specs that the root supervises."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, cast

from holdfast.errors import ConfigError
from holdfast.storage.retention_records import Retention, Rule
from holdfast.supervisors.config import parse_agent, parse_supervisor
from holdfast.supervisors.memory_folder import memory_folder
from holdfast.supervisors.settings import (
    ActorSettings,
    CheckpointsSettings,
    ChildSettings,
    RetentionSettings,
    Settings,
    SupervisorSettings,
)
from holdfast.supervisors.spec import ChildSpec, Environment, SupervisorSpec

__all__ = ["added_child", "environment_of", "root_spec"]

COMMITTED_WITHIN: Final = 2.0  # seconds; the participants have their own time before


def root_spec(settings: Settings) -> SupervisorSpec:
    """The root's spec with everything below it."""
    return _supervisor(settings, "root")


def environment_of(settings: Settings, *, data_dir: Path, run_dir: Path) -> Environment:
    """What all processes of the daemon share; the directories are absolute."""
    return Environment(
        daemon=settings.daemon.name,
        data_dir=str(data_dir),
        run_dir=str(run_dir),
        database=_file_of(settings, data_dir),
        backend=settings.storage.backend,
        dsn=settings.storage.dsn,
        outage_timeout=_patience(settings),
        durability=settings.storage.durability,
        sync_interval=settings.storage.sync_interval,
        payload_bytes=settings.storage.payload_bytes,
        retention=_retention_of(settings.retention),
        retention_period=settings.retention.period,
        full_text=settings.storage.full_text,
        log_level=settings.daemon.log_level,
        shutdown=settings.supervisors["root"].shutdown,
        log_dir=str(data_dir / settings.daemon.log_dir),
        log_max_bytes=settings.daemon.log_max_bytes,
        log_backups=settings.daemon.log_backups,
        farewell=_farewell(settings),
        report_to="log",
    )


def _file_of(settings: Settings, data_dir: Path) -> str:
    """Where an SQLite database is; in memory, in a folder that is told by the data's."""
    if settings.storage.backend == "memory":
        return str(memory_folder(data_dir) / "holdfast.db")
    return str(data_dir / settings.storage.path)


def _patience(settings: Settings) -> float:
    """Seconds that a command waits for a server that does not answer."""
    return settings.storage.outage_timeout if settings.storage.outage == "wait" else 0.0


def _retention_of(settings: RetentionSettings) -> Retention:
    """The rules, but for those at the end that keep everything."""
    tables = [*settings.types.items(), ("*", settings)]
    rules = [Rule(glob, each.max_age, each.max_count, each.max_bytes) for glob, each in tables]
    while rules and rules[-1] == Rule(rules[-1].types):
        rules.pop()
    return Retention(tuple(rules), settings.ignore_subscribers)


def _farewell(settings: Settings) -> float:
    """Seconds for the checkpoint before the stop."""
    checkpoints = cast(CheckpointsSettings, settings.actors["checkpoints"])
    return checkpoints.collect_timeout + COMMITTED_WITHIN if checkpoints.on_stop else 0.0


def added_child(
    name: str, table: dict[str, Any], *, kind: Literal["agent", "supervisor"]
) -> ChildSpec:
    """The spec of a child that a message adds, from a table as in a config.  Raises ConfigError."""
    where = f"start_child {name!r}"
    if "parent" in table:
        raise ConfigError(f"{where}: parent: its parent is the supervisor that is asked")
    if kind == "agent":
        agent = parse_agent(name, table, file=where)
        return _child_of(name, agent, where=where)
    supervisor = parse_supervisor(name, table, file=where)
    return _nested(name, supervisor, SupervisorSpec.of(supervisor, ()), where=where)


def _supervisor(settings: Settings, name: str) -> SupervisorSpec:
    """Actors first, then supervisors, then agents: what others rely on comes up early."""
    children = [
        _child(settings, f"actors.{actor}", actor, table)
        for actor, table in settings.actors.items()
        if table.parent == name
    ]
    children += [
        _nested(
            nested,
            table,
            _supervisor(settings, nested),
            where=f"[supervisors.{nested}] in {settings.file}",
        )
        for nested, table in settings.supervisors.items()
        if table.parent == name and nested != "root"
    ]
    children += [
        _child(settings, f"agents.{agent}", agent, table)
        for agent, table in settings.agents.items()
        if table.parent == name
    ]
    return SupervisorSpec.of(settings.supervisors[name], tuple(children))


def _child(settings: Settings, table_name: str, name: str, table: ActorSettings) -> ChildSpec:
    return _child_of(name, table, where=f"[{table_name}] in {settings.file}")


def _child_of(name: str, table: ActorSettings, *, where: str) -> ChildSpec:
    return ChildSpec(
        id=name,
        run=cast(ChildSettings, table),  # the union of ActorSettings' subclasses
        restart=table.restart,
        significant=table.significant,
        shutdown=table.shutdown,
        start_timeout=table.start_timeout,
        where=where,
    )


def _nested(name: str, table: SupervisorSettings, spec: SupervisorSpec, *, where: str) -> ChildSpec:
    return ChildSpec.supervisor(
        name,
        spec,
        where=where,
        restart=table.restart,
        significant=table.significant,
        shutdown=table.shutdown,
    )
