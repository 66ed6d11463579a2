"""Where the processes of a daemon log: standard error, one line an event, named by its actor."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final, get_args

from loguru import logger

from holdfast.supervisors.settings import LogLevel

__all__ = ["configure_logging", "sign_log"]

LINE: Final = (
    "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {extra[actor]}[{extra[pid]}] {message}\n{exception}"
)


class _ToLoguru(logging.Handler):
    """Agents and the libraries they use may log with the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        known = record.levelname in get_args(LogLevel)
        level: str | int = record.levelname if known else record.levelno
        logger.opt(exception=record.exc_info).log(level, record.getMessage())


def configure_logging(level: LogLevel) -> None:
    """Begin the log, once, in the root before it forks: this takes as long as a restart may."""
    logger.remove()
    # Without "diagnose", which would write the values of variables, and so secrets, to the log.
    logger.add(sys.stderr, level=level, format=lambda _: LINE, backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    # It would tell of a failure a second time: the bootstrap logs it, or the supervisor does.
    logging.getLogger("pykka").setLevel(logging.CRITICAL)


def sign_log(actor: str) -> None:
    """From now on the lines of this process are ``actor``'s."""
    logger.configure(extra={"actor": actor, "pid": os.getpid()})
