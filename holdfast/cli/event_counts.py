"""``holdfast events stats``: how many events there are, by what and by when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.daemon import connected
from holdfast.cli.event_patterns import say_unmatched
from holdfast.cli.filters import Filters, filter_options
from holdfast.cli.options import PERIOD, json_option, run_dir_option
from holdfast.cli.output import console, moment, printable, write_line

if TYPE_CHECKING:
    from holdfast.actors.tree_calls import Group

__all__ = ["stats"]


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
    """Count the events that match everything given."""
    columns = list(by or ("type",))
    with connected(run_dir) as hub:
        groups = hub.events.aggregate(columns, bucket=bucket, **filters.as_arguments())
        if not groups:
            say_unmatched(hub, filters.types)
    if as_json:
        for group in groups:
            values = {column: getattr(group, column) for column in columns}
            start = {} if bucket is None else {"start_us": group.start_us}
            write_line(json.dumps(start | values | {"count": group.count}))
    else:
        _print_table(groups, columns, has_time=bucket is not None)


def _print_table(groups: list[Group], columns: list[str], *, has_time: bool) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in (["from"] if has_time else []) + columns:
        table.add_column(name)
    table.add_column("count", justify="right")
    for group in groups:
        start = [moment(group.start_us or 0)] if has_time else []
        values = (getattr(group, column) for column in columns)
        named = ["-" if value is None else printable(value) for value in values]
        table.add_row(*start, *named, f"{group.count:,}")
    console().print(table)
