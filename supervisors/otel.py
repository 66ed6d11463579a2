"""Where ``[otel]`` is in the tree: an agent of holdfast's own.

It reads events as any subscriber may, at a lower priority.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from holdfast.errors import ConfigError
from holdfast.supervisors.edge import require_room, with_agent
from holdfast.supervisors.otel_settings import OtelSettings
from holdfast.supervisors.secrets import resolved
from holdfast.supervisors.settings import AgentSettings, Settings

__all__ = ["OTEL", "with_otel"]

OTEL: Final = "otel"
URL: Final = re.compile(r"https?://[^\s@/?#]+(/[^\s@?#]*)?")
NICE: Final = 10  # what it does can wait: it has a cursor


def with_otel(settings: Settings) -> Settings:
    """The tree with that agent, if it is wanted.  Raises ConfigError."""
    wanted = settings.otel
    if not wanted.enabled:
        return settings
    require_room(settings, OTEL, module="opentelemetry.proto.logs", package="opentelemetry-proto")
    where = f"{settings.file}: [otel]"
    _check(wanted, where)
    options: dict[str, Any] = msgspec.to_builtins(wanted)
    agent = AgentSettings(
        target="holdfast.otel.actor:OtelActor",
        nice=NICE,
        options={key: value for key, value in options.items() if key != "enabled"},
    )
    return with_agent(settings, OTEL, agent)


def _check(wanted: OtelSettings, where: str) -> None:
    if not (wanted.logs or wanted.spans):
        raise ConfigError(f"{where} logs = false, spans = false: expected one of them to be true")
    for name in wanted.headers:
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise ConfigError(f"{where} headers: {name!r} is no name of a header")
        value = str(resolved(wanted.headers[name], f"{where} headers.{name}"))
        if not value.isprintable() or not value.isascii():  # which may be a secret
            raise ConfigError(f"{where} headers.{name}: expected printable ASCII characters")
    if not URL.fullmatch(str(resolved(wanted.endpoint, f"{where} endpoint"))):
        raise ConfigError(
            f'{where} endpoint: expected "http://HOST:PORT" or "https://..." where it refers to, '
            "without a user or a query"
        )
    if wanted.certificate:
        try:
            open(wanted.certificate, "rb").close()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f'{where} certificate = "{wanted.certificate}": expected a file that can be read: '
                f"{reason}"
            ) from None
