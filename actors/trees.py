"""Events as trees: each below its cause.  Plain values, made once and not kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast.actors.readable_events import Event
from holdfast.storage.causes import nearest

__all__ = ["MAX_DEPTH", "Node", "Tree", "tree_of"]

MAX_DEPTH: Final = 200  # levels; whoever walks a tree by recursion has some 1,000


class Node(msgspec.Struct, frozen=True):
    """An event and what it led to, in order of their numbers.

    ``is_orphan``: it names a cause that is not in the tree, or that it led to itself.  ``hidden``
    events below it are deeper than was asked for.
    """

    event: Event
    children: list[Node]
    is_orphan: bool = False
    hidden: int = 0


class Tree(msgspec.Struct, frozen=True):
    """The events around a root or a correlation.

    ``roots`` have no cause in it, and are in order of their numbers; ``count`` is how many events
    there are, shown or hidden.  ``is_complete``: no limit was in the way.
    """

    name: str
    roots: list[Node]
    count: int
    is_complete: bool


def tree_of(name: str, events: Iterable[Event], *, depth: int, is_complete: bool) -> Tree:
    """The tree of these events, ``depth`` levels of it."""
    by_seq = {event.seq: event for event in events}
    in_order = [by_seq[seq] for seq in sorted(by_seq)]
    below: defaultdict[int, list[Event]] = defaultdict(list)
    starts: list[Event] = []
    parents = _parents(in_order)
    for event in in_order:
        parent = parents.get(event.seq)
        if parent is None:
            starts.append(event)
        else:
            below[parent].append(event)
    reached = _reached_from(starts, below)
    for event in in_order:  # what is left are circles, and what hangs on them
        if event.seq not in reached:
            first = by_seq[_first_of_circle(event.seq, parents)]
            below[parents[first.seq]].remove(first)
            starts.append(first)
            reached |= _reached_from([first], below)
    starts.sort(key=lambda event: event.seq)
    roots = _nodes(starts, below, depth)
    return Tree(name, roots, len(in_order), is_complete and not _is_cut(roots))


def _parents(events: list[Event]) -> dict[int, int]:
    """By number of an event the number of its cause, where that is among them."""
    named: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        named[event.id].append(event)
    parents: dict[int, int] = {}
    for event in events:
        if event.cause is not None:
            cause = nearest(event, event.cause, named.get(event.cause, ()))
            if cause is not None:
                parents[event.seq] = cause.seq
    return parents


def _first_of_circle(seq: int, parents: dict[int, int]) -> int:
    """The lowest number in the circle that the causes of an event end in."""
    passed: dict[int, None] = {}  # in order
    while seq not in passed:
        passed[seq] = None
        seq = parents[seq]
    steps = list(passed)
    return min(steps[steps.index(seq) :])


def _reached_from(starts: list[Event], below: dict[int, list[Event]]) -> set[int]:
    reached: set[int] = set()
    waiting = list(starts)
    while waiting:
        event = waiting.pop()
        if event.seq not in reached:
            reached.add(event.seq)
            waiting += below.get(event.seq, ())
    return reached


def _nodes(starts: list[Event], below: dict[int, list[Event]], depth: int) -> list[Node]:
    """Level by level, so that depth costs no stack."""
    roots = [Node(event, [], is_orphan=event.cause is not None) for event in starts]
    level = roots
    for step in range(1, depth):
        is_last = step == depth - 1
        for node in level:
            for event in below.get(node.event.seq, ()):
                hidden = len(_reached_from([event], below)) - 1 if is_last else 0
                node.children.append(Node(event, [], hidden=hidden))
        level = [child for node in level for child in node.children]
    if depth == 1:
        return [_closed(node, len(_reached_from([node.event], below)) - 1) for node in roots]
    return roots


def _closed(node: Node, hidden: int) -> Node:
    return msgspec.structs.replace(node, hidden=hidden)


def _is_cut(roots: list[Node]) -> bool:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node.hidden:
            return True
        waiting += node.children
    return False
