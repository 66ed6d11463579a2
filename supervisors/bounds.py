"""What the tables of the state actors say to their constructors, and to those that run already.

Nothing is kept here; the modules of actors are imported by the processes that become them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.actors.doors import Limits
    from holdfast.actors.overload import Thresholds
    from holdfast.actors.sessions import SessionLimits
    from holdfast.actors.tracker import TrackerLimits
    from holdfast.storage.file_catalog import Catalog
    from holdfast.storage.response_logs import Rotation
    from holdfast.supervisors.settings import (
        FilesSettings,
        GatewaySettings,
        LogSettings,
        SessionsSettings,
        TrackerSettings,
    )
    from holdfast.supervisors.spec import Environment

__all__ = [
    "catalog_opener",
    "gateway_limits",
    "rotation",
    "session_limits",
    "thresholds",
    "tracker_limits",
]


def thresholds(run: LogSettings) -> Thresholds:
    """Of the log's modes."""
    from holdfast.actors.overload import Thresholds

    return Thresholds(run.sync_at, run.drop_at, run.flush_at)


def session_limits(run: SessionsSettings) -> SessionLimits:
    """Of the sessions."""
    from holdfast.actors.sessions import SessionLimits

    return SessionLimits(**{name: getattr(run, name) for name in SessionLimits.__struct_fields__})


def catalog_opener(environment: Environment, run: FilesSettings) -> Callable[[], Catalog]:
    """Opens the folder of the files."""
    from holdfast.storage.file_catalog import Catalog
    from holdfast.storage.file_lock import DYING

    folder = Path(environment.data_dir, run.path)
    return partial(Catalog, folder, max_bytes=run.max_bytes, patience=DYING)


def rotation(run: FilesSettings) -> Rotation:
    """When a file is put aside for the next."""
    from holdfast.storage.response_logs import Rotation

    return Rotation(max_bytes=run.rotate_bytes, daily=run.rotate_daily, open_files=run.open_files)


def tracker_limits(run: TrackerSettings) -> TrackerLimits:
    """Of requests in flight, and the rate limits."""
    from holdfast.actors.tracker import TrackerLimits

    return TrackerLimits(**{name: getattr(run, name) for name in TrackerLimits.__struct_fields__})


def gateway_limits(run: GatewaySettings) -> Limits:
    """Of the clients of the gateway."""
    from holdfast.actors.doors import Limits

    return Limits(**{name: getattr(run, name) for name in Limits.__struct_fields__})
