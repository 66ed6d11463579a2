"""Where ``[http]`` is in the tree: an agent of holdfast's own.

Its supervisor keeps the port, so that whoever connects while it restarts is only kept waiting.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

import msgspec

from holdfast.errors import ConfigError
from holdfast.supervisors.edge import require_room, with_agent
from holdfast.supervisors.edge_settings import HttpSettings
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
    require_room(settings, HTTP, module="uvicorn", package="uvicorn")
    where = f"{settings.file}: [http]"
    _check_address(wanted, where)
    check_references(wanted.token, f"{where} token")
    address = wanted.address
    agent = AgentSettings(
        target="holdfast.http.actor:HttpActor",
        options=_options(wanted),
        listen=f"[{address}]:{wanted.port}" if ":" in address else f"{address}:{wanted.port}",
    )
    return with_agent(settings, HTTP, agent)


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
