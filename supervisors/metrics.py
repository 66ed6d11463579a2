"""Where ``[metrics]`` is in the tree: an agent of holdfast's own."""

from __future__ import annotations

from typing import Final

from holdfast.supervisors.edge import require_room, with_agent
from holdfast.supervisors.settings import AgentSettings, Settings

__all__ = ["METRICS", "with_metrics"]

METRICS: Final = "metrics"


def with_metrics(settings: Settings) -> Settings:
    """The tree with that agent, if it is wanted.  Raises ConfigError."""
    wanted = settings.metrics
    if not wanted.enabled:
        return settings
    require_room(settings, METRICS, module="prometheus_client", package="prometheus-client")
    agent = AgentSettings(
        target="holdfast.metrics.actor:MetricsActor",
        options={
            "address": wanted.address,
            "port": wanted.port,
            "otel": settings.otel.enabled,
        },
    )
    return with_agent(settings, METRICS, agent)
