"""``holdfast events``: read what happened, follow it, take it out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.appending import append
from holdfast.cli.daemon import connected
from holdfast.cli.filters import Filters, filter_options, pages
from holdfast.cli.importing import import_
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, flush, moment, printable, write_line
from holdfast.cli.pruning import prune
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.hub import Event, Hub

__all__ = ["events"]

_SHOWN: Final = 120  # characters of `data` in a line for people
# JSON may hold these, but many a reader takes them for the end of the line.
_LINE_ENDS: Final = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}
_COLUMNS: Final = (
    "seq",
    "daemon",
    "time_us",
    "type",
    "source",
    "subject",
    "session",
    "correlation",
    "cause",
    "root",
    "depth",
    "key",
)


@click.group()
def events() -> None:
    """Read, follow, import and export events."""


events.add_command(import_)
events.add_command(append)
events.add_command(prune)


@events.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is committed from now on.")
@click.option("-n", "count", type=click.IntRange(min=0), default=10, show_default=True)
@run_dir_option
@json_option
def tail(follow: bool, count: int, run_dir: Path, as_json: bool) -> None:
    """Print the newest events, the newest last."""
    with connected(run_dir) as hub:
        newest = hub.events.query(limit=max(count, 1), reverse=True)
        for event in reversed(newest[:count]):
            _print(event, as_json)
        if follow:
            flush()
            for event in hub.events.follow(after=newest[0].seq if newest else 0):
                _print(event, as_json)
                flush()


@events.command()
@filter_options
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--reverse", is_flag=True, help="The newest first.")
@click.option("--count", is_flag=True, help="Only how many there are, whatever --limit says.")
@run_dir_option
@json_option
def query(
    filters: Filters, limit: int, reverse: bool, count: bool, run_dir: Path, as_json: bool
) -> None:
    """Print the events that match everything given."""
    with connected(run_dir) as hub:
        if count:
            number = hub.events.count(**filters.as_arguments())
            write_line(json.dumps({"count": number}) if as_json else str(number))
            return
        found = (
            [hub.events.query(**filters.as_arguments(), limit=limit, reverse=True)]
            if reverse
            else pages(hub, filters, limit=limit)
        )
        for event in chain.from_iterable(found):
            _print(event, as_json)


@events.command()
@filter_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, not the terminal.")
@run_dir_option
@json_option
def export(filters: Filters, output: Path | None, run_dir: Path, as_json: bool) -> None:
    """Write the events that exist now as JSON lines; --json changes nothing."""
    with connected(run_dir) as hub:
        if output is None:
            for line in _exported(hub, filters):
                write_line(line)
            return
        try:
            number = _write_file(output, hub, filters)
        except OSError as error:
            raise Failure(f"{output}: cannot be written: {error.strerror}") from None
    click.echo(f"{number} events written to {output}", err=True)


def _exported(hub: Hub, filters: Filters) -> Iterator[str]:
    # Up to the event that is the newest now: a busy daemon would never end otherwise.
    newest = hub.events.query(limit=1, reverse=True)
    last = newest[0].seq if newest else 0
    for page in pages(hub, filters):
        for event in page:
            if event.seq > last:
                return
            yield _as_json(event)


def _write_file(output: Path, hub: Hub, filters: Filters) -> int:
    """Write beside the file and rename: whoever opens it finds all of the export or none."""
    number = 0
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            for line in _exported(hub, filters):
                stream.write(line + "\n")
                number += 1
        draft.replace(output)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    return number


def _print(event: Event, as_json: bool) -> None:
    write_line(_as_json(event) if as_json else _as_text(event))


def _as_json(event: Event) -> str:
    fields = {column: getattr(event, column) for column in _COLUMNS}
    head = json.dumps(fields, ensure_ascii=False)
    # The data goes in as the text that is stored, so that nothing of it changes on the way.
    line = f'{head[:-1]}, "data": {jsontext.encode(event.data)}}}'
    return line if line.isascii() else line.translate(_LINE_ENDS)


def _as_text(event: Event) -> str:
    data = jsontext.encode(event.data)
    if len(data) > _SHOWN:
        data = data[: _SHOWN - 3] + "..."
    session = event.session or "-"
    line = (
        f"{event.seq:>7} {moment(event.time_us)} {event.type:<20} {event.source} {session} {data}"
    )
    return printable(line)
