"""Where a process of the daemon logs: standard error, one line an event, named by its actor."""

from __future__ import annotations

import logging
import os
import sys
from typing import get_args

from loguru import logger

from holdfast.supervisors.settings import LogLevel

__all__ = ["configure_logging"]

LINE = (
    "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {extra[actor]}[{extra[pid]}] {message}\n{exception}"
)


class _ToLoguru(logging.Handler):
    """Agents and the libraries they use may log with the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        known = record.levelname in get_args(LogLevel)
        level: str | int = record.levelname if known else record.levelno
        logger.opt(exception=record.exc_info).log(level, record.getMessage())


def configure_logging(actor: str, level: LogLevel) -> None:
    """Begin this process's log; what it inherited from its zygote ends."""
    logger.remove()
    # Without "diagnose", which would write the values of variables, and so secrets, to the log.
    logger.add(sys.stderr, level=level, format=lambda _: LINE, backtrace=False, diagnose=False)
    logger.configure(extra={"actor": actor, "pid": os.getpid()})
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    # It would tell of a failure a second time: the bootstrap logs it, or the supervisor does.
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
