"""``holdfast reload``: have the daemon read its config file again; what that changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.daemon import connected
from holdfast.cli.following import reload_and_follow
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, console, printable, write_line
from holdfast.errors import AskTimeoutError

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.actors.messages.reload import PlanLine, Reloaded

__all__ = ["reload"]


@click.command()
@run_dir_option
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, change nothing.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0),
    default=300.0,
    show_default=True,
    help="Seconds to wait without a sign of progress; the reload goes on after that.",
)
@json_option
def reload(run_dir: Path, dry_run: bool, timeout: float, as_json: bool) -> None:
    """Have the daemon be what its config file says now, and print what that changes.

    Everything is checked before anything is touched; what fails later is undone.  Policy and
    limits change in place; agents whose class or options have changed begin another life; those
    that are new start, and then those that are gone stop.  Where another database is named, the
    data moves there while all go on; how far it is, is told on standard error.
    """
    done = _planned(run_dir, timeout) if dry_run else reload_and_follow(run_dir, timeout)
    if as_json:
        write_line(json.dumps(_plain(done, dry_run)))
    else:
        _show(done, dry_run)
    if done.refusals:
        raise Failure("\n".join(done.refusals))


def _planned(run_dir: Path, timeout: float) -> Reloaded:
    with connected(run_dir) as hub:
        try:
            return hub.supervision.reload(dry_run=True, timeout=timeout)
        except AskTimeoutError:
            raise Failure(f"not planned within {timeout:g} s") from None


def _plain(done: Reloaded, dry_run: bool) -> dict[str, object]:
    import msgspec

    return {
        "config": done.config,
        "dry_run": dry_run,
        "applied": done.is_applied,
        "seconds": done.seconds,
        "counts": done.counts,
        "refusals": done.refusals,
        "notes": done.notes,
        "plan": msgspec.to_builtins(done.lines),
    }


def _show(done: Reloaded, dry_run: bool) -> None:
    changed = [line for line in done.lines if line.action != "unchanged"]
    if changed:
        console().print(_table(changed))
    for note in done.notes:
        write_line(printable(note))
    counts = ", ".join(f"{count} {action}" for action, count in done.counts.items() if count)
    did = "would be" if dry_run else f"done in {done.seconds:.3f} s"
    write_line(f"{did}: {counts}")


def _table(lines: list[PlanLine]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("part", "name", "action", "key", "from", "to"):
        table.add_column(name, overflow="fold")
    for line in lines:
        first = line.kind, line.name, line.action
        if not line.changes:
            table.add_row(*first)
        for index, change in enumerate(line.changes):
            shown = (printable(text) for text in (change.key, change.old, change.new))
            table.add_row(*(("", "", "") if index else first), *shown)
    return table
