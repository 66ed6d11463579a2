"""``holdfast events tail``: the newest events, and then those that come, as journalctl has lines.

What is followed comes once each and without a hole: history ends at the number that was the newest
when the command began, and the subscription begins behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

import click

from holdfast.cli.daemon import connected
from holdfast.cli.event_lines import FORMATS, formatted_as
from holdfast.cli.event_patterns import say_unmatched
from holdfast.cli.filters import Filters, filter_options, pages
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import flush, write_line
from holdfast.storage.cursors import Cursor

if TYPE_CHECKING:
    from holdfast.actors.following import Gap
    from holdfast.actors.hub import Event, Hub

__all__ = ["tail"]

_NEWEST: Final = 10  # events, where nothing else bounds them


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is committed from now on.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=0),
    help=f"The newest so many; by default {_NEWEST}, with --since, --until or --cursor all.",
)
@filter_options
@click.option(
    "--output",
    "format_",
    type=click.Choice(FORMATS),
    default="short",
    show_default=True,
    help="A line each; all fields, one a line; a JSON object each, as --json.",
)
@click.option("--show-cursor", is_flag=True, help="At the end, what --cursor goes on from.")
@run_dir_option
@json_option
def tail(
    follow: bool,
    count: int | None,
    filters: Filters,
    format_: Literal["short", "verbose", "json"],
    show_cursor: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Print the newest events that match, the newest last, and with -f those that come.

    --cursor CURSOR begins right behind that event: nothing twice, nothing left out.
    """
    if follow and filters.until is not None:
        raise click.UsageError("--until bounds what was, and -f waits for what comes")
    line = formatted_as("json" if as_json else format_)
    with connected(run_dir) as hub:
        end = Cursor.parse(hub.events.cursor())
        place = _Place(filters.after, show_cursor)
        with place:
            place.show(_past(hub, filters, count, end.seq), line)
            if place.is_empty:
                say_unmatched(hub, filters.types)
            if filters.until is None:
                place.cursor = str(end)  # up to there nothing else matches
            if follow:
                flush()
                place.show(_live(hub, filters, end), line, each=flush)


class _Place:
    """How far the events were printed; said at the end, however that comes, if asked for."""

    def __init__(self, after: int | str | None, is_shown: bool) -> None:
        self.cursor = None if after is None else str(after)
        self.is_empty = True
        self._is_shown = is_shown

    def show(
        self,
        events: Iterable[Event],
        line: Callable[[Event], str],
        *,
        each: Callable[[], None] = lambda: None,
    ) -> None:
        """Print them; ``each`` is called after every one."""
        for event in events:
            write_line(line(event))
            each()
            self.cursor, self.is_empty = event.cursor, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        if self._is_shown and self.cursor is not None:
            write_line(f"-- cursor: {self.cursor}")


def _past(hub: Hub, filters: Filters, count: int | None, last: int) -> Iterator[Event]:
    """What was there when the command began, in the order of the numbers."""
    bounds = (filters.since, filters.until, filters.after)
    if count is None and any(bound is not None for bound in bounds):
        yield from takewhile(
            lambda event: event.seq <= last, chain.from_iterable(pages(hub, filters))
        )
        return
    wanted = _NEWEST if count is None else count
    if wanted:
        newest = hub.events.query(**filters.as_arguments(), limit=wanted, reverse=True)
        yield from (event for event in reversed(newest) if event.seq <= last)


def _live(hub: Hub, filters: Filters, after: Cursor) -> Iterator[Event]:
    """What comes; as in history, none of before ``since``, whatever the time it says."""
    subscription = hub.events.subscribe(
        start=str(after),
        types=filters.types,
        session=filters.session,
        source=filters.source,
        subject=filters.subject,
        correlation=filters.correlation,
        on_gap=_say_gap,
    )
    with closing(subscription):
        for event in subscription:
            if filters.since is None or event.time_us >= filters.since:
                yield event


def _say_gap(gap: Gap) -> None:
    click.echo(f"holdfast: {gap.first} to {gap.last} were deleted before they were read", err=True)
