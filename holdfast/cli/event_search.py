"""``holdfast events search``: events whose data has some words in it."""

from __future__ import annotations

from pathlib import Path

import click

from holdfast.cli.daemon import connected
from holdfast.cli.event_lines import print_event
from holdfast.cli.filters import Filters, filter_options
from holdfast.cli.options import json_option, run_dir_option

__all__ = ["search"]


@click.command()
@click.argument("text")
@filter_options
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--oldest", is_flag=True, help="The oldest first, not the newest.")
@click.option("--partial", is_flag=True, help="Also while older events are not indexed yet.")
@run_dir_option
@json_option
def search(
    text: str,
    filters: Filters,
    limit: int,
    oldest: bool,
    partial: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Print the events with TEXT in their data, the newest first.

    TEXT is words, "phrases", prefix*, AND, OR, NOT.  Needs [storage] full_text = true.
    """
    with connected(run_dir) as hub:
        found = hub.events.search(
            text, limit=limit, reverse=not oldest, partial=partial, **filters.as_arguments()
        )
        for event in found:
            print_event(event, as_json)
