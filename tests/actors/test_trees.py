"""Trees of events: a property test against the definition, and the cases that are easy to miss."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Event
from holdfast.actors.trees import Node, Tree, tree_of


def event(seq: int, cause: str | None = None, *, key: str | None = None) -> Event:
    return Event(seq, "d", seq, "t", "s", None, None, None, cause, None, 0, key, None)


def nodes(tree: Tree) -> Iterator[Node]:
    waiting = list(tree.roots)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


def drawn(found: list[Node]) -> list[object]:
    return [
        [node.event.seq, drawn(node.children)] if node.children else node.event.seq
        for node in found
    ]


def test_each_event_is_below_its_cause_in_order_of_numbers() -> None:
    events = [
        event(3, "a"),
        event(1, key="a"),
        event(4, "b"),
        event(2, "a", key="b"),
        event(5, "d/3"),
        event(6),
    ]
    tree = tree_of("x", events, depth=10, is_complete=True)
    assert drawn(tree.roots) == [[1, [[2, [4]], [3, [5]]]], 6]
    assert (tree.count, tree.is_complete) == (6, True)
    assert not any(node.is_orphan for node in nodes(tree))


def test_who_names_a_cause_that_is_not_there_is_an_orphan() -> None:
    tree = tree_of(
        "x", [event(1), event(2, "gone", key="b"), event(3, "b")], depth=9, is_complete=True
    )
    assert drawn(tree.roots) == [1, [2, [3]]]
    assert [node.is_orphan for node in tree.roots] == [False, True]


def test_a_circle_is_cut_where_it_began() -> None:
    events = [event(5, "e"), event(2, "c", key="b"), event(3, "b", key="c"), event(4, "b", key="d")]
    tree = tree_of("x", [*events, event(9, "i", key="i")], depth=9, is_complete=True)
    assert drawn(tree.roots) == [[2, [3, 4]], 5, 9]
    assert [node.is_orphan for node in tree.roots] == [True, True, True]


@pytest.mark.parametrize(("depth", "hidden"), [(1, {1: 4}), (2, {2: 3}), (3, {3: 2}), (5, {})])
def test_what_is_deeper_is_counted(depth: int, hidden: dict[int, int]) -> None:
    line = [event(1, key="1"), *(event(n, str(n - 1), key=str(n)) for n in range(2, 6))]
    tree = tree_of("x", line, depth=depth, is_complete=True)
    assert {node.event.seq: node.hidden for node in nodes(tree) if node.hidden} == hidden
    assert tree.count == 5
    assert tree.is_complete == (not hidden)


causes = st.lists(st.one_of(st.none(), st.integers(1, 12)), min_size=1, max_size=12)


@given(causes)
def test_every_event_is_in_the_tree_once_below_its_cause_or_at_the_top(
    given_causes: list[int | None],
) -> None:
    """Whatever the causes are: circles, missing ones, an event's own."""
    events = [
        event(seq, None if cause is None else str(cause), key=str(seq))
        for seq, cause in enumerate(given_causes, 1)
    ]
    tree = tree_of("x", events, depth=50, is_complete=True)
    shown = list(nodes(tree))
    assert sorted(node.event.seq for node in shown) == [event.seq for event in events]
    for node in shown:
        for child in node.children:
            assert child.event.cause == str(node.event.seq)
            assert not child.is_orphan
    for root in tree.roots:
        assert root.is_orphan == (root.event.cause is not None)
        if root.is_orphan and int(root.event.cause or 0) <= len(events):
            below = {node.event.seq for node in nodes(Tree("", [root], 0, True))}
            assert int(root.event.cause or 0) in below, "neither missing nor a circle"
