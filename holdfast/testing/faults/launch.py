"""Installs the rig in this process, which then becomes whatever the command line says.

The zygotes are forked from it, so every process of a tree that it starts has the patches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.errors import ConfigError
from holdfast.testing.faults import clock, disk, failpoints, limits
from holdfast.testing.faults.patching import wrap
from holdfast.testing.faults.plan import ENVIRONMENT
from holdfast.testing.faults.rig import Rig

__all__ = ["install"]


def install(environment: Mapping[str, str] = os.environ) -> Rig:
    """Patch; nothing is injected before something is armed.  Raises ConfigError."""
    path = environment.get(ENVIRONMENT, "")
    if not path:
        raise ConfigError(f"{ENVIRONMENT} is not set: expected the path of a plan of faults")
    rig = Rig(Path(path), process="root")
    # The last one that is wrapped runs first: a fork knows who it is before anything is injected.
    for part in (failpoints, clock, limits, disk):
        part.install(rig)
    _tell_forks_apart(rig)
    rig.look()
    return rig


def _tell_forks_apart(rig: Rig) -> None:
    def zygote(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rig.become(args[3])  # its name
        return function(*args, **kwargs)

    def child(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rig.become(args[3].names[0])  # of the request: the first listener is its own
        return function(*args, **kwargs)

    def guardian(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rig.become("guardian")
        return function(*args, **kwargs)

    wrap("holdfast.supervisors.zygote:_become_zygote", zygote)
    wrap("holdfast.supervisors.zygote:_become_child", child)
    wrap("holdfast.supervisors.guardian:_become_guardian", guardian)
