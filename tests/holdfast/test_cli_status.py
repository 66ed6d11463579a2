"""The table of ``holdfast status``: a tree that fits the screen."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from holdfast.actors.messages.supervisor import ChildStatus, LastExit, Tree
from holdfast.cli.status import _span, _table


def leaf(name: str, **how: object) -> ChildStatus:
    given = {"pid": 1_234_567, "state": "running", "incarnation": 1, "restarts": 0} | how
    return ChildStatus(id=name, **given)  # type: ignore[arg-type]  # of a dict


def tree() -> Tree:
    killed = LastExit("start_timeout", None, 9, time.time() - 200.0)
    state = leaf(
        "state",
        children=[
            leaf("writer", uptime=90_000.0, cpu=450.0, mailbox=12_345, handled=987_654_321),
            leaf("checkpoints", last_message="Put", busy=61.0, rss=150 * 2**20),
        ],
    )
    gone = leaf("planner", pid=None, state="backoff", restarts=12, last_exit=killed)
    return Tree("demo", "1", "3", 5.0, leaf("root", children=[state, leaf("agents"), gone]))


def shown(width: int, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    screen = Console(file=file, width=width, color_system=None)
    screen.print(_table(tree(), screen))
    file.seek(0)
    return [line.rstrip() for line in file.read().splitlines()]


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_tree_is_a_tree_on_any_screen(width: int) -> None:
    lines = shown(width)
    assert [line.split("  ")[0].rstrip() for line in lines if line[0] not in " │"] == [
        "actor",
        "root",
        "├─ state",
        "├─ agents",
        "└─ planner",
    ]
    assert any(line.startswith("│  └─ checkpoints") for line in lines)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_a_wide_screen_shows_everything_in_one_line_each() -> None:
    lines = shown(140)
    assert len(lines) == 7
    cells = lines[3].split()[2:]
    assert " ".join(cells) == "writer 1234567 running 1d01h 0.5 12345 987654321 0"
    assert "Put, 1m01s" in lines[4]
    assert lines[6].endswith("12  start_timeout 9, 3m20s ago")


def test_a_screen_without_unicode_shows_the_tree_all_the_same() -> None:
    assert [line.split()[0] for line in shown(80, "ascii")][:3] == ["actor", "root", "|-"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3_599.7, "1h00m"), (86_400.0, "1d00h")],
)
def test_a_length_of_time_is_shown_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert _span(seconds) == text
