"""Secrets in a config: named there, read by the process that needs them, shown by nobody.

``"env:NAME"`` stands for a variable of the daemon's environment, ``"file:PATH"`` for what a file
holds.  The root looks whether they are there; the agent's process reads them at each of its starts,
so nothing but the reference travels or is kept.  Lost with the agent's process: what it has read.
"""

from __future__ import annotations

import os
import re
from typing import Final

from holdfast.errors import ConfigError

__all__ = ["check_references", "masked", "resolved", "resolved_variables"]

MOST: Final = 64 * 1024  # bytes of a secret's file
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV: Final = "env:"
_FILE: Final = "file:"


def check_references(value: object, where: str) -> None:
    """Raise ConfigError for a reference to what is not there; nothing of it is kept."""
    resolved(value, where)


def resolved(value: object, where: str) -> object:
    """The value with each reference in it replaced.  Raises ConfigError, which calls it ``where``.

    "file://..." is a URL and stays as it is.
    """
    match value:
        case str() if value.startswith(_ENV):
            return _variable(value.removeprefix(_ENV), where)
        case str() if value.startswith(_FILE) and not value.startswith(f"{_FILE}//"):
            return _content(value.removeprefix(_FILE), where)
        case list():
            return [resolved(item, f"{where}[{at}]") for at, item in enumerate(value)]
        case dict():
            return {key: resolved(item, f"{where}.{key}") for key, item in value.items()}
        case _:
            return value


def resolved_variables(env: dict[str, str], where: str) -> dict[str, str]:
    """Likewise, of texts only."""
    return {key: str(resolved(value, f"{where}.{key}")) for key, value in env.items()}


def masked(value: object) -> object:
    """The value as an error may show it: texts of an agent's table may be secrets."""
    match value:
        case str() if value.startswith((_ENV, _FILE)):
            return value
        case str():
            return "..."
        case list():
            return [masked(item) for item in value]
        case dict():
            return {key: masked(item) for key, item in value.items()}
        case _:
            return value


def _variable(name: str, where: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ConfigError(
            f'{where} = "env:...": expected the name of a variable behind "env:", letters, digits '
            "and _; what stands there is not shown, for it may be a secret"
        )
    if name not in os.environ:
        raise ConfigError(
            f'{where} = "env:{name}": expected a variable that is set: the environment of the '
            f"daemon has no {name}"
        )
    return os.environ[name]


def _content(path: str, where: str) -> str:
    shown = f'{where} = "file:{path}"'
    try:
        # A pipe would wait for its writer for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            data = file.read(MOST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{shown}: expected a file that can be read: {reason}") from None
    if data is None or len(data) > MOST:
        raise ConfigError(f"{shown}: expected a file of at most {MOST} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: expected UTF-8, but not at byte {error.start}") from None
    if "\0" in text:
        raise ConfigError(f"{shown}: expected a text without NUL")
    return text.removesuffix("\n").removesuffix("\r")
