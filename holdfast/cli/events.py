"""``holdfast events``: read what happened, follow it, take it out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain as chained
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.appending import append
from holdfast.cli.daemon import connected
from holdfast.cli.event_counts import stats
from holdfast.cli.event_lines import print_event
from holdfast.cli.event_patterns import say_unmatched
from holdfast.cli.event_search import search
from holdfast.cli.event_tail import tail
from holdfast.cli.event_trees import chain, tree
from holdfast.cli.export_formats import FORMATS, Format, formatted
from holdfast.cli.filters import Filters, filter_options, pages
from holdfast.cli.groups import Commands
from holdfast.cli.importing import import_
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, write_line
from holdfast.cli.pruning import prune
from holdfast.cli.sending import emit
from holdfast.cli.subscribers import subscribers, unsubscribe

if TYPE_CHECKING:
    from holdfast.actors.hub import Event, Hub

__all__ = ["events"]


@click.group(cls=Commands)
def events() -> None:
    """Read, follow, import and export events; who subscribes to them."""


for command in (
    append,
    chain,
    emit,
    import_,
    prune,
    search,
    stats,
    subscribers,
    tail,
    tree,
    unsubscribe,
):
    events.add_command(command)


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
            if not number:
                say_unmatched(hub, filters.types)
            return
        found = (
            [hub.events.query(**filters.as_arguments(), limit=limit, reverse=True)]
            if reverse
            else pages(hub, filters, limit=limit)
        )
        event = None
        for event in chained.from_iterable(found):
            print_event(event, as_json)
        if event is None:
            say_unmatched(hub, filters.types)


@events.command()
@filter_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="jsonl",
    show_default=True,
    help="One JSON object a line; as CloudEvents 1.0, one a line or all as a JSON array.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, not the terminal.")
@run_dir_option
@json_option
def export(
    filters: Filters, format_: Format, output: Path | None, run_dir: Path, as_json: bool
) -> None:
    """Write the events that exist now as JSON; --json changes nothing."""
    with connected(run_dir) as hub:
        lines = formatted(_exported(hub, filters), format_)
        if output is None:
            for line in lines:
                write_line(line)
            return
        try:
            number = _write_file(output, lines)
        except OSError as error:
            raise Failure(f"{output}: cannot be written: {error.strerror}") from None
    click.echo(f"{number} lines written to {output}", err=True)


def _exported(hub: Hub, filters: Filters) -> Iterator[Event]:
    # Up to the event that is the newest now: a busy daemon would never end otherwise.
    newest = hub.events.query(limit=1, reverse=True)
    last = newest[0].seq if newest else 0
    for page in pages(hub, filters):
        for event in page:
            if event.seq > last:
                return
            yield event


def _write_file(output: Path, lines: Iterator[str]) -> int:
    """Write beside the file and rename: whoever opens it finds all of the export or none."""
    number = 0
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            for line in lines:
                stream.write(line + "\n")
                number += 1
        draft.replace(output)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    return number
