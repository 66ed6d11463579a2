"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
import re
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import click

from holdfast.errors import InvalidInputError
from holdfast.jsonlines import iso_microseconds

__all__ = [
    "CURSOR",
    "JSON",
    "PERIOD",
    "RUN_DIR",
    "TIME",
    "ask_timeout",
    "json_option",
    "run_dir_default",
    "run_dir_option",
]

RUN_DIR: Final = "HOLDFAST_RUN_DIR"
_RUN_DIR_ELSE: Final = "var/run"

run_dir_option = click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    envvar=RUN_DIR,
    default=_RUN_DIR_ELSE,
    show_default=True,
    help=f"Where the daemon's sockets are; else ${RUN_DIR}.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

ask_timeout: Final = 10.0  # seconds; a daemon that lives answers in milliseconds

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_SECONDS: Final = re.compile(r"\d+(\.\d+)?")
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS: Final = {  # microseconds
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}


def run_dir_default() -> Path:
    """Where a daemon is looked for that nobody named."""
    return Path(os.environ.get(RUN_DIR) or _RUN_DIR_ELSE)


class _Time(click.ParamType[int]):
    """A point in time, as microseconds since 1970."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read ISO 8601 (UTC unless it says otherwise), seconds since 1970, or an age."""
        text = str(value)
        if _SECONDS.fullmatch(text):
            return int(Decimal(text) * 1_000_000)
        if age := _AGO.fullmatch(text):
            return time.time_ns() // 1000 - int(Decimal(age[1]) * _UNITS[age[2]])
        try:
            return iso_microseconds(text)
        except ValueError:
            expected = "expected ISO 8601, seconds since 1970, or an age such as 10m, 2h, 1d"
            self.fail(f"{text!r}: {expected}", param, ctx)


class _Cursor(click.ParamType[int | str]):
    """The number of an event, or a cursor as ``hub.events.cursor()`` gives it."""

    name = "SEQ|CURSOR"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Whole numbers are numbers; all else has to be a cursor."""
        from holdfast.storage.cursors import Cursor

        text = str(value)
        if _NUMBER.fullmatch(text):
            return int(text)
        try:
            return str(Cursor.parse(text))
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


class _Period(click.ParamType[float]):
    """A span of time, in seconds."""

    name = "SECONDS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read seconds, or a number with its unit."""
        text = str(value)
        if _SECONDS.fullmatch(text) and float(text) > 0:
            return float(text)
        if (span := _AGO.fullmatch(text)) and float(span[1]) > 0:
            return float(Decimal(span[1]) * _UNITS[span[2]] / 1_000_000)
        self.fail(f"{text!r}: expected seconds > 0, or such as 500ms, 10m, 2h, 1d", param, ctx)


class _Json(click.ParamType[object]):
    """A value as JSON; - reads it from standard input."""

    name = "JSON"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Read it exactly as an event's data would be."""
        from holdfast.storage import jsontext

        text = str(value)
        try:
            return jsontext.decode(sys.stdin.buffer.read() if text == "-" else text)
        except InvalidInputError as error:
            self.fail(f"not JSON: {error}", param, ctx)


JSON: Final = _Json()
TIME: Final = _Time()
PERIOD: Final = _Period()
CURSOR: Final = _Cursor()
