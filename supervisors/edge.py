"""A supervisor of holdfast's own for its agents that face outwards, each there when it is enabled.

They read what any program may read and are nobody's siblings: the death of one is charged to nobody
else's restarts, and their supervisor gives up so seldom that the root does not mind.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from holdfast.errors import ConfigError
from holdfast.supervisors.modules import is_importable
from holdfast.supervisors.settings import AgentSettings, Settings, SupervisorSettings

__all__ = ["EDGE", "require_room", "with_agent"]

EDGE: Final = "edge"

# One that dies again and again is started every 5 s in the end, so that 20 restarts take more than
# a minute: the root, which starts this supervisor anew then, allows five in half a minute.
_PATIENT: Final = SupervisorSettings(max_restarts=20, max_seconds=3600.0, max_failed_starts=0)


def require_room(settings: Settings, name: str, *, module: str, package: str) -> None:
    """Raise ConfigError when the name is taken, or what the extra of that name brings is not
    installed: ``module``, of ``package``."""
    where = f"{settings.file}: [{name}] enabled = true"
    if name in settings.agents or name in settings.supervisors or EDGE in settings.agents:
        raise ConfigError(
            f"{where}: expected no agent or supervisor that is called {name!r}, and no agent "
            f"{EDGE!r}: give it another name"
        )
    if not is_importable(module, ()):
        raise ConfigError(
            f"{where}: expected {package} to be installed: pip install 'holdfast[{name}]'"
        )


def with_agent(settings: Settings, name: str, agent: AgentSettings) -> Settings:
    """The tree with that agent, below the supervisor, which may be configured."""
    return replace(
        settings,
        # The last of the root's children, however it is named in the file: nobody waits for it.
        supervisors={**settings.supervisors, EDGE: settings.supervisors.get(EDGE, _PATIENT)},
        agents={**settings.agents, name: replace(agent, parent=EDGE, python_path=())},
    )
