"""From the config file's tables to the tree of specs that the root supervises."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from holdfast.supervisors.settings import ActorSettings, ChildSettings, Settings
from holdfast.supervisors.spec import ChildSpec, Environment, SupervisorSpec

__all__ = ["environment_of", "root_spec"]


def root_spec(settings: Settings) -> SupervisorSpec:
    """The root's spec with everything below it."""
    return _supervisor(settings, "root")


def environment_of(settings: Settings, *, data_dir: Path, run_dir: Path) -> Environment:
    """What all processes of the daemon share; the directories are absolute."""
    return Environment(
        daemon=settings.daemon.name,
        data_dir=str(data_dir),
        run_dir=str(run_dir),
        database=str(data_dir / settings.storage.path),
        durability=settings.storage.durability,
        sync_interval=settings.storage.sync_interval,
        log_level=settings.daemon.log_level,
        log_dir=str(data_dir / settings.daemon.log_dir),
        log_max_bytes=settings.daemon.log_max_bytes,
        log_backups=settings.daemon.log_backups,
        report_to="log",
    )


def _supervisor(settings: Settings, name: str) -> SupervisorSpec:
    """Actors first, then supervisors, then agents: what others rely on comes up early."""
    children = [
        _child(settings, f"actors.{actor}", actor, table)
        for actor, table in settings.actors.items()
        if table.parent == name
    ]
    children += [
        ChildSpec.supervisor(
            nested,
            _supervisor(settings, nested),
            where=f"[supervisors.{nested}] in {settings.file}",
            restart=table.restart,
            significant=table.significant,
            shutdown=table.shutdown,
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
    return ChildSpec(
        id=name,
        run=cast(ChildSettings, table),  # the union of ActorSettings' subclasses
        restart=table.restart,
        significant=table.significant,
        shutdown=table.shutdown,
        start_timeout=table.start_timeout,
        where=f"[{table_name}] in {settings.file}",
    )
