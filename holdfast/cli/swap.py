"""``holdfast swap``: moves of the data to another backend: the one under way, and those before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from holdfast.cli.daemon import connected
from holdfast.cli.following import line_of
from holdfast.cli.groups import Commands
from holdfast.cli.options import ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, console, printable, write_line
from holdfast.errors import AskTimeoutError

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.actors.messages.swap import SwapRecord

__all__ = ["swap"]


@click.group(cls=Commands)
def swap() -> None:
    """Look at moves of the data to another backend, which `holdfast reload` makes."""


@swap.command()
@run_dir_option
@json_option
def status(run_dir: Path, as_json: bool) -> None:
    """Print where the data is, and how far the swap is that is under way."""
    with connected(run_dir) as hub:
        found = hub.supervision.swap(timeout=ask_timeout)
    if as_json:
        under_way = None if found.status is None else msgspec.to_builtins(found.status)
        plain = {"backend": found.backend, "since": found.since, "swap": under_way}
        write_line(json.dumps(plain))
        return
    write_line(f"the data is in {printable(found.backend)} since {found.since}")
    if found.status is not None:
        write_line(f"swap {found.status.swap}, {printable(line_of(found.status))}")


@swap.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@run_dir_option
@json_option
def history(limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the newest swaps that are over, the oldest of them first.

    With --json also the rows and the checksum of each table.
    """
    with connected(run_dir) as hub:
        found = hub.supervision.swaps(limit=limit, timeout=ask_timeout)
    if as_json:
        for record in found:
            write_line(json.dumps(msgspec.to_builtins(record)))
    elif found:
        console().print(_table(found))
        for record in found:
            if record.error:
                write_line(f"{record.swap}: {printable(record.error)}")


def _outcome(record: SwapRecord) -> str:
    if record.ok:
        return "verified" if record.verified else "done"
    return f"{'cut off' if record.resumable else 'failed'}, {record.phase}"


def _table(records: list[SwapRecord]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("swap", "began", "from", "to", "outcome", "rows", "seconds", "held", "old data"):
        table.add_column(name, overflow="fold")
    for each in records:
        outcome = _outcome(each)
        held = f"{each.pause * 1000:.0f} ms" if each.pause else ""
        figures = f"{each.rows}", f"{each.seconds:.1f}", held
        place = printable(each.old)
        table.add_row(each.swap, each.began, each.source, each.target, outcome, *figures, place)
    return table


@swap.command()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0),
    default=120.0,
    show_default=True,
    help="Seconds to wait; it is cancelled all the same after that.",
)
@run_dir_option
@json_option
def cancel(timeout: float, run_dir: Path, as_json: bool) -> None:
    """Give up the swap that is under way, or was cut off: the data stays where it was.

    What it had filled is deleted.  Refused once the data is at its new place.
    """
    with connected(run_dir) as hub:
        try:
            done = hub.supervision.cancel_swap(timeout=timeout)
        except AskTimeoutError:
            raise Failure(f"not undone within {timeout:g} s; it goes on") from None
    if as_json:
        plain = {"swap": done.swap, "deleted": done.what, "left": done.left}
        write_line(json.dumps(plain))
        return
    write_line(f"swap {done.swap} is cancelled")
    for each in done.what:
        write_line(f"deleted: {printable(each)}")
    if done.left:
        write_line(f"not deleted: {printable(done.left)}; `holdfast swap forget` tries again")


@swap.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0),
    default=300.0,
    show_default=True,
    help="Seconds to wait; it goes on after that.",
)
@run_dir_option
@json_option
def forget(dry_run: bool, timeout: float, run_dir: Path, as_json: bool) -> None:
    """Delete what swaps have left: old data, and targets that were filled by half.

    Nothing is deleted that is not labelled so, and nothing of other daemons.
    """
    with connected(run_dir) as hub:
        try:
            what = hub.supervision.forget_swapped(dry_run=dry_run, timeout=timeout)
        except AskTimeoutError:
            raise Failure(f"not all is deleted within {timeout:g} s; it goes on") from None
    if as_json:
        write_line(json.dumps({"dry_run": dry_run, "forgotten": what}))
        return
    did = "would be deleted" if dry_run else "deleted"
    for each in what:
        write_line(f"{did}: {printable(each)}")
    if not what:
        write_line("no swap has left anything")
