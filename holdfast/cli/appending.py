"""``holdfast events append``: one event to a stream, if the stream is at the expected version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.daemon import connected
from holdfast.cli.options import JSON, ask_timeout, json_option, run_dir_option
from holdfast.cli.output import write_line

if TYPE_CHECKING:
    from holdfast.actors.stream_calls import Expected

__all__ = ["append"]


def _version(_context: click.Context, _option: click.Parameter, value: str) -> Expected:
    if value == "any":
        return "any"
    if value == "none":
        return "none"
    if value.isdecimal():
        return int(value)
    raise click.BadParameter(f'{value!r}: expected a version, "none" or "any"')


@click.command()
@click.argument("stream")
@click.argument("type")
@click.argument("data", type=JSON, default="null")
@click.option(
    "--expected-version",
    callback=_version,
    default="any",
    show_default=True,
    help='How many events were appended to it before; "none" or 0: it is not there yet.',
)
@click.option("--session")
@run_dir_option
@json_option
def append(
    stream: str,
    type: str,
    data: object,
    expected_version: Expected,
    session: str | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Append an event with DATA, which is JSON, to STREAM, and print the stream's new version.

    Exit code 1, and nothing appended, when the stream is at another version.
    """
    with connected(run_dir) as hub:
        version = hub.events.append(
            stream,
            [(type, data)],
            expected_version=expected_version,
            session=session,
            timeout=ask_timeout,
        )
    write_line(json.dumps({"version": version}) if as_json else str(version))
