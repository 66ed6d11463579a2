"""Where ``[metrics]`` is in the tree: an agent of holdfast's own, below a supervisor of its own.

It reads what any program may read and is nobody's sibling: its death is charged to nobody else's
restarts, and the supervisor above it gives up so seldom that the root does not mind.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from holdfast.errors import ConfigError
from holdfast.supervisors.modules import is_importable
from holdfast.supervisors.settings import AgentSettings, Settings, SupervisorSettings

__all__ = ["EDGE", "METRICS", "PATIENT", "with_metrics"]

METRICS: Final = "metrics"
EDGE: Final = "edge"

# One that dies again and again is started every 5 s in the end, so that 20 restarts take more than
# a minute: the root, which starts this supervisor anew then, allows five in half a minute.
PATIENT: Final = SupervisorSettings(max_restarts=20, max_seconds=3600.0, max_failed_starts=0)


def with_metrics(settings: Settings) -> Settings:
    """The tree with that agent, if it is wanted.  Raises ConfigError."""
    wanted = settings.metrics
    if not wanted.enabled:
        return settings
    where = f"{settings.file}: [metrics] enabled = true"
    if METRICS in settings.agents or METRICS in settings.supervisors or EDGE in settings.agents:
        raise ConfigError(
            f"{where}: expected no agent or supervisor that is called {METRICS!r}, and no agent "
            f"{EDGE!r}: give it another name"
        )
    if not is_importable("prometheus_client", ()):
        raise ConfigError(
            f"{where}: expected prometheus-client to be installed: pip install 'holdfast[metrics]'"
        )
    agent = AgentSettings(
        target="holdfast.metrics.actor:MetricsActor",
        parent=EDGE,
        python_path=(),
        options={
            "address": wanted.address,
            "port": wanted.port,
            "otel": settings.otel.enabled,
        },
    )
    return replace(
        settings,
        # The last of the root's children, however it is named in the file: nobody waits for it.
        supervisors={**settings.supervisors, EDGE: settings.supervisors.get(EDGE, PATIENT)},
        agents={**settings.agents, METRICS: agent},
    )
