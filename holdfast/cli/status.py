"""``holdfast status``: the tree and how each process of it does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import click
import msgspec

from holdfast.cli.daemon import connected, http_of, tree_of, walk
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import console, printable, write_line
from holdfast.cli.sizes import as_object, line_of, sizes_of, writing_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from holdfast.actors.messages.supervisor import ChildStatus, Tree

__all__ = ["status"]

SETTLED: Final = 1.0  # seconds of life before a share of the processor says anything
LONG: Final = 1.0  # seconds a message is in hand until that is worth saying


@click.command()
@run_dir_option
@json_option
def status(run_dir: Path, as_json: bool) -> None:
    """Print the tree: every process and how it does."""
    with connected(run_dir) as hub:
        tree = tree_of(hub)
        sizes, writing = sizes_of(hub, tree), writing_of(hub, tree)
        http = http_of(hub, tree)
    if as_json:
        outage = (None if writing is None else writing.outage) or None
        also = {"database": as_object(sizes, writing), "outage": outage, "http": http}
        write_line(json.dumps({**_as_object(tree), **also}))
        return
    uptime = timedelta(seconds=round(tree.uptime))
    database = f"SQLite {tree.sqlite_version}"
    if sizes is not None and sizes.backend == "postgresql":
        database = f"PostgreSQL {sizes.version}"
    write_line(f"{tree.name}  holdfast {tree.version}  {database}  up {uptime}")
    screen = console()
    screen.print(_table(tree, screen))
    if sizes is not None:
        write_line(line_of(sizes, writing))
    if writing is not None and writing.outage:
        write_line(printable(f"the database does not answer, events wait: {writing.outage}"))
    if http is not None and "error" in http:
        write_line(printable(f"HTTP does not answer: {http['error']}"))
    elif http is not None:
        token = f", the token is in {http['token_file']}" if http["token_file"] else ""
        write_line(f"HTTP at {http['url']}{token}")
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


def _table(tree: Tree, screen: Console) -> Table:
    """As many columns as fit: what is left out first can best be missed."""
    from rich.table import Table

    shown = [column for column in COLUMNS if screen.width >= column.from_width]
    table = Table(box=None, pad_edge=False)
    for column in shown:
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        # No ellipsis: not every screen has one.
        table.add_column(column.name, justify=justify, no_wrap=column.no_wrap, overflow="fold")
    lines = _lines(tree.root, plain=not screen.encoding.startswith("utf"))
    for branch, child in lines:
        style = None if child.state == "running" else "bold yellow"
        table.add_row(branch + child.id, *(c.text(child) for c in shown[1:]), style=style)
    return table


def _lines(root: ChildStatus, *, plain: bool) -> Iterator[tuple[str, ChildStatus]]:
    """Every process with the branch that it hangs on, in start order."""
    fork, end, trunk = ("|- ", "`- ", "|  ") if plain else ("├─ ", "└─ ", "│  ")

    def below(parent: ChildStatus, before: str) -> Iterator[tuple[str, ChildStatus]]:
        for child in parent.children:
            is_last = child is parent.children[-1]
            yield before + (end if is_last else fork), child
            yield from below(child, before + ("   " if is_last else trunk))

    yield "", root
    yield from below(root, "")


def _processor(child: ChildStatus) -> str:
    """Its share of one processor since it was ready, in percent, as ps has it."""
    return f"{100 * child.cpu / child.uptime:.1f}" if child.uptime >= SETTLED else ""


def _message(child: ChildStatus) -> str:
    """The last one; and if it has been in hand for long, how long."""
    text = printable(child.last_message)
    return f"{text}, {_span(child.busy)}" if child.busy >= LONG else text


def _exit_text(child: ChildStatus) -> str:
    last = child.last_exit
    if last is None:
        return ""
    number = last.code if last.signal is None else last.signal
    ago = _span(max(0.0, time.time() - last.at))
    return f"{last.kind}{'' if number is None else f' {number}'}, {ago} ago"


def _span(seconds: float) -> str:
    """A length of time in its two largest units: 5s, 3m20s, 4h05m, 12d03h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


class Column(NamedTuple):
    """One of the table; it is there on screens of ``from_width`` characters or more."""

    name: str
    text: Callable[[ChildStatus], str]
    is_number: bool = True
    from_width: int = 0
    no_wrap: bool = True


COLUMNS: Final = (
    Column("actor", lambda child: child.id, is_number=False),
    Column("pid", lambda child: "" if child.pid is None else str(child.pid)),
    Column("state", lambda child: child.state, is_number=False),
    Column("up", lambda child: _span(child.uptime) if child.uptime else ""),
    Column("cpu %", _processor),
    Column("MiB", lambda child: f"{child.rss / 2**20:.1f}" if child.rss else ""),
    Column("waiting", lambda child: str(child.mailbox), from_width=95),
    Column("handled", lambda child: str(child.handled), from_width=95),
    Column("last message", _message, is_number=False, from_width=115),
    Column("restarts", lambda child: str(child.restarts)),
    Column("last exit", _exit_text, is_number=False, no_wrap=False),
)


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
                ("copied connections", traffic.copies),
            )
            if count
        ]
        if counts:
            yield f"{child.id}: {', '.join(counts)}"
        for gone in child.gone:
            letters = gone.letters + gone.waiting
            yield printable(f"{gone.id} is gone: {gone.how}; dead letters {letters}")
