"""``holdfast events chain``, ``tree`` and ``trace``: what led to an event, and what it led to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.colours import STYLES
from holdfast.cli.daemon import connected
from holdfast.cli.event_lines import as_json as as_json_line
from holdfast.cli.event_lines import print_event, shortened
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, console, printable, write_line
from holdfast.severities import severity_of

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree as Drawing

    from holdfast.actors.trees import Node, Tree

__all__ = ["chain", "trace", "tree"]


@click.command()
@click.argument("event", metavar="SEQ|KEY")
@click.option("--limit", type=click.IntRange(min=1, max=100_000), default=1_000, show_default=True)
@run_dir_option
@json_option
def chain(event: str, limit: int, run_dir: Path, as_json: bool) -> None:
    """Print what led to an event, the first cause first.

    Digits are taken for a number, unless no event has it and one has it for its key.
    """
    with connected(run_dir) as hub:
        is_number = event.isascii() and event.isdecimal() and len(event) <= 18
        found = hub.events.chain(int(event), limit=limit) if is_number else []
        found = found or hub.events.chain(event, limit=limit)
    if not found:
        raise Failure(f"no event has the number or the key {event!r}")
    for each in found:
        print_event(each, as_json)
    if found[0].cause is not None and not as_json:
        click.echo(printable(f"its cause {found[0].cause!r} is not there"), err=True)


@click.command()
@click.argument("name", metavar="CORRELATION|ROOT")
@click.option("--depth", type=click.IntRange(min=1, max=200), default=50, show_default=True)
@click.option("--limit", type=click.IntRange(min=1, max=100_000), default=1_000, show_default=True)
@run_dir_option
@json_option
def tree(name: str, depth: int, limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the events of a correlation, or below a first cause, each below its cause."""
    with connected(run_dir) as hub:
        found = hub.events.tree(name, depth=depth, limit=limit)
    if not found.roots:
        raise Failure(f"no event has the correlation, the root or the key {name!r}")
    if as_json:
        write_line("".join(_as_json(found)))
        return
    from rich.tree import Tree as Drawing

    drawing = Drawing(printable(name), hide_root=True)
    _draw(found.roots, drawing)
    console().print(drawing, soft_wrap=True)
    if not found.is_complete:
        click.echo(
            f"{found.count} events; there is more, or it is deeper: --limit, --depth", err=True
        )


trace = copy(tree)  # with an example of its own
trace.name = "trace"


def _draw(roots: list[Node], drawing: Drawing) -> None:
    waiting = [(node, drawing) for node in reversed(roots)]
    while waiting:
        node, parent = waiting.pop()
        below = parent.add(_line(node))
        waiting += [(child, below) for child in reversed(node.children)]


def _line(node: Node) -> Text:
    from rich.text import Text

    event = node.event
    key = f" [{event.key}]" if event.key is not None else ""
    orphan = f" (cause {event.cause!r} not above it)" if node.is_orphan else ""
    hidden = f" (+{node.hidden} below)" if node.hidden else ""
    rest = f" {event.source}{key}{orphan}{hidden} {shortened(event)}"
    type_ = printable(event.type), STYLES[severity_of(event.type)]
    return Text.assemble((f"{event.seq} ", "dim"), type_, printable(rest))


def _as_json(tree: Tree) -> Iterator[str]:
    head = {"name": tree.name, "count": tree.count, "complete": tree.is_complete}
    yield json.dumps(head)[:-1] + ', "roots": ['
    yield from _joined(tree.roots)
    yield "]}"


def _joined(nodes: list[Node]) -> Iterator[str]:
    for index, node in enumerate(nodes):
        if index:
            yield ", "
        yield as_json_line(node.event)[:-1]
        yield f', "orphan": {json.dumps(node.is_orphan)}, "hidden": {node.hidden}, "children": ['
        yield from _joined(node.children)
        yield "]}"
