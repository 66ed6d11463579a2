"""``holdfast events subscribers``, ``unsubscribe`` and ``tail -f``, as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commandline import command_line
from tests.daemon import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        yield daemon


def command(daemon: Daemon, *arguments: str) -> list[str]:
    run_dir = str(daemon.run_dir)
    return [sys.executable, "-m", "holdfast", "events", *arguments, "--run-dir", run_dir]


def run(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command_line(daemon.folder, "events", *arguments)


def test_named_subscribers_are_listed_and_removed(daemon: Daemon) -> None:
    hub = daemon.hub
    for n in range(3):
        hub.events.emit("n", n)
    hub.flush()
    subscription = hub.events.subscribe(types="n", name="indexer", start="first")
    event = next(subscription)
    subscription.ack(event)
    listed = run(daemon, "subscribers", "--json")
    (line,) = listed.stdout.splitlines()
    found = json.loads(line)
    assert (found["name"], found["acked"], found["filter"]) == (
        "indexer",
        event.seq,
        {"types": ["n"]},
    )
    assert found["lag"] >= 2
    assert "indexer" in run(daemon, "subscribers").stdout
    assert run(daemon, "unsubscribe", "indexer").returncode == 0
    assert run(daemon, "subscribers").stdout == ""
    again = run(daemon, "unsubscribe", "indexer")
    assert again.returncode == 1
    assert "no subscriber is named 'indexer'" in again.stderr


def test_tail_f_goes_on_across_the_death_of_the_log(daemon: Daemon) -> None:
    daemon.hub.events.emit("n", 0)
    daemon.hub.flush()
    tail = command(daemon, "tail", "-f", "-n", "1", "--json")
    with subprocess.Popen(tail, stdout=subprocess.PIPE) as following:
        try:
            assert following.stdout is not None
            assert json.loads(following.stdout.readline())["type"] == "n"
            for n in range(1, 4):
                daemon.kill("log")
                daemon.hub.events.emit("followed", n)
                while (event := json.loads(following.stdout.readline()))["type"] != "followed":
                    pass  # what the supervisor tells of the restart
                assert event["data"] == n
        finally:
            following.kill()
