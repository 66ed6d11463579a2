"""The command line at narrow terminals, at pipes that close, and with the tab key pressed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests import forkserver
from tests.commandline import command_line, completed, environment
from tests.daemon import TIMEOUT, Daemon


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


def test_the_tab_key_completes_actors_and_types_of_the_daemon(daemon: Daemon) -> None:
    assert completed(daemon.folder, "restart", "wr") == ["writer"]
    assert completed(daemon.folder, "logs", "s") == ["sessions", "state"]
    assert completed(daemon.folder, "events", "query", "--type", "tool") == ["tool:call"]


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
