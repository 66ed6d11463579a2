"""``holdfast status``: the tree and how each process of it does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from holdfast.cli.daemon import connected, tree_of, walk
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import console, write_line

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.actors.messages.supervisor import LastExit, Tree

__all__ = ["status"]


@click.command()
@run_dir_option
@json_option
def status(run_dir: Path, as_json: bool) -> None:
    """Print the tree: every process and how it does."""
    with connected(run_dir) as hub:
        tree = tree_of(hub)
    if as_json:
        write_line(json.dumps(_as_object(tree)))
        return
    uptime = timedelta(seconds=round(tree.uptime))
    write_line(f"{tree.name}  holdfast {tree.version}  SQLite {tree.sqlite_version}  up {uptime}")
    console().print(_table(tree))
    for line in _notes(tree):
        write_line(line)


def _as_object(tree: Tree) -> dict[str, object]:
    # Named, not msgspec.to_builtins(tree): Tree is an array on the wire.
    return {
        "name": tree.name,
        "version": tree.version,
        "sqlite_version": tree.sqlite_version,
        "uptime": tree.uptime,
        "root": msgspec.to_builtins(tree.root),
    }


def _table(tree: Tree) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("child", "pid", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("start", "restarts", "mailbox", "handled", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last exit")
    for depth, child in walk(tree.root):
        table.add_row(
            "  " * depth + child.id,
            "" if child.pid is None else str(child.pid),
            child.state,
            str(child.incarnation),
            str(child.restarts),
            str(child.mailbox),
            str(child.handled),
            f"{child.rss / 2**20:.1f}",
            _exit_text(child.last_exit),
            style=None if child.state == "running" else "bold yellow",
        )
    return table


def _exit_text(last: LastExit | None) -> str:
    if last is None:
        return ""
    number = last.code if last.signal is None else last.signal
    ago = timedelta(seconds=max(0, round(time.time() - last.at)))
    return f"{last.kind}{'' if number is None else f' {number}'}, {ago} ago"


def _notes(tree: Tree) -> Iterator[str]:
    """What is worth a line where there is anything: who is gone, which messages went astray."""
    for _, child in walk(tree.root):
        traffic = child.traffic
        counts = [
            f"{what} {count}"
            for what, count in (
                ("not acknowledged", traffic.pending),
                ("late replies", traffic.late_replies),
                ("late answers", traffic.late_answers),
                ("rejected", traffic.rejected),
                ("dropped", traffic.dropped),
            )
            if count
        ]
        if counts:
            yield f"{child.id}: {', '.join(counts)}"
        for gone in child.gone:
            letters = gone.letters + gone.waiting
            yield f"{gone.id} is gone: {gone.how}; dead letters {letters}"
