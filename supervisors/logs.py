"""Where the processes of a daemon log: standard error, line by line, each named by its actor.

That of a child is a pipe to its supervisor.  A supervisor's own lines go where those of its
children go, so that nobody who does not read its standard error ever makes it wait.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, get_args

from loguru import logger

from holdfast.supervisors.lines import line_head, pieces
from holdfast.supervisors.output import prepare_streams
from holdfast.supervisors.settings import LogLevel

if TYPE_CHECKING:
    from loguru import Message

__all__ = ["configure_logging", "log_to", "set_log_level", "sign_log"]

TEXT: Final = "{message}\n{exception}"


class _ToLoguru(logging.Handler):
    """Agents and the libraries they use may log with the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        known = record.levelname in get_args(LogLevel)
        level: str | int = record.levelname if known else record.levelno
        logger.opt(exception=record.exc_info).log(level, record.getMessage())


class _Sink:
    """What loguru writes to.  Every line of a record has the record's head."""

    def __init__(self) -> None:
        self.to: Callable[[bytes], None] | None = None  # else standard error
        self.handler = -1  # loguru's number of it
        self.level: LogLevel = "INFO"

    def write(self, message: Message) -> None:
        record = message.record
        extra = record["extra"]
        actor, pid = str(extra.get("actor", "?")), os.getpid()
        head = line_head(record["time"], record["level"].name, actor, pid).encode()
        text = str(message).rstrip("\n").encode(errors="backslashreplace")
        lines = b"".join(
            head + piece + b"\n" for line in text.split(b"\n") for piece in pieces(line)
        )
        if self.to is not None:
            self.to(lines)
        elif sys.stderr is not None:
            sys.stderr.write(lines.decode())
            sys.stderr.flush()


_sink: Final = _Sink()  # a fact about the process, like its standard error


def configure_logging(level: LogLevel) -> None:
    """Begin the log, once, in the root before it forks: this takes as long as a restart may."""
    prepare_streams()
    logger.remove()
    _add(level)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    # It would tell of a failure a second time: the bootstrap logs it, or the supervisor does.
    logging.getLogger("pykka").setLevel(logging.CRITICAL)


def set_log_level(level: LogLevel) -> None:
    """Let through what is at least of this level from now on; other sinks stay as they are."""
    if level != _sink.level:
        with suppress(ValueError):  # an agent has removed it, to log elsewhere
            logger.remove(_sink.handler)
            _add(level)


def _add(level: LogLevel) -> None:
    # Without "diagnose", which would write the values of variables, and so secrets, to the log.
    _sink.handler = logger.add(
        _sink, level=level, format=lambda _: TEXT, backtrace=False, diagnose=False
    )
    _sink.level = level


def sign_log(actor: str) -> None:
    """From now on the lines of this process are ``actor``'s."""
    logger.configure(extra={"actor": actor})


def log_to(write: Callable[[bytes], None] | None) -> None:
    """Have ``write`` take the lines of this process; None: standard error again."""
    _sink.to = write
