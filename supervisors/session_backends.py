"""Which store stands in front of the database for sessions, and whether it can.

Imports a backend's client only where the config names it.  Nothing is kept here.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from holdfast.clock import Clock
from holdfast.errors import ConfigError
from holdfast.storage.memory_sessions import MemorySessions
from holdfast.storage.session_ports import SessionFront
from holdfast.supervisors.modules import is_importable
from holdfast.supervisors.secrets import resolved
from holdfast.supervisors.settings import SessionsSettings

__all__ = ["check_session_backend", "front_of"]

SCHEMES: Final = ("redis", "rediss", "unix")


def check_session_backend(settings: SessionsSettings, where: str) -> None:
    """Raise ConfigError, which calls the table ``where``; nobody is asked over a network."""
    if settings.backend == "memory":
        return
    if not is_importable("redis", ()):
        raise ConfigError(
            f'{where} backend = "redis": expected redis-py to be installed: '
            "pip install 'holdfast[redis]'"
        )
    problem = _problem_of_url(_url_of(settings, where))
    if problem:
        # What stands there is not shown: there may be a password in it.
        raise ConfigError(
            f'{where} url: expected "redis://HOST:PORT/DB", "rediss://..." or "unix:///PATH", or '
            f'"env:NAME" or "file:PATH" for where that is kept: {problem}'
        )


def front_of(
    settings: SessionsSettings, *, daemon: str, incarnation: str, clock: Clock
) -> SessionFront:
    """The store that the config names, not asked yet.  Raises ConfigError."""
    if settings.backend == "memory":
        return MemorySessions()
    check_session_backend(settings, "[actors.sessions]")
    from holdfast.storage.redis_sessions import RedisSessions

    return RedisSessions(
        _url_of(settings, "[actors.sessions]"),
        daemon=daemon,
        incarnation=incarnation,
        timeout=settings.redis_timeout,
        clock=clock,
    )


def _url_of(settings: SessionsSettings, where: str) -> str:
    return str(resolved(settings.url, f"{where} url"))


def _problem_of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return "a port is a number up to 65535" if "ort" in str(error) else "it is no URL"
    if parts.scheme not in SCHEMES:
        return "it begins with none of these"
    if parts.scheme == "unix" and not parts.path:
        return "it has no path"
    if parts.scheme != "unix" and (not parts.hostname or port == 0):
        return "it has no host"
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():
        return "the database behind the host is a number"
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key == "db" and value.isdecimal():
            continue
        if not key.startswith("ssl_"):
            return "of what may follow ? only db and ssl_... are taken"
    return ""
