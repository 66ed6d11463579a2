"""``holdfast top`` with a real daemon, its keys pressed by textual's pilot."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Static

from holdfast.top.app import TopApp
from holdfast.top.drawing import clipped
from holdfast.top.lines import Lines
from holdfast.top.screens import About, Sure
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT, command

Play = Callable[["Stage"], Awaitable[None]]


class Stage:
    """The application while it runs, and what can be read on it."""

    def __init__(self, app: TopApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """The text that is there now, line by line."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in lines)

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, self.screen
            await self.pilot.pause(0.1)

    async def shows(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.screen for text in texts))

    async def choose(self, actor: str) -> None:
        await self.shows(actor)
        index = [row.child.id for row in self.app.shot.rows].index(actor)
        await self.pilot.press("home", *["down"] * index)


def play(run_dir: Path, what: Play, *, size: tuple[int, int] = (110, 30)) -> None:
    async def run() -> None:
        app = TopApp(run_dir, interval=0.2)
        async with app.run_test(size=size) as pilot:
            await what(Stage(app, pilot))

    asyncio.run(run())


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("top")) as daemon:
        yield daemon


def test_the_tree_is_there_with_its_figures(daemon: Daemon) -> None:
    async def what(stage: Stage) -> None:
        await stage.shows("writer", "sessions", "msg/s", "p99", "cpu%", str(daemon.pid("writer")))
        daemon.hub.state.create("agent", {})
        await stage.until(lambda: any(row.rate > 0 for row in stage.app.shot.rows))

    play(daemon.run_dir, what)


@pytest.mark.parametrize("width", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_the_tree_fits_a_screen_of_any_width(daemon: Daemon, width: int) -> None:
    async def what(stage: Stage) -> None:
        await stage.shows("checkpoints", "running", "msg/s")
        lines = stage.screen.splitlines()
        assert max(map(len, lines)) <= width
        (line,) = (line for line in lines if "checkpoints" in line)
        assert "running" in line
        await stage.pilot.press("enter")
        await stage.shows("restarts 0 (", "handlers of this life")
        await stage.pilot.press("escape", "2")
        await stage.shows("events")

    play(daemon.run_dir, what, size=(width, 24))


def test_a_killed_actor_is_seen_to_die_and_to_come_back(daemon: Daemon) -> None:
    async def what(stage: Stage) -> None:
        await stage.choose("query")
        killed = daemon.kill("query")

        def is_back() -> bool:
            (row,) = (row for row in stage.app.shot.rows if row.child.id == "query")
            return row.child.pid not in (killed, None) and row.child.restarts >= 1

        await stage.until(is_back)
        await stage.shows("signal 9, ")
        await stage.pilot.press("enter")
        await stage.shows("exits", "signal 9, ", "child_terminated")

    play(daemon.run_dir, what)


def test_an_actor_is_restarted_after_a_question_and_not_without_a_yes(daemon: Daemon) -> None:
    before = daemon.pid("tracker")

    async def what(stage: Stage) -> None:
        await stage.choose("tracker")
        await stage.pilot.press("r")
        await stage.until(lambda: isinstance(stage.app.screen, Sure))
        await stage.shows("Restart tracker?")
        await stage.pilot.press("n")
        await stage.until(lambda: not isinstance(stage.app.screen, Sure))
        assert daemon.pid("tracker") == before
        await stage.pilot.press("r")
        await stage.shows("Restart tracker?")
        await stage.pilot.press("y")
        await stage.shows("restart tracker: done")
        assert daemon.pid("tracker") != before

    play(daemon.run_dir, what)


@pytest.mark.slow  # a terminal program takes seconds of a processor
def test_an_actor_is_stopped_and_started_by_the_same_key(daemon: Daemon) -> None:
    async def what(stage: Stage) -> None:
        await stage.choose("files")
        await stage.pilot.press("s")
        await stage.shows("Stop files?")
        await stage.pilot.press("y")
        await stage.shows("stop files: done", "1 NOT RUNNING")
        await stage.pilot.press("s")
        await stage.shows("Start files?")
        await stage.pilot.press("y")
        await stage.shows("start files: done")
        await stage.until(lambda: "NOT RUNNING" not in stage.screen)

    play(daemon.run_dir, what)


@pytest.mark.slow  # a terminal program takes seconds of a processor
def test_the_config_is_reloaded_after_a_question_and_the_root_not_stopped(
    daemon: Daemon,
) -> None:
    async def what(stage: Stage) -> None:
        await stage.shows("writer")
        await stage.pilot.press("R")
        await stage.shows("Reload the config file?")
        await stage.pilot.press("y")
        await stage.shows("reloaded: ")
        await stage.choose("root")
        await stage.pilot.press("s")
        await stage.shows("holdfast stop ends the daemon")
        assert not isinstance(stage.app.screen, Sure)

    play(daemon.run_dir, what)


def test_events_come_as_they_are_committed_and_through_a_filter(daemon: Daemon) -> None:
    async def what(stage: Stage) -> None:
        await stage.pilot.press("2")
        daemon.hub.events.emit("tool:call", {"command": "ls"}, session="s1")
        daemon.hub.events.emit("llm:reply", {"tokens": 9})
        await stage.shows('tool:call s1 {"command":"ls"}', "llm:reply")
        await stage.pilot.press("slash", *"tool", "colon", "asterisk", "enter")
        await stage.shows("events tool:*", "tool:call")
        await stage.until(lambda: "llm:reply" not in stage.screen)
        daemon.hub.events.emit("llm:reply", {"tokens": 10})
        daemon.hub.events.emit("tool:done", {})
        await stage.shows("tool:done")
        assert "llm:reply" not in stage.screen

    play(daemon.run_dir, what)


@pytest.mark.slow  # a terminal program takes seconds of a processor
def test_what_comes_too_fast_to_be_shown_is_counted(daemon: Daemon) -> None:
    async def what(stage: Stage) -> None:
        await stage.pilot.press("2")
        daemon.hub.events.emit("first")
        await stage.shows("first")
        await stage.pilot.press("space")
        await stage.shows("PAUSED")
        for number in range(500):
            daemon.hub.events.emit("many", number)
        daemon.hub.flush(timeout=TIMEOUT)
        await stage.pilot.press("space")
        await stage.shows("many test 499")
        counted = [text for text, _ in stage.app._events if "more" in text]
        assert counted[-1].startswith("... 4")

    play(daemon.run_dir, what)


@pytest.mark.slow  # a terminal program takes seconds of a processor
def test_sessions_are_listed(daemon: Daemon) -> None:
    daemon.hub.sessions.put("ana-1", {}, owner="web", ttl=300)

    async def what(stage: Stage) -> None:
        await stage.pilot.press("3")
        await stage.shows("ana-1", "m left", "owner web")

    play(daemon.run_dir, what)


@pytest.mark.slow  # a terminal program takes seconds of a processor
def test_what_an_actor_logged_and_the_error_it_died_of_are_shown(
    daemon: Daemon, tmp_path: Path
) -> None:
    moon = tmp_path / "moon"
    table = {
        "class": "tests.supervisors.agents_for_tests:FailsToStart",
        "python_path": [str(ROOT)],
        "options": {"when": str(moon)},
    }
    daemon.hub.supervision.start_child("moody", table)
    moon.touch()
    daemon.kill("moody")

    def is_told(stage: Stage) -> bool:
        texts = stage.app.screen.query_one(Lines)._texts
        return any("the moon is wrong" in text for text, _ in texts)

    async def what(stage: Stage) -> None:
        await stage.choose("moody")
        await stage.pilot.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, About))
        await stage.until(lambda: is_told(stage))

    play(daemon.run_dir, what)
    daemon.hub.supervision.terminate_child("moody")
    daemon.hub.supervision.delete_child("moody")


