"""Where ``[http]`` is in the tree: an agent of holdfast's own beside that of ``[metrics]``.

Its supervisor keeps the port, so that whoever connects while it restarts is only kept waiting.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from holdfast.errors import ConfigError
from holdfast.supervisors.edge_settings import HttpSettings
from holdfast.supervisors.metrics import EDGE, PATIENT
from holdfast.supervisors.modules import is_importable
from holdfast.supervisors.secrets import check_references
from holdfast.supervisors.settings import AgentSettings, Settings

__all__ = ["HTTP", "with_http"]

HTTP: Final = "http"
# What is of the tree, and not of the agent.
_NOT_ITS: Final = ("enabled", "allow_remote", "address", "port")


def with_http(settings: Settings) -> Settings:
    """The tree with that agent, if it is wanted.  Raises ConfigError."""
    wanted = settings.http
    if not wanted.enabled:
        return settings
    where = f"{settings.file}: [http]"
    if HTTP in settings.agents or HTTP in settings.supervisors or EDGE in settings.agents:
        raise ConfigError(
            f"{where} enabled = true: expected no agent or supervisor that is called {HTTP!r}, "
            f"and no agent {EDGE!r}: give it another name"
        )
    if not is_importable("uvicorn", ()):
        raise ConfigError(
            f"{where} enabled = true: expected uvicorn to be installed: "
            "pip install 'holdfast[http]'"
        )
    _check_address(wanted, where)
    check_references(wanted.token, f"{where} token")
    address = wanted.address
    agent = AgentSettings(
        target="holdfast.http.actor:HttpActor",
        parent=EDGE,
        python_path=(),
        options=_options(wanted),
        listen=f"[{address}]:{wanted.port}" if ":" in address else f"{address}:{wanted.port}",
    )
    return replace(
        settings,
        supervisors={**settings.supervisors, EDGE: settings.supervisors.get(EDGE, PATIENT)},
        agents={**settings.agents, HTTP: agent},
    )


def _options(wanted: HttpSettings) -> dict[str, object]:
    table: dict[str, Any] = msgspec.to_builtins(wanted)
    return {"address": wanted.address, "port": wanted.port} | {
        key: value for key, value in table.items() if key not in _NOT_ITS
    }


def _check_address(wanted: HttpSettings, where: str) -> None:
    shown = f'{where} address = "{wanted.address}"'
    try:
        address = ipaddress.ip_address(wanted.address)
    except ValueError:
        raise ConfigError(f'{shown}: expected an IP address, as "127.0.0.1"') from None
    if not address.is_loopback and not wanted.allow_remote:
        raise ConfigError(
            f"{shown}: expected a loopback address, or allow_remote = true: whoever has the token "
            "may do everything, and it travels in the clear (docs/HTTP.md)"
        )
