"""The command line at narrow terminals, at pipes that close, and with the tab key pressed."""

from __future__ import annotations

import json
import os
import re
import termios
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from holdfast.cli.changing import ChangingLine
from tests import forkserver
from tests.commandline import command_line, completed, environment, every_command
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("terminal")) as daemon:
        for n in range(300):
            daemon.hub.events.emit("tool:call", {"n": n, "text": "x" * 300})
        daemon.hub.flush(timeout=TIMEOUT)
        yield daemon


def told(folder: Path, *arguments: str, stdout: int, **changes: str) -> tuple[int, str]:
    """The exit code and what was complained of."""
    with TemporaryFile() as complaints:
        streams = (os.open(os.devnull, os.O_RDONLY), stdout, complaints.fileno())
        given = environment(**changes)
        process = forkserver.fork(
            "holdfast", *arguments, folder=folder, environment=given, streams=streams
        )
        os.close(streams[0])
        code = process.wait(TIMEOUT)
        complaints.seek(0)
        return code, complaints.read().decode()


@pytest.mark.parametrize(
    "arguments",
    [
        "status",
        "status --json",
        "events query --limit 300",
        "events stats",
        "events tail -n 300",
        "events export",
        "doctor",
        "logs",
    ],
)
def test_a_reader_that_left_ends_a_command_quietly(daemon: Daemon, arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert told(daemon.folder, *arguments.split(), stdout=writing) == (0, "")
        assert told(daemon.folder, "--help", stdout=writing) == (1, "")  # click's own way
    finally:
        os.close(writing)


@pytest.mark.parametrize("arguments", ["status", "events stats --by type --by source"])
def test_tables_fit_40_columns(daemon: Daemon, arguments: str) -> None:
    reading, writing = os.openpty()
    try:
        code, complaint = told(
            daemon.folder, *arguments.split(), stdout=writing, COLUMNS="40", NO_COLOR="1"
        )
        assert (code, complaint) == (0, "")
        lines = os.read(reading, 65536).decode().splitlines()
    finally:
        os.close(reading)
        os.close(writing)
    table = [line for line in lines if "writer" in line or "tool:call" in line or "type" in line]
    assert table
    assert all(len(line) <= 40 for line in table), table


def on_a_terminal(folder: Path, *arguments: str, columns: int = 120, **changes: str) -> str:
    reading, writing = os.openpty()
    try:
        given = {"COLUMNS": str(columns), "TERM": "xterm-256color", **changes}
        assert told(folder, *arguments, stdout=writing, **given) == (0, "")
        return os.read(reading, 65536).decode()
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    "arguments",
    ["events tail -n 3", "events tree colours", pytest.param("doctor", marks=pytest.mark.slow)],
)
def test_there_are_colours_on_a_terminal_only_and_not_with_no_color(
    daemon: Daemon, arguments: str
) -> None:
    for type_ in ("tool:call", "tool:failed", "login:denied"):
        daemon.hub.events.emit(type_, correlation="colours")
    daemon.hub.flush(timeout=TIMEOUT)
    shown = on_a_terminal(daemon.folder, *arguments.split())
    assert "\x1b[" in shown
    if arguments != "doctor":
        assert "\x1b[31m\x1b[1mtool:failed" in shown or "\x1b[1;31mtool:failed" in shown
        assert "\x1b[33mlogin:denied" in shown
        assert "\x1b[36mtool:call" in shown
    assert "\x1b" not in on_a_terminal(daemon.folder, *arguments.split(), NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(daemon.folder, *arguments.split(), TERM="dumb")
    assert "\x1b" not in command_line(daemon.folder, *arguments.split()).stdout


def test_a_line_of_an_event_is_short_on_40_columns(daemon: Daemon) -> None:
    daemon.hub.events.emit("short", {"n": 1})
    daemon.hub.flush(timeout=TIMEOUT)
    shown = on_a_terminal(daemon.folder, "events", "tail", "-n", "1", columns=40, NO_COLOR="1")
    number, clock, type_, *_ = shown.split()
    assert (number.isdecimal(), len(clock), type_) == (True, len("12:00:00"), "short")


def test_every_command_has_json_but_those_that_print_nothing_to_parse() -> None:
    without = {
        path
        for path, command in every_command().items()
        if not any("--json" in each.opts for each in command.params)
    }
    assert without == {"completion", "top"}


def test_nothing_is_printed_past_the_guard_of_closed_pipes() -> None:
    """All of standard output goes through ``output``: what else prints says so to the other."""
    bare = re.compile(r"(click\.echo|(?<![\w.])print)\((?!.*err=True)")
    for path in sorted((ROOT / "holdfast" / "cli").glob("*.py")):
        text = re.sub(r"\(\n\s+", "(", path.read_text(encoding="utf-8"))
        calls = [line for line in text.splitlines() if bare.search(line)]
        assert all("err=True" in line or "console()" in line for line in calls), (path, calls)


def test_json_means_the_same_and_steers_no_terminal(daemon: Daemon) -> None:
    """JSON escapes what is below the space; some terminals obey others, too."""
    name = "s\x9b2J\x85\u202e\x7f"
    hub = daemon.hub
    hub.events.emit("steering", {"text": name}, session=name, source=name)
    hub.sessions.put(name, {"text": name}, durability="committed")
    hub.state.create("thing", {"text": name}, id=name)
    hub.flush(timeout=TIMEOUT)
    for arguments, key in (
        (["events", "query", "--json", "--type", "steering"], "session"),
        (["events", "export", "--type", "steering"], "source"),
        (["events", "tail", "--output", "json", "--type", "steering"], "session"),
        (["sessions", "get", name], "text"),
        (["sessions", "list", "--json"], "id"),
        (["state", "get", name, "--json"], "id"),
    ):
        done = command_line(daemon.folder, *arguments)
        assert done.stdout.removesuffix("\n").isprintable(), arguments
        assert json.loads(done.stdout)[key] == name


@pytest.mark.parametrize("arguments", ["status", "events query --json", "logs", "--help"])
def test_a_full_disk_is_said_without_a_traceback(daemon: Daemon, arguments: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, complaint = told(daemon.folder, *arguments.split(), stdout=full)
    finally:
        os.close(full)
    said = "holdfast: standard output cannot be written: No space left on device\n"
    assert (code, complaint) == (1, said)


@pytest.mark.parametrize("columns", [40, 200])
def test_a_line_that_changes_stays_one_on_a_narrow_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.openpty()
    with open(writing, "w", encoding="utf-8") as stderr:
        termios.tcsetwinsize(writing, (24, columns))
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr("sys.stderr", stderr)
        line = ChangingLine()
        line.show("copying " + "x" * 92)
        shown = os.read(reading, 4096).decode().removeprefix("\r").removesuffix("\x1b[K")
        line.close()
    os.close(reading)
    assert len(shown) == min(columns - 1, 100)


def test_the_tab_key_completes_actors_and_types_of_the_daemon(daemon: Daemon) -> None:
    assert completed(daemon.folder, "restart", "wr") == ["writer"]
    assert completed(daemon.folder, "logs", "s") == ["sessions", "state"]
    assert completed(daemon.folder, "events", "query", "--type", "tool:c") == ["tool:call"]


@pytest.mark.parametrize("arguments", ["stop wirter", "restart wirter", "logs wirter"])
def test_a_mistyped_actor_is_answered_with_the_nearest(daemon: Daemon, arguments: str) -> None:
    done = command_line(daemon.folder, *arguments.split())
    assert done.returncode == 1
    assert "did you mean writer?" in done.stderr


@pytest.mark.parametrize("command", ["query", "query --count", "stats"])
def test_a_mistyped_pattern_is_answered_with_the_nearest(daemon: Daemon, command: str) -> None:
    done = command_line(daemon.folder, "events", *command.split(), "--type", "tol:*")
    assert done.returncode == 0  # nothing was found, and nothing is wrong
    assert "no event has a type like 'tol:*'; did you mean tool:*?" in done.stderr
    assert not command_line(
        daemon.folder, "events", *command.split(), "--type", "tool:*", "--since", "0s"
    ).stderr