@pytest.mark.slow  # a terminal program takes seconds of a processor
def test_it_goes_on_when_the_daemon_is_killed_and_started_again(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:

        async def what(stage: Stage) -> None:
            await stage.shows("writer")
            first = daemon.process.pid
            await asyncio.to_thread(daemon.process.kill)
            await stage.shows("no daemon")
            assert "writer" in stage.screen  # as it last was
            await asyncio.to_thread(daemon.restart)
            await stage.until(
                lambda: (
                    stage.app.shot.tree is not None
                    and stage.app.shot.tree.root.pid not in (None, first)
                )
            )
            await stage.until(lambda: "no daemon" not in stage.screen)
            status = stage.app.query_one("#status", Static)
            assert "processes" in str(status.render())

        play(daemon.run_dir, what)


@pytest.mark.parametrize("text", ["中文" * 30, "e\u0301" * 40, "x" * 60, "👨‍👩‍👧" * 9, "中"])
@pytest.mark.parametrize("width", [1, 2, 39, 80])
def test_what_is_wide_takes_the_cells_there_are(text: str, width: int) -> None:
    assert cell_len(clipped(text, width)) == width


def test_wide_lines_about_an_actor_lose_nothing(daemon: Daemon) -> None:
    async def what(stage: Stage) -> None:
        about = About("writer")
        await stage.app.push_screen(about)
        about.show(["中文" * 30])
        texts = [text for text, _ in about.query_one(Lines)._texts]
        assert "".join(texts) == "中文" * 30
        assert max(map(cell_len, texts)) <= 40

    play(daemon.run_dir, what, size=(40, 24))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_without_a_terminal_it_says_what_to_do(daemon: Daemon, is_terminal: bool) -> None:
    """It is drawn to standard error: where that goes to a file, there is nothing to see."""
    ends = os.openpty()
    done = subprocess.run(
        command("top", "--run-dir", daemon.run_dir),
        stdin=ends[1] if is_terminal else subprocess.DEVNULL,
        stdout=ends[1] if is_terminal else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    for end in ends:
        os.close(end)
    assert done.returncode == 1
    assert done.stderr == (
        "holdfast: top needs a terminal; holdfast status --json is for programs\n"
    )


def test_without_textual_it_says_what_is_missing() -> None:
    program = """
import sys
sys.modules["textual"] = None
from holdfast.cli.app import run
sys.exit(run(["top"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 69
    assert done.stderr == ("holdfast: top needs textual: python -m pip install 'holdfast[top]'\n")


def test_a_swap_is_followed_to_its_end(daemon: Daemon) -> None:
    """Its data are those of `swap status --json`; what no look caught is told all the same."""
    for number in range(3_000):
        daemon.hub.events.emit("filling", "x" * 1_000, session=str(number % 7))
    daemon.hub.flush(timeout=TIMEOUT)
    moved = daemon.config_file.read_text() + '\n[storage]\npath = "moved.db"\n'
    daemon.config_file.write_text(moved)
    seen: set[str] = set()

    async def what(stage: Stage) -> None:
        await stage.shows("writer")
        assert "SWAP" not in stage.screen
        reloading = asyncio.create_task(asyncio.to_thread(daemon.hub.supervision.reload))

        def is_over() -> bool:
            status = stage.app.shot.swap
            if status is not None and f"SWAP {status.phase}" in stage.screen:
                seen.add(status.phase)
            return "SWAP done" in stage.screen

        await stage.until(is_over)
        await reloading
        assert "moved.db" in stage.screen

    play(daemon.run_dir, what, size=(60, 30))
    assert seen, "it was over between two looks"
