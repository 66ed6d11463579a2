"""The bearer token: read from its file, which is made when there is none; compared, never shown."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from holdfast.errors import ConfigError

__all__ = ["TOKEN_FILE", "Token", "token_of"]

TOKEN_FILE: Final = "http.token"  # in the run directory, which nobody else may enter
LEAST: Final = 16  # characters; less can be guessed
MOST: Final = 4_096


class Token:
    """What requests have to bring; its text is in no output."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()

    def __repr__(self) -> str:
        return "Token(...)"

    def is_in(self, authorization: str) -> bool:
        """Whether the header's value is the scheme and this token, in a time that tells nothing."""
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), self._bytes
        )


def token_of(given: str, run_dir: Path) -> tuple[Token, str]:
    """The ``given`` one, or that of the file in the run directory, and the path of that.

    Raises ConfigError for what is no secret.
    """
    path = run_dir / TOKEN_FILE
    if given:
        return Token(_checked(given.strip(), "[http] token")), ""
    if not path.exists():
        _make(path)
    return Token(_read(path)), str(path)


def _make(path: Path) -> None:
    """Whole or not at all: nobody else writes there, for lives of an actor never overlap."""
    new = path.with_name(f"{path.name}.new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        os.fchmod(fd, 0o600)
        file.write(secrets.token_urlsafe(32) + "\n")
    os.replace(new, path)


def _read(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: expected a file that can be read: {error.strerror}") from None
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigError(f"{path}: expected a file of this user with mode 0600: chmod 600 it")
        text = file.read(MOST + 1).decode("ascii", "replace").strip()
    return _checked(text, str(path))


def _checked(text: str, where: str) -> str:
    if not LEAST <= len(text) <= MOST or not text.isascii() or not text.isprintable():
        raise ConfigError(
            f"{where}: expected {LEAST} to {MOST} printable characters of ASCII; it is not shown"
        )
    return text
