"""``holdfast events stats``: how many events there are, by what and by when."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from holdfast.cli.daemon import connected
from holdfast.cli.event_patterns import say_unmatched
from holdfast.cli.filters import Filters, filter_options
from holdfast.cli.options import PERIOD, json_option, run_dir_option
from holdfast.cli.output import console, moment, printable, write_line
from holdfast.cli.sparklines import sparkline

if TYPE_CHECKING:
    from rich.console import Console

    from holdfast.actors.hub import Hub
    from holdfast.actors.tree_calls import Group

__all__ = ["stats"]

_FROM_WIDTH: Final = 70  # columns of a screen that has room for marks
_MARKS: Final = 24  # parts of the time that there is
_MOST: Final = 400  # groups; times the marks, fewer than are answered at once


@click.command()
@filter_options
@click.option(
    "--by",
    type=click.Choice(["type", "source", "session", "subject"]),
    multiple=True,
    help="Count by it; repeatable.  [default: type]",
)
@click.option("--bucket", type=PERIOD, help="And by time: 60, 10m, 1h, 1d.")
@run_dir_option
@json_option
def stats(
    filters: Filters,
    by: tuple[str, ...],
    bucket: float | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Count the events that match everything given.

    On screens with room for it a line of marks shows when they came, the newest at its right.
    """
    columns = list(by or ("type",))
    with connected(run_dir) as hub:
        groups = hub.events.aggregate(columns, bucket=bucket, **filters.as_arguments())
        if not groups:
            say_unmatched(hub, filters.types)
        screen = console()
        drawn = None
        if bucket is None and not as_json and screen.width >= _FROM_WIDTH:
            drawn = _courses(hub, filters, columns, len(groups))
    if as_json:
        for group in groups:
            values = {column: getattr(group, column) for column in columns}
            start = {} if bucket is None else {"start_us": group.start_us}
            write_line(json.dumps(start | values | {"count": group.count}))
    else:
        _print_table(groups, columns, drawn, screen, has_time=bucket is not None)


class _Courses(NamedTuple):
    """How often each group came in each of ``_MARKS`` equal parts of the time there is."""

    part: float  # seconds
    counts: dict[tuple[str | None, ...], list[int]]


def _courses(hub: Hub, filters: Filters, columns: list[str], number: int) -> _Courses | None:
    """None where there are no groups, or too many to draw."""
    if not 0 < number <= _MOST:
        return None
    conditions = filters.as_arguments()
    (first,) = hub.events.query(**conditions, limit=1)
    (last,) = hub.events.query(**conditions, limit=1, reverse=True)
    # By their numbers these are the ends; an event of another time than its neighbours is left out.
    since, until = sorted((first.time_us, last.time_us))
    part = max(1.0, -(-(until - since) // _MARKS) / 1_000_000)
    within = replace(filters, since=since, until=until + 1).as_arguments()
    counts: dict[tuple[str | None, ...], list[int]] = {}
    begin = int(since / 1e6 // part)  # buckets begin at multiples of their length
    for group in hub.events.aggregate(columns, bucket=part, **within):
        values = tuple(getattr(group, column) for column in columns)
        place = round((group.start_us or 0) / 1e6 / part) - begin
        counts.setdefault(values, [0] * (_MARKS + 2))[place] += group.count
    return _Courses(part, counts)


def _print_table(
    groups: list[Group],
    columns: list[str],
    drawn: _Courses | None,
    screen: Console,
    *,
    has_time: bool,
) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in (["from"] if has_time else []) + columns:
        table.add_column(name)
    table.add_column("count", justify="right")
    if drawn is not None:
        table.add_column(f"each {drawn.part:,.0f} s", no_wrap=True)
    plain = not screen.encoding.startswith("utf")
    for group in groups:
        start = [moment(group.start_us or 0)] if has_time else []
        values = tuple(getattr(group, column) for column in columns)
        named = ["-" if value is None else printable(value) for value in values]
        course = [] if drawn is None else [sparkline(drawn.counts.get(values, []), plain=plain)]
        table.add_row(*start, *named, f"{group.count:,}", *course)
    screen.print(table)
