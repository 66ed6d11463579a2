"""``holdfast sessions`` with a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.holdfast.conftest import Run


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        yield daemon


def test_sessions_are_listed_searched_shown_and_ended(daemon: Daemon, run: Run) -> None:
    sessions = daemon.hub.sessions
    sessions.put_many({f"chat/{n}": {"n": n} for n in range(3)} | {"other": "\x1b[31m"})
    sessions.claim("chat/1", "ana")
    sessions.append("chat/1", "hello", owner="ana")

    done = run("sessions", "list", "--json", "--limit", "3")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [
        "chat/0",
        "chat/1",
        "chat/2",
    ]
    done = run("sessions", "search", "chat/", "--after", "chat/0")
    assert done.stdout.splitlines()[0].endswith("1 items owned by ana")
    assert len(done.stdout.splitlines()) == 2
    done = run("sessions", "list", "--owner", "ana", "--json")
    assert json.loads(done.stdout)["id"] == "chat/1"

    shown = json.loads(run("sessions", "show", "chat/1", "--json").stdout)
    assert (shown["data"], shown["owner"], shown["items"]) == ({"n": 1}, "ana", 1)
    assert [item["data"] for item in shown["newest_items"]] == ["hello"]
    assert '"hello"' in run("sessions", "show", "chat/1").stdout
    assert "\x1b" not in run("sessions", "show", "other").stdout

    refused = run("sessions", "end", "chat/1")
    assert refused.returncode == 1
    assert "owned by 'ana'" in refused.stderr
    assert run("sessions", "end", "chat/1", "--owner", "ana").returncode == 0
    gone = run("sessions", "show", "chat/1")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert run("sessions", "end", "chat/1").returncode == 1

    stats = json.loads(run("sessions", "stats", "--json").stdout)
    assert (stats["stored"], stats["unwritten"], stats["front"]) == (3, 0, "")
    assert stats["reads"].keys() == {"hits", "misses", "cache_hits", "cache_misses"}
    assert "3 in the database" in run("sessions", "stats").stdout
